"""Reads what avatars need from binary glTF files (``.glb``): accessors of plain numbers, skins and embedded pictures.

Only what such files use is understood: one buffer, no sparse accessors, no compression.
"""
from __future__ import annotations

import json
import struct
from pathlib import Path

import cv2
import numpy as np

_TYPES = {5121: np.dtype("u1"), 5123: np.dtype("<u2"), 5125: np.dtype("<u4"), 5126: np.dtype("<f4")}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class File:
    """One file: its description, and the numbers and pictures that it refers to."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        if content[:4] != b"glTF":
            raise ValueError(f"{path.name} is no binary glTF file")
        length = struct.unpack_from("<I", content, 12)[0]
        self.description = json.loads(content[20:20 + length])
        self._buffer = content[28 + length:]

    def numbers(self, accessor: int) -> np.ndarray:
        """(N, width) of an accessor, as stored; integers that stand for fractions become float32 in [0, 1]."""
        entry = self.description["accessors"][accessor]
        view = self.description["bufferViews"][entry["bufferView"]]
        kind, width = _TYPES[entry["componentType"]], _WIDTHS[entry["type"]]
        start = view.get("byteOffset", 0) + entry.get("byteOffset", 0)
        stride = view.get("byteStride", kind.itemsize * width)
        found = np.ndarray((entry["count"], width), kind, self._buffer, start, (stride, kind.itemsize))
        if entry.get("normalized"):
            return found.astype("f4") / np.float32(np.iinfo(kind).max)
        return found.copy()

    def picture(self, material: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB: a material's base colour."""
        texture = self.description["materials"][material]["pbrMetallicRoughness"]["baseColorTexture"]["index"]
        image = self.description["images"][self.description["textures"][texture]["source"]]
        view = self.description["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        encoded = np.frombuffer(self._buffer, "u1", view["byteLength"], start)
        return cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1]
