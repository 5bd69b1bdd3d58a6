#!/usr/bin/env python3
"""What a frame costs the processor in the script that others would write: MediaPipe's selfie network and OpenCV.

    script.py [CLIP]

Frames of the clip in memory, at the sizes of `make processor`, which runs this after its own table: the person is segmented,
the mask enlarged, the frame blurred, and both blended. Blurred is at a quarter of the size, as somebody would who cares, and at
full size, as in most examples. Milliseconds of all threads of the process. Needs: script.txt.
"""
import os
import sys
import time

os.environ.setdefault("GLOG_minloglevel", "3")

import cv2
import mediapipe
import numpy as np

CLIP = os.path.join(os.path.dirname(__file__), "../../examples/media/person.mp4")
SIZES = [(1280, 720), (1920, 1080), (3840, 2160)]
FRAMES, WARMING, ROUNDS = 90, 22, 3
SIGMA = 0.03  # of the height, the element's default blur-radius


def frames_of(clip, size):
    capture, frames = cv2.VideoCapture(clip), []
    while len(frames) < FRAMES:
        there, frame = capture.read()
        if not there:
            break
        frames.append(cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR))
    if not frames:
        sys.exit(f"script: {clip} cannot be read")
    return frames


def blurred(frame, shrink):
    height = frame.shape[0]
    small = cv2.resize(frame, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA) if shrink > 1 else frame
    soft = cv2.GaussianBlur(small, (0, 0), SIGMA * height / shrink)
    return cv2.resize(soft, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR) if shrink > 1 else soft


def composed(network, frame, shrink):
    mask = network.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).segmentation_mask
    weight = cv2.merge([(mask * 255).astype(np.uint8)] * 3)
    behind = blurred(frame, shrink)
    return cv2.add(cv2.multiply(frame, weight, scale=1 / 255), cv2.multiply(behind, cv2.bitwise_not(weight), scale=1 / 255))


def cost(frames, shrink):
    with mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0) as network:
        begun = 0.0
        for index, frame in enumerate(frames):
            if index == WARMING:
                begun = time.process_time()
            composed(network, frame, shrink)
        return 1e3 * (time.process_time() - begun) / (len(frames) - WARMING)


def main():
    clip = next((argument for argument in sys.argv[1:] if "=" not in argument), CLIP)
    print("\nThe same by a script with MediaPipe's selfie network and OpenCV, decoding apart:\n")
    print("| frame | blurred at a quarter of the size | blurred at full size |\n|---|---|---|")
    for size in SIZES:
        frames = frames_of(clip, size)
        least = [min(cost(frames, shrink) for _ in range(ROUNDS)) for shrink in (4, 1)]
        print(f"| {size[0]}x{size[1]} | {least[0]:.1f} | {least[1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
