#!/usr/bin/env python3
"""Starts OBS without a screen, shows it the person in every way of docs/recipes.md that needs no hardware, and compares
screenshots with what the same alpha gives by the textbook: `make obs-check`.

    make obs-check OBS_GSTREAMER=PATH/obs-gstreamer.so

Needs: obs, Xvfb, gst-launch-1.0; of PyPI requirements.txt. OBS has settings and a home of its own in build/obs; screenshots
are left there. With OBS_GSTREAMER the source of that plugin is tried as well.
"""
from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import obsws_python
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "build/obs"
WIDTH, HEIGHT = 640, 360
SOCKET, CUTOUT, KEY_FILL = 44660, 44661, 44662  # ports
# How far a screenshot may be off, in levels of 255, on the average and anywhere. Where OBS blends in linear light soft edges are
# up to 70 off; a way that shows nothing, or the room, is far more.
MEAN, MOST = 0.25, 8
PATIENCE = 60  # seconds


# It tells of every try.
logging.getLogger("obsws_python").setLevel(logging.CRITICAL)


def say(text: str) -> None:
    print(f"obs-check: {text}", flush=True)


def launch(*pipeline: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["gst-launch-1.0", "-q", *" ".join(pipeline).split()], start_new_session=True)


def frame() -> str:
    """A pipeline's beginning: the same frame of the clip again and again."""
    still = WORK / "frame.png"
    if not still.exists():
        made = launch(f"filesrc location={ROOT}/examples/media/person.mp4 ! decodebin ! videoconvert ! videoscale !",
                      f"video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},pixel-aspect-ratio=1/1 !",
                      f"identity eos-after=31 ! pngenc snapshot=false ! multifilesink location={still}")
        if made.wait(PATIENCE):
            sys.exit("obs-check: the clip could not be decoded")
    return (f"filesrc location={still} ! pngdec ! imagefreeze {{}} ! video/x-raw,framerate=15/1 ! videoconvert ! "
            "davidmatte pacing=exact frames-in-flight=1")


LIVE = "is-live=true"
SENT = "queue ! avenc_ffv1 ! matroskamux streamable=true ! tcpserversink host=127.0.0.1 port={} sync=false"


def expected(background: np.ndarray) -> np.ndarray:
    """The person over ``background``, both uint8 (H, W, 3), blended as the levels are."""
    file = WORK / "cutout.png"
    made = launch(f"{frame().format('num-buffers=12')} output=cutout ! video/x-raw,format=RGBA ! pngenc snapshot=false !",
                  f"multifilesink location={file}")
    if made.wait(PATIENCE):
        sys.exit("obs-check: the frame could not be matted")
    person = np.asarray(Image.open(file).convert("RGBA"), np.float32)
    alpha = person[..., 3:] / 255
    return person[..., :3] * alpha + background * (1 - alpha)


# ------------------------------------------------------------------------------------------------- OBS's own files

def item(source: str, number: int, blend: str = "normal", crop_top: int = 0, crop_bottom: int = 0) -> dict:
    place = {"x": 0.0, "y": 0.0}
    return {"name": source, "id": number, "visible": True, "locked": False, "rot": 0.0, "pos": place, "align": 5,
            "scale": {"x": 1.0, "y": 1.0}, "bounds_type": 0, "bounds_align": 0, "bounds": place, "crop_left": 0, "crop_right": 0,
            "crop_top": crop_top, "crop_bottom": crop_bottom, "blend_method": "srgb_off", "blend_type": blend,
            "scale_filter": "disable"}


def source(name: str, kind: str, settings: dict, filters: list[dict] | None = None) -> dict:
    return {"name": name, "id": kind, "versioned_id": kind, "settings": settings, "filters": filters or [], "enabled": True,
            "muted": False, "volume": 1.0}


def media(name: str, port: int, filters: list[dict] | None = None) -> dict:
    settings = {"is_local_file": False, "input": f"tcp://127.0.0.1:{port}", "input_format": "matroska", "reconnect_delay_sec": 1,
                "hw_decode": False, "buffering_mb": 1}
    return source(name, "ffmpeg_source", settings, filters)


def scene(name: str, items: list[dict]) -> dict:
    return source(name, "scene", {"id_counter": len(items), "custom_size": False, "items": items})


def collection(with_plugin: bool) -> dict:
    """Scenes by their names, one for each way."""
    invert = source("invert", "clut_filter", {"image_path": str(ROOT / "examples/media/invert.cube"), "clut_amount": 1.0})
    sources = [
        source("room", "image_source", {"file": str(WORK / "room.png")}),
        media("cut-out", CUTOUT),
        media("key", KEY_FILL, [invert]),
        media("fill", KEY_FILL),
    ]
    scenes = [
        scene("FFV1 over TCP", [item("room", 1), item("cut-out", 2)]),
        scene("fill and key over TCP", [
            item("room", 1), item("key", 2, "multiply", crop_top=HEIGHT), item("fill", 3, "additive", crop_bottom=HEIGHT)]),
    ]
    if with_plugin:
        pipeline = f"{frame().format(LIVE)} output=cutout ! video/x-raw,format=RGBA ! video."
        sources.append(source("gstreamer", "gstreamer-source", {"pipeline": pipeline}))
        scenes.append(scene("obs-gstreamer", [item("room", 1), item("gstreamer", 2)]))
    names = [each["name"] for each in scenes]
    return {"name": "Check", "current_scene": names[0], "current_program_scene": names[0], "sources": sources + scenes,
            "scene_order": [{"name": name} for name in names], "groups": [], "transitions": [], "quick_transitions": []}


def settings(home: pathlib.Path, plugin: pathlib.Path | None) -> None:
    """Everything that OBS would ask for when it is started for the first time."""
    config = home / ".config/obs-studio"
    shutil.rmtree(home, ignore_errors=True)
    for folder in ("basic/scenes", "basic/profiles/Check", "plugin_config/obs-websocket"):
        (config / folder).mkdir(parents=True)
    socket = {"server_enabled": True, "server_port": SOCKET, "auth_required": False, "alerts_enabled": False, "first_load": False}
    (config / "plugin_config/obs-websocket/config.json").write_text(json.dumps(socket))
    (config / "global.ini").write_text(
        "[General]\nFirstRun=true\nEnableAutoUpdates=false\n[OBSWebSocket]\nFirstLoad=false\nServerEnabled=true\n"
        f"ServerPort={SOCKET}\nAlertsEnabled=false\nAuthRequired=false\n[Basic]\nProfile=Check\nProfileDir=Check\n"
        "SceneCollection=Check\nSceneCollectionFile=Check\n")
    (config / "basic/profiles/Check/basic.ini").write_text(
        f"[General]\nName=Check\n[Video]\nBaseCX={WIDTH}\nBaseCY={HEIGHT}\nOutputCX={WIDTH}\nOutputCY={HEIGHT}\nFPSCommon=30\n")
    (config / "basic/scenes/Check.json").write_text(json.dumps(collection(plugin is not None)))
    if plugin:
        folder = config / "plugins/obs-gstreamer/bin/64bit"
        folder.mkdir(parents=True)
        shutil.copy(plugin, folder)


# ----------------------------------------------------------------------------------------------------------- running

@contextlib.contextmanager
def running(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def start(home: pathlib.Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "LIBGL_ALWAYS_SOFTWARE": "1",
                                "QT_QPA_PLATFORM": "xcb"}
    command = ["xvfb-run", "-a", "-s", "-screen 0 1280x800x24", "obs", "--multi", "--disable-updater",
               "--disable-missing-files-check", "--collection", "Check", "--profile", "Check"]
    with (WORK / "obs.log").open("wb") as log:
        return subprocess.Popen(command, env=environment, start_new_session=True, stdout=log, stderr=log)


def connected(obs: subprocess.Popen[bytes]) -> obsws_python.ReqClient:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and obs.poll() is None:
        with contextlib.suppress(OSError, ConnectionError, TimeoutError):
            return obsws_python.ReqClient(host="127.0.0.1", port=SOCKET, timeout=10)
        time.sleep(0.5)
    sys.exit(f"obs-check: OBS cannot be spoken to; see {WORK / 'obs.log'}")


def screenshot(client: obsws_python.ReqClient, name: str) -> np.ndarray:
    answer = client.get_source_screenshot(name, "png", WIDTH, HEIGHT, -1)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer.image_data.partition(",")[2]))).convert("RGB"), np.float32)


def compare(client: obsws_python.ReqClient, name: str, wanted: np.ndarray) -> bool:
    """Waits until a scene shows what is wanted; says how far it is off."""
    client.set_current_program_scene(name)
    until = time.monotonic() + PATIENCE
    while True:
        shown = screenshot(client, name)
        off = np.abs(shown - wanted)
        is_right = bool(off.mean() <= MEAN and off.max() <= MOST)
        if is_right or time.monotonic() > until:
            break
        time.sleep(0.5)
    Image.fromarray(shown.astype(np.uint8)).save(WORK / f"{name.replace(' ', '-')}.png")
    say(f"{name}: {off.mean():.2f} of 255 off, at most {off.max():.0f}: {'as it should be' if is_right else 'WRONG'}")
    return is_right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--plugin", type=pathlib.Path, help="obs-gstreamer.so, to try that as well")
    options = parser.parse_args()
    for program in ("obs", "xvfb-run", "gst-launch-1.0"):
        if not shutil.which(program):
            sys.exit(f"obs-check: {program} is missing; install obs-studio, xvfb and gstreamer1.0-tools")
    WORK.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    room = np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, 255 - x * 255 // WIDTH], 2).astype(np.uint8)
    Image.fromarray(room).save(WORK / "room.png")
    wanted = expected(room)
    Image.fromarray(wanted.astype(np.uint8)).save(WORK / "expected.png")
    home = WORK / "home"
    settings(home, options.plugin)
    senders = [
        launch(f"{frame().format(LIVE)} output=cutout ! video/x-raw,format=BGRA !", SENT.format(CUTOUT)),
        launch(f"{frame().format(LIVE)} output=key-fill ! video/x-raw,format=BGRx !", SENT.format(KEY_FILL)),
    ]
    obs = start(home)
    with running([*senders, obs]):
        client = connected(obs)
        say(f"OBS {client.get_version().obs_version}")
        scenes = [each["sceneName"] for each in reversed(client.get_scene_list().scenes)]
        results = [compare(client, name, wanted) for name in scenes]
    sys.exit(0 if all(results) else f"obs-check: {results.count(False)} of {len(results)} ways are wrong; screenshots are in {WORK}")


if __name__ == "__main__":
    main()
