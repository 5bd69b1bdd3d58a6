#!/usr/bin/env python3
"""Time OpenCV on one thread: what the element's speed is compared with.

Prints median milliseconds, as in `prepare 1920x1080 23.1`: of DAViD's pre- and post-processing of an RGB
frame, `prepare` and `finish`, and of all that is done to a frame besides inference, of its conversion and
composition as well: `I420-I420` and `YUY2-YUY2` for a composite over a colour, `YUY2-RGBA` for a cut-out.
"""
import statistics
import time

import cv2
import numpy as np

import david

SIZES = (1920, 1080), (3840, 2160)


class Compositing:
    """A composite over a colour, in the frame's own format."""

    def __init__(self, width, height, to_bgr, from_bgr):
        self.size = width, height
        self.to_bgr, self.from_bgr = to_bgr, from_bgr
        self.behind = np.full((height, width, 3), (64, 177, 0), np.uint8)

    def step(self, frame, mask):
        image = cv2.cvtColor(frame, self.to_bgr)
        david.prepare(image)
        matte = david.finish(mask, *self.size)
        blended = cv2.blendLinear(image, self.behind, matte, 1 - matte)
        return cv2.cvtColor(blended, self.from_bgr)


class CuttingOut:
    """A cut-out with straight alpha from YUY2."""

    def __init__(self, width, height):
        self.size = width, height

    def step(self, frame, mask):
        image = cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_YUY2)
        david.prepare(image)
        alpha = cv2.convertScaleAbs(david.finish(mask, *self.size), alpha=255)
        cutout = cv2.cvtColor(image, cv2.COLOR_BGR2RGBA)
        cv2.insertChannel(alpha, cutout, 3)
        return cutout


def median_ms(step, least=7, seconds=0.7):
    """At least that many runs and that much time, after one run to warm up."""
    step()
    times = []
    while len(times) < least or sum(times) < seconds * 1e3:
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def main():
    cv2.setNumThreads(1)
    random = np.random.default_rng(0)
    noise = lambda *shape: random.integers(0, 256, shape, np.uint8)
    mask = random.random((david.SIDE, david.SIDE), np.float32)
    for width, height in SIZES:
        image, i420, yuy2 = noise(height, width, 3), noise(height * 3 // 2, width), noise(height, width, 2)
        ways = {
            "I420-I420": (Compositing(width, height, cv2.COLOR_YUV2BGR_I420, cv2.COLOR_BGR2YUV_I420), i420),
            "YUY2-YUY2": (Compositing(width, height, cv2.COLOR_YUV2BGR_YUY2, cv2.COLOR_BGR2YUV_YUY2), yuy2),
            "YUY2-RGBA": (CuttingOut(width, height), yuy2),
        }
        steps = {
            "prepare": lambda: david.prepare(image),
            "finish": lambda: david.finish(mask, width, height),
            **{name: lambda way=way, frame=frame: way.step(frame, mask) for name, (way, frame) in ways.items()},
        }
        for name, step in steps.items():
            print(f"{name} {width}x{height} {median_ms(step):.2f}", flush=True)


if __name__ == "__main__":
    main()
