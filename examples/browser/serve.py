#!/usr/bin/env python3
"""Sends the person to browsers, over whatever their page shows.

    scripts/env /usr/bin/python3 examples/browser/serve.py examples/media/person.mp4

and open http://127.0.0.1:8000/. Without a video it takes the first camera. Fill and key travel in one picture, which
page.html puts together with WebGL: no room is sent, and they cannot part.

Needs PyGObject, GStreamer's webrtcbin and libnice (Debian: python3-gi, gir1.2-gst-plugins-bad-1.0,
gstreamer1.0-plugins-bad, gstreamer1.0-nice), and the plugin (scripts/env, or `make install`).
"""
import argparse
import http.server
import os
import sys
import threading

try:
    import gi

    for name in ("Gst", "GstSdp", "GstWebRTC"):
        gi.require_version(name, "1.0")
    from gi.repository import GLib, Gst, GstSdp, GstWebRTC
except (ImportError, ValueError) as error:
    sys.exit(f"browser: {error}; install PyGObject and GStreamer's description of WebRTC (Debian: python3-gi, gir1.2-gst-plugins-bad-1.0)")

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.html")
PAYLOAD = 96
CAPS = f"application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload={PAYLOAD}"
# The height is that of whole blocks of the codec, lest one holds something of both fill and key.
WIDTH, HEIGHT = 768, 432
# Seconds that a browser is waited for.
PATIENCE = 10


class Refused(Exception):
    """Why a browser gets no picture."""


class Stream:
    """One pipeline for all who watch: each gets its packets from a tee."""

    def __init__(self, video, properties):
        source = "filesrc name=file ! decodebin" if video else "v4l2src"
        self.pipeline = Gst.parse_launch(
            f"{source} ! videoconvert ! videoscale ! video/x-raw,width={WIDTH},height={HEIGHT} ! davidmatte output=key-fill {properties} ! videoconvert ! "
            f"vp8enc name=encoder deadline=1 keyframe-max-dist=60 target-bitrate=3000000 error-resilient=default ! "
            f"rtpvp8pay pt={PAYLOAD} picture-id-mode=15-bit ! {CAPS} ! tee name=viewers ! "
            "fakesink sync=true")  # keeps time where nobody watches
        if video:  # its name may hold anything
            self.pipeline.get_by_name("file").set_property("location", video)
        self.tee = self.pipeline.get_by_name("viewers")

    def play(self, video):
        """Plays; a video again and again, without a break that receivers would see."""
        self.pipeline.set_state(Gst.State.PAUSED)
        if video and self.pipeline.get_state(PATIENCE * Gst.SECOND)[0] == Gst.StateChangeReturn.SUCCESS:
            self.begin(Gst.SeekFlags.FLUSH)
        self.pipeline.set_state(Gst.State.PLAYING)

    def begin(self, flags=Gst.SeekFlags.NONE):
        """From the beginning; what is played to its end is told as the end of a segment."""
        self.pipeline.seek(1.0, Gst.Format.TIME, Gst.SeekFlags.SEGMENT | flags, Gst.SeekType.SET, 0, Gst.SeekType.NONE, -1)

    def answer(self, offer):
        """The answer to a browser's offer, both as SDP."""
        if f"a=rtpmap:{PAYLOAD} VP8/90000" not in offer:
            raise Refused(f"the browser offers no VP8 as payload {PAYLOAD}")
        viewer = Viewer(self)
        try:
            return viewer.answer(offer)
        except Refused:
            viewer.leave()
            raise


class Viewer:
    """One browser's branch of the pipeline, which goes with it."""

    def __init__(self, stream):
        self.stream, self.gathered = stream, threading.Event()
        self.queue = Gst.ElementFactory.make("queue")
        # Somebody who does not keep up loses packets, and nobody else waits.
        self.queue.set_property("leaky", 2)
        self.webrtc = Gst.ElementFactory.make("webrtcbin")
        self.webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.webrtc.connect("notify::ice-gathering-state", self.watch_gathering)
        self.webrtc.connect("notify::connection-state", self.watch_connection)
        for element in (self.queue, self.webrtc):
            stream.pipeline.add(element)
        self.queue.link(self.webrtc)
        self.pad = stream.tee.request_pad_simple("src_%u")
        self.pad.link(self.queue.get_static_pad("sink"))
        for element in (self.webrtc, self.queue):
            element.sync_state_with_parent()

    def answer(self, offer):
        _, message = GstSdp.SDPMessage.new_from_text(offer)
        self.ask("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, message))
        reply = self.ask("create-answer", None)
        answer = reply.get_value("answer") if reply else None
        if answer is None:
            raise Refused("no answer could be made to the browser's offer")
        self.ask("set-local-description", answer)
        # All ways to get here are told at once.
        if not self.gathered.wait(PATIENCE):
            raise Refused("no network address was found in time")
        return self.webrtc.get_property("local-description").sdp.as_text()

    def ask(self, action, argument):
        promise = Gst.Promise.new()
        self.webrtc.emit(action, argument, promise)
        if promise.wait() != Gst.PromiseResult.REPLIED:
            raise Refused(f"{action} was not answered")
        reply = promise.get_reply()
        if reply is not None and reply.has_field("error"):
            raise Refused(f"{action}: {reply.get_value('error')}")
        return reply

    def watch_gathering(self, webrtc, _):
        if webrtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            self.gathered.set()

    def watch_connection(self, webrtc, _):
        gone = (GstWebRTC.WebRTCPeerConnectionState.FAILED, GstWebRTC.WebRTCPeerConnectionState.CLOSED,
                GstWebRTC.WebRTCPeerConnectionState.DISCONNECTED)
        if webrtc.get_property("connection-state") in gone:
            GLib.idle_add(self.leave)

    def leave(self):
        if self.pad is None:
            return
        pad, self.pad = self.pad, None
        def unlinked(*_):
            pad.unlink(self.queue.get_static_pad("sink"))
            GLib.idle_add(self.drop)
            return Gst.PadProbeReturn.REMOVE
        pad.add_probe(Gst.PadProbeType.IDLE, unlinked)
        self.stream.tee.release_request_pad(pad)

    def drop(self):
        for element in (self.queue, self.webrtc):
            element.set_state(Gst.State.NULL)
            self.stream.pipeline.remove(element)


def handler(stream):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/":
                return self.send_error(404)
            with open(PAGE, "rb") as page:
                self.reply(200, "text/html; charset=utf-8", page.read())

        def do_POST(self):
            offer = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 1 << 16)).decode("utf-8", "replace")
            try:
                self.reply(200, "application/sdp", stream.answer(offer).encode())
            except Refused as refused:
                print(f"a browser was refused: {refused}", file=sys.stderr, flush=True)
                self.reply(400, "text/plain; charset=utf-8", str(refused).encode())
            except ConnectionError:
                pass  # it went away meanwhile, which its branch notices by itself

        def reply(self, status, kind, body):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def main():
    parser = argparse.ArgumentParser(description="Sends the person to browsers.")
    parser.add_argument("video", nargs="?", help="a video; without one, the first camera")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--properties", default="", help="of the element, as gst-launch-1.0 has them")
    args = parser.parse_args()
    Gst.init(None)
    for element, package in (("webrtcbin", "gstreamer1.0-plugins-bad"), ("nicesrc", "gstreamer1.0-nice")):
        if Gst.ElementFactory.find(element) is None:
            sys.exit(f"browser: GStreamer has no {element}; install it (Debian: {package})")
    loop, trouble = GLib.MainLoop(), []
    try:
        stream = Stream(args.video, args.properties)
        # Others on the network see it where they are let in: http.server has no passwords.
        server = http.server.ThreadingHTTPServer(("127.0.0.1", args.port), handler(stream))
    except (GLib.Error, OSError) as error:
        sys.exit(f"browser: {getattr(error, 'message', error)}")

    def told(_, message):
        if message.type == Gst.MessageType.ERROR:
            trouble.append(message.parse_error()[0].message)
            loop.quit()
        elif message.type == Gst.MessageType.SEGMENT_DONE:
            stream.begin()
        elif message.type == Gst.MessageType.EOS:  # of what cannot be played again
            loop.quit()

    bus = stream.pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", told)
    stream.play(args.video)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"open http://127.0.0.1:{args.port}/", flush=True)
    try:
        loop.run()
    except KeyboardInterrupt:
        pass
    server.shutdown()
    stream.pipeline.set_state(Gst.State.NULL)
    if trouble:
        sys.exit(f"browser: {trouble[0]}")


if __name__ == "__main__":
    main()
