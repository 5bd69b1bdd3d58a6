"""Step ``subjects``: avatars seen from near, with single hairs, 1024 pixels a side, and mattes of the built-in network.

Each picture follows from its number alone.
"""
from __future__ import annotations

import multiprocessing
import os

import cv2
import numpy as np
from tqdm import tqdm

from builtin import backgrounds, contract, evaluate, hair, paths, render

from . import places

SIDE = 1024
OVERSAMPLING = 2                            # per axis, besides the renderer's four samples
FRAMINGS = (0.38, 0.42, 0.15, 0.05, 0.0)    # of render.FRAMINGS
FINE = 0.75                                 # of the heads have single hairs, the others the wisps of the built-in network's renders
MASK_SIDE = 320                             # of the built-in network's input


def subjects_file(held_out: bool):
    """(N, SIDE, SIDE, 4) uint8, premultiplied BGRA."""
    return places.work() / f"subjects-{places.suffix(held_out)}.npy"


def composites_file(held_out: bool):
    """(N, SIDE, SIDE, 3) uint8 BGR: the same before surroundings."""
    return places.work() / f"composites-{places.suffix(held_out)}.npy"


def masks_file(held_out: bool):
    """(N, MASK_SIDE, MASK_SIDE) float16: what the built-in network makes of them."""
    return places.work() / f"masks-{places.suffix(held_out)}.npy"


def part_of(rng: np.random.Generator, picture: np.ndarray, part: int, side: int) -> np.ndarray:
    """(side, side, 3) uint8: a part of a picture, ``part`` pixels a side, enlarged."""
    top, left = rng.integers(0, picture.shape[0] - part + 1, 2)
    return cv2.resize(picture[top:top + part, left:left + part], (side, side), interpolation=cv2.INTER_CUBIC)


def surroundings(rng: np.random.Generator, pictures: np.ndarray, side: int) -> np.ndarray:
    """(side, side, 3) float32 in [0, 255]: an enlarged part of a picture, and often sharp things before it."""
    picture = pictures[rng.integers(len(pictures))]
    large = part_of(rng, picture, int(rng.uniform(0.4, 1.0) * picture.shape[0]), side).astype("f4")
    if rng.random() < 0.6:
        detail = np.zeros((side, side), "f4")
        for octave in rng.integers(3, 9, 3):
            grid = rng.normal(0, 1, (2 ** int(octave) + 2,) * 2).astype("f4")
            detail += cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
        large += rng.uniform(3, 30) * detail[..., None] * rng.normal(1, 0.2, 3).astype("f4") / 2
    for _ in range(int(rng.integers(0, 25)) if rng.random() < 0.6 else 0):
        first = rng.integers(-side // 5, side, 2)
        last = first + rng.integers(4, max(side // 3, 5), 2)
        colour = large[tuple(np.clip(first, 0, side - 1))] * rng.uniform(0.4, 1.6) + rng.normal(0, 25, 3)
        if rng.random() < 0.7:
            cv2.rectangle(large, first.tolist(), last.tolist(), colour.tolist(), -1)
        else:
            cv2.line(large, first.tolist(), last.tolist(), colour.tolist(), int(rng.integers(1, 9)), cv2.LINE_AA)
    blur = rng.uniform(0, 3) * (rng.random() < 0.5)
    return np.clip(cv2.GaussianBlur(large, (0, 0), blur) if blur > 0.3 else large, 0, 255)


class _Maker:
    def __init__(self, held_out: bool) -> None:
        from builtin.renderer import Renderer

        cv2.setNumThreads(1)
        self.held_out = held_out
        self.renderer = Renderer(SIDE * OVERSAMPLING)
        self.names = paths.avatar_names(held_out) + paths.avatar_names(held_out, "valid")
        self.backgrounds = np.load(backgrounds.file(held_out), mmap_mode="r")
        self.predict = evaluate.own(paths.MODEL, MASK_SIDE).predict

    def make(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng([2041, number, int(self.held_out)])
        person = render.Person(str(rng.choice(self.names)))
        self.renderer.picture(person.look.picture, shrinks=person.look.camera is None)
        grow = hair.fine if rng.random() < FINE else hair.grow
        while True:
            drawn, _ = person.random_picture(self.renderer, rng, None, rng if rng.random() < 0.3 else None, grow=grow, framings=FRAMINGS)
            if (drawn[..., 3] > 127).mean() > 0.03:
                break
        subject = cv2.resize(np.ascontiguousarray(drawn), (SIDE, SIDE), interpolation=cv2.INTER_AREA)[..., [2, 1, 0, 3]]
        behind = surroundings(rng, self.backgrounds, SIDE)
        composite = (subject[..., :3] + behind * (1 - subject[..., 3:].astype("f4") / 255) + 0.5).clip(0, 255).astype("u1")
        mask = self.predict(contract.prepare(composite, (MASK_SIDE, MASK_SIDE), "pad"))[0, 0]
        return subject, composite, mask.astype("f2")


def _make(job: tuple[int, int, int, bool]) -> int:
    first, last, count, held_out = job
    maker = _Maker(held_out)
    files = [np.load(name(held_out), mmap_mode="r+") for name in (subjects_file, composites_file, masks_file)]
    for number in tqdm(range(first, last), disable=first > 0):
        for file, made in zip(files, maker.make(number)):
            file[number] = made
    return last - first


def run(count: int, held_out: bool, processes: int) -> None:
    """Makes ``count`` pictures."""
    for name, shape, kind in ((subjects_file, (SIDE, SIDE, 4), "u1"), (composites_file, (SIDE, SIDE, 3), "u1"), (masks_file, (MASK_SIDE, MASK_SIDE), "f2")):
        np.lib.format.open_memmap(name(held_out), "w+", kind, (count, *shape)).flush()
    edges = np.linspace(0, count, processes + 1).astype(int)
    os.nice(5)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        print(sum(pool.imap_unordered(_make, [(int(a), int(b), count, held_out) for a, b in zip(edges, edges[1:])])), "subjects")
