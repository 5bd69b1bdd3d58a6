"""Step ``pictures``: the model card's contact sheets, from held-out avatars and places only."""
from __future__ import annotations

import cv2
import numpy as np

from . import compose, evaluate, paths

TILE = 176
GREEN = np.array([64, 177, 0], "f4")  # the plugin's default background, BGR


def folder():
    return paths.PACKAGE / "pictures"


def _tile(picture: np.ndarray) -> np.ndarray:
    """Scaled into a grey square without changing its shape."""
    height, width = picture.shape[:2]
    scale = TILE / max(height, width)
    small = cv2.resize(picture.astype("u1"), (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    square = np.full((TILE, TILE, 3), 40, "u1")
    top, left = (TILE - small.shape[0]) // 2, (TILE - small.shape[1]) // 2
    square[top:top + small.shape[0], left:left + small.shape[1]] = small
    return square


def _row(photo: np.ndarray, truth: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Picture, true alpha, matte, picture over green."""
    grey = [cv2.cvtColor((alpha * 255).astype("u1"), cv2.COLOR_GRAY2BGR) for alpha in (truth, matte)]
    cut = photo * matte[..., None] + GREEN * (1 - matte[..., None])
    return np.hstack([_tile(part) for part in (photo, *grey, cut)])


def _sheet(rows: list[np.ndarray], columns: int) -> np.ndarray:
    gap = 6
    padded = [cv2.copyMakeBorder(row, 0, gap, 0, gap, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for row in rows]
    return np.vstack([np.hstack(padded[start:start + columns]) for start in range(0, len(padded), columns)])


def _write(name: str, sheet: np.ndarray, quality: int = 82) -> None:
    target = folder() / name
    with paths.replacing(target) as partial:
        cv2.imwrite(str(partial), sheet, [cv2.IMWRITE_JPEG_QUALITY, quality])
    print(f"{target.name}: {target.stat().st_size / 1e3:.0f} kB")


def run() -> None:
    """Typical results, best soft edges, and the worst failures on held-out composites."""
    ours = evaluate.own(paths.MODEL, max(evaluate.SIDES))
    entries = []
    for photo, alpha in compose.validation():
        truth = alpha / np.float32(255)
        if 0.003 < (truth > 0.5).mean():
            matte = ours.matte(photo)
            entries.append((evaluate.scores_of(matte, truth)["iou"], photo, truth, matte))
    ranked = sorted(entries, key=lambda entry: entry[0])
    spread = [ranked[round(place)] for place in np.linspace(len(ranked) * 0.1, len(ranked) - 1, 20)]
    _write("typical.jpg", _sheet([_row(*entry[1:]) for entry in spread[::-1]], 2), 78)
    _write("failures.jpg", _sheet([_row(*entry[1:]) for entry in ranked[:10]], 2), 78)
