"""From frame to network and back, as the plugin does it: padding as DAViD's contract has it, and plain stretching.

Frames are (H, W, 3) uint8 BGR, mattes (H, W) float32 in [0, 1]. Sizes of inputs are rows and columns; DAViD's is square,
the built-in network's has the frame's shape.
"""
from __future__ import annotations

from typing import Callable

import cv2
import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]  # (1, 3, rows, columns) float32 BGR to (1, 1, rows, columns)
Size = tuple[int, int]
FITS = ("pad", "stretch")
MULTIPLE = 32  # of both sides of the built-in network's input


def shaped(rows: int, columns: int, side: int) -> Size:
    """The input of a frame's shape that has about as many samples as a square of ``side``."""
    scale = side / (rows * columns) ** 0.5 / MULTIPLE
    return tuple(max(1, int(length * scale + 0.5)) * MULTIPLE for length in (rows, columns))


def _padding(length: int, wanted: float) -> tuple[int, int]:
    """Samples before and after a frame, the smaller half first."""
    more = max(int(wanted + 0.5) - length, 0)
    return more // 2, more - more // 2


def paddings(frame: Size, size: Size) -> list[tuple[int, int]]:
    """Samples before and after a frame, along each axis, that make it as wide for its height as an input of ``size`` is."""
    pixels = max(length / side for length, side in zip(frame, size))
    return [_padding(length, pixels * side) for length, side in zip(frame, size)]


def _shrunk(picture: np.ndarray, size: Size) -> np.ndarray:
    """Halved while more than three times as large as needed, then bilinear with half-pixel centres."""
    while all(length > 3 * side for length, side in zip(picture.shape, size)):
        picture = cv2.pyrDown(picture)
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR)


def prepare(frame: np.ndarray, size: Size, fit: str) -> np.ndarray:
    """(1, 3, rows, columns) float32: what the network is given."""
    if fit == "pad":
        (top, bottom), (left, right) = paddings(frame.shape[:2], size)
        frame = cv2.copyMakeBorder(frame, top, bottom, left, right, cv2.BORDER_REPLICATE)
    small = _shrunk(frame, size)
    return np.ascontiguousarray(small.transpose(2, 0, 1)[None], "f4") / np.float32(255)


def finish(matte: np.ndarray, frame: Size, fit: str) -> np.ndarray:
    """A matte as large as the frame, from the network's: bicubic (a = -0.75), cropped, clipped."""
    (top, bottom), (left, right) = paddings(frame, matte.shape) if fit == "pad" else [(0, 0)] * 2
    rows, columns = frame
    padded = (left + columns + right, top + rows + bottom)
    large = cv2.resize(matte, padded, interpolation=cv2.INTER_CUBIC)[top:top + rows, left:left + columns]
    return np.clip(large, 0, 1)


def matte_of(frame: np.ndarray, predict: Predict, size: Size, fit: str = "pad") -> np.ndarray:
    """The matte of one frame at the frame's own resolution."""
    return finish(predict(prepare(frame, size, fit))[0, 0], frame.shape[:2], fit)
