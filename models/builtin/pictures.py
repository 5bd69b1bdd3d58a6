"""Step ``pictures``: the model card's contact sheets, from held-out avatars and places only."""
from __future__ import annotations

import json

import cv2
import numpy as np

from . import compose, contract, evaluate, paths

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


def _curve() -> np.ndarray | None:
    """Held-out IoU against pictures seen, drawn from the log of the training in the build folder."""
    file = paths.work() / "train-log.jsonl"
    entries = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    entries = [entry for entry in entries if entry["seen"] > 0 and entry["side"] == 256]
    if len(entries) < 2:
        return None
    width, height, margin = 640, 320, 46
    canvas = np.full((height, width, 3), 255, "u1")
    first, most = min(entry["seen"] for entry in entries), max(entry["seen"] for entry in entries)
    low = np.floor(min(entry["iou"] for entry in entries) * 10) / 10

    def spot(seen: float, iou: float) -> tuple[int, int]:
        return (int(margin + (width - 2 * margin) * (seen - first) / (most - first)), int(height - margin - (height - 2 * margin) * (iou - low) / (1 - low)))

    for level in np.arange(low, 1.001, 0.1):
        cv2.line(canvas, spot(first, level), spot(most, level), (220, 220, 220), 1)
        cv2.putText(canvas, f"{level:.1f}", (8, spot(first, level)[1] + 4), 0, 0.42, (60, 60, 60), 1, cv2.LINE_AA)
    constant = [entry for entry in entries if not entry["cooldown"]]
    cv2.polylines(canvas, [np.array([spot(entry["seen"], entry["iou"]) for entry in constant])], False, (160, 90, 20), 2, cv2.LINE_AA)
    for entry in entries:
        cv2.circle(canvas, spot(entry["seen"], entry["iou"]), 4, (30, 30, 200) if entry["cooldown"] else (160, 90, 20), -1, cv2.LINE_AA)
    cv2.putText(canvas, f"IoU on held-out composites after {first:,} to {most:,} pictures; red: cool-down", (margin, 24), 0, 0.44, (40, 40, 40), 1, cv2.LINE_AA)
    return canvas


def run() -> None:
    """Typical results, best soft edges, and the worst failures on held-out composites."""
    ours = evaluate.own(paths.MODEL, "pad-square")
    entries = []
    for photo, alpha in compose.validation():
        truth = alpha / np.float32(255)
        if 0.003 < (truth > 0.5).mean():
            matte = contract.matte_of(photo, ours.predict, ours.side)
            entries.append((evaluate.scores_of(matte, truth)["iou"], photo, truth, matte))
    ranked = sorted(entries, key=lambda entry: entry[0])
    spread = [ranked[round(place)] for place in np.linspace(len(ranked) * 0.1, len(ranked) - 1, 20)]
    _write("typical.jpg", _sheet([_row(*entry[1:]) for entry in spread[::-1]], 2), 78)
    _write("failures.jpg", _sheet([_row(*entry[1:]) for entry in ranked[:10]], 2), 78)
    curve = _curve()
    if curve is not None:
        _write("curve.jpg", curve, 88)
