#!/usr/bin/env python3
"""DAViD's pre- and post-processing by OpenCV, in float32: what the element's matte is compared with.

    david.py --model M.onnx --width W --height H IN.bgr OUT     # the matte
    david.py --tensor OUT --width W --height H IN.bgr           # what the network is given

IN.bgr holds tightly packed 8-bit BGR, a matte raw float32 in native byte order, W x H, and a tensor raw
float32, 1 x 3 x 512 x 512. Both can be had at once. Needs: numpy, opencv-python-headless, onnxruntime.
"""
import argparse
import sys

import cv2
import numpy as np

SIDE = 512


def padding(width, height):
    """Top, bottom, left and right: what is missing to a square, the smaller half on the top or left."""
    tall, wide = max(width - height, 0), max(height - width, 0)
    return tall // 2, tall - tall // 2, wide // 2, wide - wide // 2


def prepare(image):
    """8-bit BGR, height x width x 3, to the network's 1 x 3 x 512 x 512."""
    height, width = image.shape[:2]
    square = cv2.copyMakeBorder(image, *padding(width, height), cv2.BORDER_REPLICATE).astype(np.float32)
    while square.shape[0] > 3 * SIDE:
        square = cv2.pyrDown(square)
    small = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) / np.float32(255)
    return np.ascontiguousarray(small.transpose(2, 0, 1)[None])


def finish(mask, width, height):
    """The network's mask, 512 x 512, to the matte, height x width."""
    side = max(width, height)
    top, _, left, _ = padding(width, height)
    square = cv2.resize(mask, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(square[top : top + height, left : left + width], 0, 1)


def infer(model, tensor):
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: tensor})
    mask = outputs[2] if len(outputs) == 3 else outputs[0]  # depth, normal, foreground
    return mask.reshape(mask.shape[-2:])


def main():
    parser = argparse.ArgumentParser(description="DAViD's matte of a raw BGR frame, by OpenCV and ONNX Runtime.")
    parser.add_argument("--model", help="network to run, needed for a matte")
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--height", type=int, required=True)
    parser.add_argument("--tensor", metavar="OUT", help="also write the network's input here")
    parser.add_argument("input", metavar="IN.bgr")
    parser.add_argument("matte", metavar="OUT", nargs="?")
    args = parser.parse_args()
    if args.matte and not args.model:
        parser.error("a matte needs --model")

    image = np.fromfile(args.input, np.uint8)
    if image.size != args.width * args.height * 3:
        sys.exit(f"{args.input}: {image.size} bytes, but {args.width}x{args.height} BGR takes {args.width * args.height * 3}")
    tensor = prepare(image.reshape(args.height, args.width, 3))
    if args.tensor:
        tensor.tofile(args.tensor)
    if args.matte:
        finish(infer(args.model, tensor), args.width, args.height).astype(np.float32).tofile(args.matte)


if __name__ == "__main__":
    main()
