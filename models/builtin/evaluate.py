"""Step ``evaluate``: IoU, MAD, MSE and SAD of mattes, on held-out composites and on photographs.

Held-out composites choose between checkpoints, input sizes and ideas. The photographs are only reported on.
"""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from . import compose, contract, paths


def scores_of(matte: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Scores of one matte against the true one, (H, W) float32 in [0, 1] both.

    iou: overlap of what exceeds 0.5, 1 where both are empty; mad, mse: mean absolute and squared difference;
    sad: sum of absolute differences in thousands of pixels.
    """
    ours, theirs = matte > 0.5, truth > 0.5
    union = (ours | theirs).sum()
    difference = np.abs(matte - truth)
    return {"iou": float((ours & theirs).sum() / union) if union else 1.0, "mad": float(difference.mean()),
            "mse": float((difference ** 2).mean()), "sad": float(difference.sum() / 1000)}


def edge_error(matte: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute difference near the true edge: where the truth is soft, and a few pixels around."""
    soft = ((truth > 0.02) & (truth < 0.98)).astype("u1")
    radius = max(2, round(max(truth.shape) / 100))
    band = cv2.dilate(soft, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)) > 0
    return float(np.abs(matte - truth)[band].mean()) if band.any() else 0.0


def mean_of(entries: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([entry[key] for entry in entries])) for key in entries[0]}


def held_out_scores(predict: contract.Predict, side: int, fit: str, limit: int | None = None, extras: bool = False) -> dict[str, float]:
    """Means over held-out composites with somebody in them, and the share over 0.5 where nobody is."""
    people = [(photo, alpha) for photo, alpha in compose.validation(extras=extras) if (alpha > 127).mean() > 0.003][:limit]
    entries = []
    for photo, alpha in people:
        truth = alpha / np.float32(255)
        matte = contract.matte_of(photo, predict, side, fit)
        entries.append(scores_of(matte, truth) | {"edge": edge_error(matte, truth)})
    empty = [float((contract.matte_of(photo, predict, side, fit) > 0.5).mean()) for photo in compose.nobody()[:limit]]
    return mean_of(entries) | {"nobody": float(np.mean(empty))}


@dataclass
class Model:
    """An ONNX network that mattes: the own one or the rival."""

    name: str
    predict: contract.Predict
    side: int
    fit: str
    results: dict[str, list[dict[str, float]]] = field(default_factory=dict)


def session(path: Path, threads: int = 2):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def own(path: Path, fit: str) -> Model:
    network = session(path)
    given = network.get_inputs()[0]
    return Model("builtin", lambda batch: network.run(None, {given.name: batch})[0], int(given.shape[2]), fit)


def the_rival(path: Path) -> Model:
    """MediaPipe's network: RGB, channels last, 256 pixels, the frame stretched; wrapped to look like ours."""
    network = session(path)
    name = network.get_inputs()[0].name

    def predict(batch: np.ndarray) -> np.ndarray:
        given = np.ascontiguousarray(batch[:, ::-1].transpose(0, 2, 3, 1))
        return network.run(None, {name: given})[0].reshape(1, 1, 256, 256)

    return Model("selfie", predict, 256, "stretch")


def photographs(name: str) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, picture (H, W, 3) uint8 BGR and mask (H, W) float32 of every photograph of a set."""
    entries = []
    for path in sorted((paths.evaluation() / name).glob("*.jpg")):
        picture = cv2.imread(str(path))
        mask = cv2.imread(str(path.with_suffix(".png")), cv2.IMREAD_GRAYSCALE)
        if mask.shape != picture.shape[:2]:
            mask = cv2.resize(mask, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        entries.append((path.stem, picture, mask / np.float32(255)))
    return entries


def run(model: str | None, fit: str, composites_only: bool, grid: str | None, report: str | None) -> None:
    """Measures the own network and the rival in one run and prints a table."""
    ours = own(Path(model) if model else paths.MODEL, fit)
    summary: dict[str, dict] = {}
    for fitted in contract.FITS if composites_only else (fit,):
        summary[f"held-out composites, {fitted}"] = {"builtin": held_out_scores(ours.predict, ours.side, fitted)}
    summary[f"with extras, {fit}"] = {"builtin": held_out_scores(ours.predict, ours.side, fit, extras=True)}
    if paths.rival().exists():
        rival = the_rival(paths.rival())
        summary["held-out composites, stretch"] = summary.get("held-out composites, stretch", {}) | {"selfie": held_out_scores(rival.predict, 256, "stretch")}
        summary["with extras, stretch"] = {"selfie": held_out_scores(rival.predict, 256, "stretch", extras=True)}
    else:
        rival = None
    worst = []
    if not composites_only:
        for name in sorted(path.name for path in paths.evaluation().iterdir() if path.is_dir()):
            entries = photographs(name)
            summary[name] = {}
            for which in (ours, rival) if rival else (ours,):
                which.results[name] = []
                for label, picture, mask in tqdm(entries, desc=f"{which.name} {name}", leave=False):
                    matte = contract.matte_of(picture, which.predict, which.side, which.fit)
                    which.results[name].append(scores_of(matte, mask))
                    if which is ours:
                        worst.append((which.results[name][-1]["iou"], f"{name} {label}", picture, matte))
                summary[name][which.name] = mean_of(which.results[name]) | {"median_iou": float(np.median([entry["iou"] for entry in which.results[name]]))}
            if name == "people":
                _by_share(entries, [which for which in (ours, rival) if which], name)
    for title, rows in summary.items():
        for who, values in rows.items():
            print(f"{title:34} {who:8} " + "  ".join(f"{key} {value:.4f}" for key, value in values.items()))
    if report:
        Path(report).write_text(json.dumps(summary, indent=1))
    if grid:
        cv2.imwrite(grid, _grid(sorted(worst, key=lambda entry: entry[0])[:20]))


def _by_share(entries: list, models: list[Model], name: str) -> None:
    """IoU by the part of the picture that people fill."""
    share = np.array([float((mask > 0.5).mean()) for _, _, mask in entries])
    for low, high in ((0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 1.01)):
        members = np.where((share >= low) & (share < high))[0]
        if len(members):
            print(f"  {name}: people fill {low:.0%} to {min(high, 1):.0%} of {len(members)} pictures: IoU "
                  + ", ".join(f"{which.name} {np.mean([which.results[name][index]['iou'] for index in members]):.3f}" for which in models))


def _grid(entries: list, tile: int = 230) -> np.ndarray:
    """Pictures beside their cut-outs on green, worst first."""
    tiles = []
    for iou, label, picture, matte in entries:
        cut = picture * matte[..., None] + np.array([60, 200, 0]) * (1 - matte[..., None])
        pair = np.hstack([cv2.resize(side.astype("u1"), (tile, tile), interpolation=cv2.INTER_AREA) for side in (picture, cut)])
        cv2.putText(pair, f"{label} {iou:.2f}", (3, 14), 0, 0.45, (0, 255, 255), 1, cv2.LINE_AA)
        tiles.append(pair)
    while len(tiles) % 4:
        tiles.append(np.zeros_like(tiles[0]))
    return np.vstack([np.hstack(tiles[row:row + 4]) for row in range(0, len(tiles), 4)])
