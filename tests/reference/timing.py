#!/usr/bin/env python3
"""Time DAViD's pre- and post-processing by OpenCV on one thread: what the element's speed is compared with.

Prints the median milliseconds of each step and size, as in `prepare 1920x1080 23.1`.
"""
import statistics
import time

import cv2
import numpy as np

import david

SIZES = (1280, 720), (1920, 1080), (3840, 2160)


def median_ms(step, least=7, seconds=1.0):
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
    for width, height in SIZES:
        image = random.integers(0, 256, (height, width, 3), np.uint8)
        mask = random.random((david.SIDE, david.SIDE), np.float32)
        print(f"prepare {width}x{height} {median_ms(lambda: david.prepare(image)):.2f}", flush=True)
        print(f"finish {width}x{height} {median_ms(lambda: david.finish(mask, width, height)):.2f}", flush=True)


if __name__ == "__main__":
    main()
