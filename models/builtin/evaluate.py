"""Step ``evaluate``: IoU, MAD, MSE and edges of mattes in one table, several input sizes and the rival side by side.

Held-out photographs, held-out composites and held-out places choose between checkpoints, input sizes and ideas; sets
named ``report: ...`` are only reported on.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable

import cv2
import numpy as np
from tqdm import tqdm

from . import compose, contract, paths, photographs, render

SIDES = (256, 320)  # that the own network is measured at: live, and for files
BRIEF = 80          # pictures of a set while training runs
HANDS = "composites with hands"  # that a side of the picture cuts off from their bodies

# Name, picture (H, W, 3) uint8 BGR, and true alpha (H, W) float32 in [0, 1].
Entry = tuple[str, np.ndarray, np.ndarray]


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


def _apart(truth: np.ndarray) -> np.ndarray:
    return render.apart((truth * 255).astype("u1"))


def mean_of(entries: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([entry[key] for entry in entries])) for key in entries[0]}


@dataclass
class Model:
    """A network that mattes, at one input size: the own one or the rival.

    side: of a square input, or of the square that has as many samples as the own network's, which has the picture's shape.
    """

    name: str
    predict: contract.Predict
    side: int
    is_own: bool = True

    def matte(self, picture: np.ndarray) -> np.ndarray:
        size = contract.shaped(*picture.shape[:2], self.side) if self.is_own else (self.side, self.side)
        return contract.matte_of(picture, self.predict, size, "pad" if self.is_own else "stretch")


def session(path: Path, threads: int = 1):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def own(path: Path, side: int) -> Model:
    network = session(path)
    given = network.get_inputs()[0]
    return Model(f"builtin {side}", lambda batch: network.run(None, {given.name: batch})[0], side)


def the_rival(path: Path) -> Model:
    """MediaPipe's network: RGB, channels last, 256 pixels, the frame stretched; wrapped to look like ours."""
    network = session(path)
    name = network.get_inputs()[0].name

    def predict(batch: np.ndarray) -> np.ndarray:
        given = np.ascontiguousarray(batch[:, ::-1].transpose(0, 2, 3, 1))
        return network.run(None, {name: given})[0].reshape(1, 1, 256, 256)

    return Model("selfie", predict, 256, is_own=False)


# --------------------------------------------------------------------------------------------------------- sets

def composites(kind: str) -> list[Entry]:
    """Held-out composites with somebody in them, labelled with their avatars' names."""
    pairs = zip(compose.validation_avatars(kind), compose.validation(kind))
    return [(names, photo, alpha / np.float32(255)) for names, (photo, alpha) in pairs if (alpha > 127).mean() > 0.003]


def in_coloured_light(entries: list[Entry]) -> list[Entry]:
    """The same, each in light of a colour of its own, always the same one."""
    rng = np.random.default_rng(2044)
    return [(name, np.clip(picture * compose.lamp(rng), 0, 255).astype("u1"), alpha) for name, picture, alpha in entries]


def nobody() -> list[Entry]:
    """Held-out places."""
    return [(str(index), picture, np.zeros(picture.shape[:2], "f4")) for index, picture in enumerate(compose.nobody())]


def reported(name: str) -> list[Entry]:
    """A set of photographs that nothing is chosen by."""
    entries = []
    for path in sorted((paths.evaluation() / name).glob("*.jpg")):
        picture = cv2.imread(str(path))
        mask = cv2.imread(str(path.with_suffix(".png")), cv2.IMREAD_GRAYSCALE)
        if mask.shape != picture.shape[:2]:
            mask = cv2.resize(mask, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        entries.append((path.stem, picture, mask / np.float32(255)))
    return entries


def choosing_sets() -> dict[str, Callable[[], list[Entry]]]:
    """By name, the sets to choose by; those of nobody begin with ``nobody``."""
    sets: dict[str, Callable[[], list[Entry]]] = {}
    for name in paths.PHOTOGRAPH_SETS:
        if paths.labelled(name, True):
            sets[f"photographs {name}"] = lambda name=name: photographs.held_out(name)
    if compose.renders_are_there():
        sets["composites"] = lambda: composites("")
        sets["composites in colour"] = lambda: in_coloured_light(composites(""))
        sets["nobody"] = nobody
    if compose.renders_are_there("extras"):
        sets["composites with extras"] = lambda: composites("extras")
    if compose.renders_are_there("valid"):
        sets["composites of valid"] = lambda: composites("valid")
    if compose.renders_are_there("hands"):
        sets[HANDS] = lambda: [entry for entry in composites("hands") if _apart(entry[2]).any()]
    return sets


def all_sets() -> dict[str, Callable[[], list[Entry]]]:
    """The sets to choose by, and those that are only reported on."""
    folder = paths.evaluation()
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.exists() else []
    return choosing_sets() | {f"report: {name}": lambda name=name: reported(name) for name in names}


# ------------------------------------------------------------------------------------------------------ measuring

def measured(model: Model, entries: Iterable[Entry], name: str) -> list[dict[str, float]]:
    """Scores of every picture of the set ``name``.

    Of those with nobody only the share of pixels over 0.5; of those with hands that come in also how much of them is kept.
    """
    results = []
    for _, picture, truth in entries:
        matte = model.matte(picture)
        if name == "nobody":
            results.append({"share": float((matte > 0.5).mean())})
            continue
        results.append(scores_of(matte, truth) | {"edge": edge_error(matte, truth)})
        if name == HANDS:
            results[-1]["kept"] = float(matte[_apart(truth)].mean())
    return results


def brief(model: Model) -> dict[str, float]:
    """The scores that are logged while training runs: of few pictures of each set to choose by."""
    scores = {}
    for name, read in choosing_sets().items():
        means = mean_of(measured(model, read()[:BRIEF], name))
        scores |= {f"{name} {key}": round(means[key], 5) for key in ("iou", "mad", "share", "kept") if key in means}
    return scores


def run(model: str | None, sides: list[int], only: str | None, grid: str | None, report: str | None) -> None:
    """Measures the own network at several sizes and the rival in one run, and prints a table."""
    path = Path(model) if model else paths.MODEL
    models = [own(path, side) for side in sides]
    if paths.rival().exists():
        models.append(the_rival(paths.rival()))
    summary: dict[str, dict[str, dict[str, float]]] = {}
    worst: list[tuple[float, str, np.ndarray, np.ndarray]] = []
    for name, read in all_sets().items():
        if only and only not in name:
            continue
        entries = read()
        results = {which.name: measured(which, tqdm(entries, desc=f"{which.name} {name}", leave=False, mininterval=5), name) for which in models}
        summary[name] = {who: mean_of(rows) | {"pictures": len(rows)} for who, rows in results.items()}
        _print_rows(name, summary[name])
        if name == "report: people":
            _by_share(entries, results)
        if name == "composites of valid":
            _by_person(entries, results)
        elif name.startswith("composites"):
            _by_age(entries, results)
        if grid and name != "nobody":
            best = results[models[len(sides) - 1].name]
            worst += [(scores["iou"], f"{name} {entry[0]}", entry[1], models[len(sides) - 1].matte(entry[1])) for scores, entry in zip(best, entries)]
    if report:
        Path(report).write_text(json.dumps(summary, indent=1))
    if grid:
        cv2.imwrite(grid, _grid(sorted(worst, key=lambda entry: entry[0])[:20]))


def _print_rows(name: str, rows: dict[str, dict[str, float]]) -> None:
    for who, values in rows.items():
        numbers = "  ".join(f"{key} {value:.4f}" for key, value in values.items() if key != "pictures")
        print(f"{name:24} {who:12} {values['pictures']:4}  {numbers}", flush=True)


def _by_share(entries: list[Entry], results: dict[str, list[dict[str, float]]]) -> None:
    """IoU by the part of the picture that people fill."""
    share = np.array([float((mask > 0.5).mean()) for _, _, mask in entries])
    for low, high in ((0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 1.01)):
        members = np.where((share >= low) & (share < high))[0]
        if len(members):
            print(f"  people fill {low:.0%} to {min(high, 1):.0%} of {len(members)} pictures: IoU "
                  + ", ".join(f"{who} {np.mean([rows[index]['iou'] for index in members]):.3f}" for who, rows in results.items()))


def _by_person(entries: list[Entry], results: dict[str, list[dict[str, float]]]) -> None:
    """IoU by group, and by sex, of the pictures that show people of one only."""
    kinds = [[paths.group_and_sex(avatar) for avatar in label.split()] for label, _, _ in entries]
    for part in (0, 1):
        _by_kind([{pair[part] for pair in pairs} for pairs in kinds], results)


def _by_age(entries: list[Entry], results: dict[str, list[dict[str, float]]]) -> None:
    """IoU of the pictures that show adults only, and children only."""
    _by_kind([{"children" if "_Child_" in avatar else "adults" for avatar in label.split()} for label, _, _ in entries], results)


def _by_kind(kinds: list[set[str]], results: dict[str, list[dict[str, float]]]) -> None:
    """IoU by kind, of the pictures that show one kind only."""
    for kind in sorted({kind for shown in kinds for kind in shown}):
        members = [index for index, shown in enumerate(kinds) if shown == {kind}]
        print(f"  {kind} in {len(members)} pictures: IoU "
              + ", ".join(f"{who} {np.mean([rows[index]['iou'] for index in members]):.3f}" for who, rows in results.items() if members))


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
