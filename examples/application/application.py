#!/usr/bin/env python3
"""A program with the element in it: a window with the person, in which what is behind changes every two seconds, and a
terminal that tells what the element has to say.

    scripts/env python3 examples/application/application.py examples/media/person.mp4

Needs PyGObject and GStreamer's description for it (Debian: python3-gi, gir1.2-gstreamer-1.0), and the plugin
(scripts/env, or `make install`). `main.rs` beside this is the same in Rust.
"""
import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst

# Values of properties, each for two seconds.
LOOKS = [
    {"output": "composite", "background": "blur"},
    {"background": "color", "background-color": 0xFF00B140},
    {"background": "checkerboard"},
    {"output": "alpha"},
]


class Application:
    def __init__(self, video, sink):
        # The first videoconvert gives the element a format that it takes, the second one the window.
        source = "filesrc name=file ! decodebin" if video else "v4l2src"
        self.pipeline = Gst.parse_launch(f"{source} ! videoconvert ! davidmatte name=matte ! videoconvert ! {sink}")
        if video:  # its name may hold anything
            self.pipeline.get_by_name("file").set_property("location", video)
        self.matte = self.pipeline.get_by_name("matte")
        self.loop, self.look, self.trouble = GLib.MainLoop(), 0, None
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self.told)

    def run(self):
        """Plays to the end; what went wrong, if anything did."""
        self.change()
        GLib.timeout_add(2000, self.change)
        # What cannot be done is told on the bus, in a sentence.
        self.pipeline.set_state(Gst.State.PLAYING)
        try:
            self.loop.run()
        finally:
            stats = self.matte.get_property("stats")
            device = self.matte.get_property("active-device")
            self.pipeline.set_state(Gst.State.NULL)
        counted = [stats.get_value(name) for name in ("frames", "inferences", "infer-mean-ms")]
        print("{} frames, {} inferences of {:.1f} ms by {}".format(*counted, device))
        return self.trouble

    def change(self):
        """Every property that says so can be set while playing; the next frame has it."""
        look = LOOKS[self.look % len(LOOKS)]
        for name, value in look.items():
            if isinstance(value, str):
                Gst.util_set_object_arg(self.matte, name, value)
            else:
                self.matte.set_property(name, value)
        print(look, flush=True)
        self.look += 1
        return GLib.SOURCE_CONTINUE

    def told(self, _bus, message):
        if message.type == Gst.MessageType.EOS:
            self.loop.quit()
        elif message.type == Gst.MessageType.ERROR:
            self.trouble = message.parse_error()[0].message
            self.loop.quit()
        elif message.type == Gst.MessageType.WARNING:
            # Something could not be done, such as another picture that is not there; all goes on as before.
            print("!", message.parse_warning()[0].message, flush=True)


def main():
    parser = argparse.ArgumentParser(description="Shows the person in a video over changing backgrounds")
    parser.add_argument("video", nargs="?", help="without one, the first camera")
    parser.add_argument("--sink", default="autovideosink", help="what shows the result, as gst-launch-1.0 has it")
    arguments = parser.parse_args()
    Gst.init(None)
    sys.exit(Application(arguments.video, arguments.sink).run())


if __name__ == "__main__":
    main()
