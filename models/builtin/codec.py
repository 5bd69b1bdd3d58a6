"""What a video codec does to a picture: a short H.264 encoding of it, decoded again."""
from __future__ import annotations

import av
import cv2
import numpy as np


def be_quiet() -> None:
    """Keeps the encoder from printing its settings for every picture."""
    av.logging.set_level(av.logging.PANIC)


def _encoded(frames: list[np.ndarray], factor: int) -> list[av.Packet]:
    """Frames (H, W, 3) uint8 BGR with even sides, encoded with ``factor``: the lower, the better, up to 51."""
    height, width = frames[0].shape[:2]
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = width, height, "yuv420p", 30
    encoder.thread_count = 1
    # "superfast" is the fastest preset that still smooths the edges of blocks, as cameras do.
    encoder.options = {"preset": "superfast", "tune": "zerolatency", "crf": str(factor)}
    packets = [packet for frame in frames for packet in encoder.encode(av.VideoFrame.from_ndarray(frame, "bgr24"))]
    return packets + encoder.encode(None)


def compressed(photo: np.ndarray, factor: int, motion: tuple[int, int] | None = None) -> np.ndarray:
    """``photo`` (H, W, 3) uint8 BGR after H.264 with that rate factor.

    motion: pixels right and down that the picture moved since the frame before, from which it is then predicted;
    None for a first frame.
    """
    height, width = photo.shape[:2]
    even = cv2.copyMakeBorder(photo, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    frames = [even]
    if motion is not None:
        right, down = motion
        matrix = np.float64([[1, 0, -right], [0, 1, -down]])
        frames.insert(0, cv2.warpAffine(even, matrix, even.shape[1::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101))
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoded = [frame for packet in _encoded(frames, factor) for frame in decoder.decode(packet)] + decoder.decode(None)
    return np.ascontiguousarray(decoded[-1].to_ndarray(format="bgr24")[:height, :width])
