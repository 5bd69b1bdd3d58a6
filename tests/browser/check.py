#!/usr/bin/env python3
"""Starts examples/browser/serve.py and a Chromium without a screen, and looks at what the page shows.

    check.py [--chromium PATH] [--picture FILE]

`make browser-check` sees to what it needs: the packages of requirements.txt; and takes from the system Chromium, and
what serve.py needs. --picture keeps the last picture of the page, to look at.
"""
import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

import cv2
import numpy as np
import websocket

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
CLIP = "examples/media/person.mp4"
PORT, DEBUGGING = 8765, 9765
WIDTH, HEIGHT = 1000, 700
PATIENCE = 60  # seconds


def wait_for(what, attempt, process=None):
    """What an attempt gives as soon as it gives something, which nothing does once ``process`` has ended."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process and process.poll() is not None:
            sys.exit(f"browser-check: {what} ended with {process.returncode}")
        try:
            found = attempt()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.3)
    sys.exit(f"browser-check: {what} did not come in {PATIENCE} s")


class Page:
    """A page in a browser, by its debugging protocol."""

    def __init__(self, address):
        self.socket, self.count = websocket.create_connection(address, suppress_origin=True), 0

    def ask(self, method, **params):
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": params}))
        while True:
            reply = json.loads(self.socket.recv())
            if reply.get("id") == self.count:
                return reply["result"]

    def value(self, expression):
        return self.ask("Runtime.evaluate", expression=expression)["result"].get("value")

    def picture(self):
        png = base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])
        return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


def address():
    with urllib.request.urlopen(f"http://127.0.0.1:{DEBUGGING}/json", timeout=2) as reply:
        pages = [page for page in json.load(reply) if page["type"] == "page"]
    return pages and pages[0]["webSocketDebuggerUrl"]


def look(page):
    """Mean differences to the page without the person: along its upper edge, and where the person is."""
    size = wait_for("a picture", lambda: page.value("video.videoWidth > 0 && document.getElementById('state').textContent"))
    time.sleep(4)  # the person has moved, and the stream its quality
    shown = page.picture()
    page.value("document.getElementById('person').style.visibility = 'hidden'")
    time.sleep(0.5)
    bare = page.picture()
    page.value("document.getElementById('person').style.visibility = 'visible'")
    difference = np.abs(shown.astype(int) - bare).mean(axis=2)
    left, top, width, height = page.value(
        "(() => { const r = document.getElementById('person').getBoundingClientRect(); return [r.left, r.top, r.width, r.height].join() })()").split(",")
    left, top, width, height = (round(float(number)) for number in (left, top, width, height))
    part = difference[max(top, 0):top + height, max(left, 0):left + width]
    edges = part[:12]  # above everybody's head, right below the seam of fill and key
    middle = part[height // 2 - 30:height // 2 + 30, width // 2 - 30:width // 2 + 30]
    return size, edges.mean(), middle.mean(), shown


def main():
    parser = argparse.ArgumentParser(description="Looks at the page of examples/browser.")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome"))
    parser.add_argument("--picture")
    args = parser.parse_args()
    if not args.chromium:
        sys.exit("browser-check: no Chromium was found; install it, or name it with --chromium")
    with tempfile.TemporaryDirectory() as profile:
        server = subprocess.Popen(["/usr/bin/python3", "examples/browser/serve.py", CLIP, "--port", str(PORT)], cwd=ROOT)
        wait_for("the server", lambda: urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=2), server)
        browser = subprocess.Popen(
            [args.chromium, "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", f"--user-data-dir={profile}",
             "--autoplay-policy=no-user-gesture-required", f"--window-size={WIDTH},{HEIGHT}", f"--remote-debugging-port={DEBUGGING}", f"http://127.0.0.1:{PORT}/"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            page = Page(wait_for("the browser", address))
            size, edges, middle, shown = look(page)
            # Somebody else who comes, and goes, is no trouble to whoever stays.
            page.ask("Page.reload")
            time.sleep(1)
            size_again, edges_again, middle_again, _ = look(page)
        finally:
            for process in (browser, server):
                process.terminate()
                process.wait(10)
    if args.picture:
        cv2.imwrite(args.picture, shown)
    print(f"{size}: above the person the page is {edges:.1f} of 255 off, the person differs from it by {middle:.0f}; "
          f"after coming again {edges_again:.1f} and {middle_again:.0f}")
    good = size == size_again == "768x432" and max(edges, edges_again) < 3 and min(middle, middle_again) > 15
    sys.exit(0 if good else "browser-check: that is not the person before the page")


if __name__ == "__main__":
    main()
