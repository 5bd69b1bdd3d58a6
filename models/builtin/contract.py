"""From frame to network and back, as the plugin does it: DAViD's contract, and plain stretching.

Frames are (H, W, 3) uint8 BGR, mattes (H, W) float32 in [0, 1].
"""
from __future__ import annotations

from typing import Callable

import cv2
import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]  # (1, 3, S, S) float32 BGR to (1, 1, S, S) float32
FITS = ("pad-square", "stretch")


def _shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    """Halved while more than three times as large as needed, then bilinear with half-pixel centres."""
    while min(picture.shape[:2]) > 3 * side:
        picture = cv2.pyrDown(picture)
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR)


def prepare(frame: np.ndarray, side: int, fit: str) -> np.ndarray:
    """(1, 3, side, side) float32: what the network is given."""
    if fit == "pad-square":
        height, width = frame.shape[:2]
        square = max(height, width)
        top, left = (square - height) // 2, (square - width) // 2
        frame = cv2.copyMakeBorder(frame, top, square - height - top, left, square - width - left, cv2.BORDER_REPLICATE)
    small = _shrunk(frame, side)
    return np.ascontiguousarray(small.transpose(2, 0, 1)[None], "f4") / np.float32(255)


def finish(matte: np.ndarray, height: int, width: int, fit: str) -> np.ndarray:
    """(height, width) float32 from the network's (S, S): bicubic (a = -0.75), cropped, clipped."""
    if fit == "pad-square":
        square = max(height, width)
        top, left = (square - height) // 2, (square - width) // 2
        large = cv2.resize(matte, (square, square), interpolation=cv2.INTER_CUBIC)[top:top + height, left:left + width]
    else:
        large = cv2.resize(matte, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(large, 0, 1)


def matte_of(frame: np.ndarray, predict: Predict, side: int, fit: str = "pad-square") -> np.ndarray:
    """The matte of one frame at the frame's own resolution."""
    return finish(predict(prepare(frame, side, fit))[0, 0], *frame.shape[:2], fit)
