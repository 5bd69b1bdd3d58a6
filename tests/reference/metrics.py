#!/usr/bin/env python3
"""Errors of mattes, written for comparison with the example `evaluate`: straight from their definitions, and slow.

    metrics.py WIDTH HEIGHT PREDICTION.f32 TRUTH.f32 [--trimap T.u8] [--before PREDICTION.f32 TRUTH.f32]

Mattes are raw float32 in native byte order, a trimap is one byte a pixel. Prints one JSON object. Needs: numpy.
"""
import argparse
import json
import math

import numpy as np

SIGMA = 1.4


def sad(p, t):
    return float(np.abs(p - t).sum()) / 1000


def sad_trimap(p, t, trimap):
    forced = np.where(trimap == 255, 1.0, np.where(trimap == 0, 0.0, p))
    return sad(forced, t)


def mad(p, t):
    return float(np.mean(np.abs(p - t)))


def mse(p, t):
    return float(np.mean((p - t) ** 2))


def dtssd(p_before, p, t_before, t):
    return 100 * float(np.sqrt(np.mean(((p - p_before) - (t - t_before)) ** 2)))


def derivative_kernel():
    """The two-dimensional kernel for x, L2 norm 1."""
    half = math.ceil(SIGMA * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * SIGMA * 0.01)))
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    kernel = -x * np.exp(-(x**2 + y**2) / (2 * SIGMA**2))
    return kernel / np.linalg.norm(kernel)


def correlate(image, kernel):
    half = kernel.shape[0] // 2
    height, width = image.shape
    padded = np.pad(image, half, mode="edge")
    result = np.zeros_like(image)
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            result += kernel[i, j] * padded[i : i + height, j : j + width]
    return result


def gradient_error(p, t):
    def magnitude(matte):
        low, high = matte.min(), matte.max()
        if high == low:
            return np.zeros_like(matte)
        matte = (matte - low) / (high - low)
        kernel = derivative_kernel()
        return np.sqrt(correlate(matte, kernel) ** 2 + correlate(matte, kernel.T) ** 2)

    return float(((magnitude(p) - magnitude(t)) ** 2).sum()) / 1000


def largest_part(mask):
    """The largest 4-connected part, the first in reading order among equals, by spreading the least index."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    outside = mask.size + 1
    while True:
        framed = np.pad(np.where(mask, labels, outside), 1, constant_values=outside)
        shifted = [framed[1:-1, 1:-1], framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:]]
        spread = np.where(mask, np.minimum.reduce(shifted), 0)
        if np.array_equal(spread, labels):
            break
        labels = spread
    if not mask.any():
        return mask
    names, sizes = np.unique(labels[mask], return_counts=True)
    return labels == names[np.argmax(sizes)]  # the first of equals is the least index


def connectivity_error(p, t):
    levels = np.full(p.shape, -1.0)
    for step in range(1, 11):
        level = np.float64(np.float32(step / 10))  # mattes are float32: 0.6 of theirs reaches 0.6
        omega = largest_part((p >= level) & (t >= level))
        levels[(levels == -1) & ~omega] = (step - 1) / 10
    levels[levels == -1] = 1

    def phi(matte):
        above = matte - levels
        return 1 - above * (above >= 0.15)

    return float(np.abs(phi(p) - phi(t)).sum()) / 1000


def main():
    parser = argparse.ArgumentParser(description="Errors of a matte.")
    parser.add_argument("width", type=int)
    parser.add_argument("height", type=int)
    parser.add_argument("prediction")
    parser.add_argument("truth")
    parser.add_argument("--trimap")
    parser.add_argument("--before", nargs=2)
    args = parser.parse_args()

    def read(path):
        return np.fromfile(path, np.float32).astype(np.float64).reshape(args.height, args.width)

    p, t = read(args.prediction), read(args.truth)
    errors = {
        "sad": sad(p, t),
        "mad": mad(p, t),
        "mse": mse(p, t),
        "grad": gradient_error(p, t),
        "conn": connectivity_error(p, t),
    }
    if args.trimap:
        errors["sad_t"] = sad_trimap(p, t, np.fromfile(args.trimap, np.uint8).reshape(p.shape))
    if args.before:
        p_before, t_before = map(read, args.before)
        errors["dtssd"] = dtssd(p_before, p, t_before, t)
    print(json.dumps(errors))


if __name__ == "__main__":
    main()
