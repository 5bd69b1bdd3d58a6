"""Tiles to learn from: a picture, a coarse matte of it, and the true one.

A tile is what the element shows the network, ``TILE`` pixels a side, of whose middle it gives the matte, ``INSIDE`` a
side. Samples are larger, and are cut into tiles while training. Coarse
mattes are made from the true one at the size of a network's mask, spoilt as networks spoil them, and enlarged as the
element enlarges masks.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from builtin import backgrounds, compose, contract, evaluate, paths, photographs

from . import shapes, subjects
from .network import MARGIN

TILE = 80
INSIDE = TILE - 2 * MARGIN
SIDE = 128           # pixels of a sample
AROUND = 72          # pixels around it, in which its mask is made
SURE = 0.02          # a mask nearer to 0 or 1 is sure
NEAR = 0.4           # of the photographs behind the built-in network's mattes are shown to it from close by
BESIDE = 0.15        # of the longer side of its people is left around them then
LOOKS = 256, 320, 320, 448  # of the built-in network's inputs, the sides of squares of as many samples
LENS = 0.65          # of the samples are blurred as by a lens
ALIKE = 0.15         # coarse mattes that differ by up to this are of the same edge; by twice as much, they are not


@dataclass
class Sample:
    picture: np.ndarray   # (SIDE, SIDE, 3) uint8 BGR
    coarse: np.ndarray    # (SIDE, SIDE) float32 in [0, 1]
    gate: np.ndarray      # (SIDE, SIDE) float32: how far the matte may change
    truth: np.ndarray     # (SIDE, SIDE) float32 in [0, 1]
    alike: np.ndarray     # (SIDE, SIDE) float32: 1 where the coarse matte is of the true edge, 0 where it is of another


class Look(NamedTuple):
    """What the built-in network is shown of a photograph."""

    index: int
    near: bool   # the part around its people
    side: int    # it has as many samples as a square of this side


class Cut(NamedTuple):
    """A part of a picture and of its label."""

    layers: tuple[np.ndarray, np.ndarray]
    at: tuple[slice, slice]


def gate_of(mask: np.ndarray, reach: float) -> np.ndarray:
    """1 within ``reach`` samples of where the mask is not sure, with soft ends that reach twice as far; of the mask's size."""
    soft = ((mask > SURE) & (mask < 1 - SURE)).astype("f4")
    person = (mask >= 0.5).astype("u1")
    soft[:, 1:][person[:, 1:] != person[:, :-1]] = 1
    soft[1:][person[1:] != person[:-1]] = 1
    distance = np.minimum(cv2.distanceTransform((soft == 0).astype("u1"), cv2.DIST_L2, 3), 1e6)
    return np.clip(2 - distance / max(reach, 0.5), 0, 1).astype("f4")


def spoil(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What networks make of a true mask."""
    height, width = mask.shape
    if rng.random() < 0.35:
        mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.4, 1.8))
    if rng.random() < 0.3:  # thin things are lost, edges are too hard
        blurred = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.6, 2.5))
        sharp = np.clip((blurred - rng.uniform(0.3, 0.7)) * rng.uniform(1, 6) + 0.5, 0, 1)
        mask = cv2.GaussianBlur(sharp, (0, 0), rng.uniform(0.3, 1.2)) if rng.random() < 0.8 else sharp
    if rng.random() < 0.35:
        reach = rng.uniform(0.1, 1.2)
        if rng.random() < 0.5:
            shift = np.full((2, height, width), 1, "f4") * rng.normal(0, reach / 1.5, 2)[:, None, None]
        else:
            shift = np.stack([cv2.resize(rng.normal(0, reach, (5, 5)).astype("f4"), (width, height), interpolation=cv2.INTER_CUBIC) for _ in range(2)])
        grid = np.mgrid[:height, :width].astype("f4")
        mask = cv2.remap(mask, grid[1] + shift[0].astype("f4"), grid[0] + shift[1].astype("f4"), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.08:
        mask = mask.copy()
        for _ in range(int(rng.integers(1, 4))):
            at = (rng.random(2) * [width, height]).astype(int).tolist()
            cv2.circle(mask, at, int(rng.integers(1, 6)), float(rng.random()), -1)
    if rng.random() < 0.25:
        mask = mask + rng.normal(0, rng.uniform(0.003, 0.03), mask.shape).astype("f4") * (cv2.blur(mask, (5, 5)) % 1 > 0.01)
    return np.clip(mask, 0, 1).astype("f4")


def lens(rng: np.random.Generator) -> float:
    """Standard deviation of what a lens and a sensor blur at best, pixels."""
    return float(rng.uniform(0.3, 1.1))


def camera(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a sensor and a codec make of a picture, float32 in [0, 255] to uint8."""
    if rng.random() < 0.3:
        picture = picture + rng.uniform(0.2, 1.2) * (picture - cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.6, 1.5)))
    if rng.random() < 0.6:
        noise = rng.normal(0, np.exp(rng.uniform(np.log(0.4), np.log(7))), picture.shape[:2] + ((1,) if rng.random() < 0.5 else (3,)))
        picture = picture + (cv2.GaussianBlur(noise, (0, 0), 0.7).reshape(noise.shape) if rng.random() < 0.3 else noise)
    picture = np.clip(picture + 0.5, 0, 255).astype("u1")
    if rng.random() < 0.5:
        quality = int(rng.uniform(45, 97))
        picture = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return picture


def part_of_mask(mask: np.ndarray, frame: contract.Size, cut: tuple[slice, slice]) -> np.ndarray:
    """The square part of a frame's mask that lies at ``cut`` of the frame, on a grid of its own.

    The mask is of the frame padded to the mask's shape, as the built-in network is given it.
    """
    room = cut[0].stop - cut[0].start
    samples = round(room / max(length / side for length, side in zip(frame, mask.shape)))
    grid = np.mgrid[:samples, :samples].astype("f4")
    at = []
    for part, length, (before, after), side, index in zip(cut, frame, contract.paddings(frame, mask.shape), mask.shape, grid):
        centre = before + part.start + (index + 0.5) * np.float32(room / samples)  # pixels of the padded frame
        at.append(centre * np.float32(side / (before + length + after)) - 0.5)
    return cv2.remap(mask, at[1], at[0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _perhaps_mirrored(rng: np.random.Generator, *layers: np.ndarray) -> list[np.ndarray]:
    """The same, or half of the time all of them mirrored."""
    return [np.ascontiguousarray(layer[:, ::-1]) for layer in layers] if rng.random() < 0.5 else list(layers)


class Samples:
    """Draws samples of all kinds, of what is trained on or of what is held out."""

    KINDS = {"heads": 0.28, "shapes": 0.20, "network": 0.17, "photographs": 0.06, "network_photographs": 0.29}

    def __init__(self, held_out: bool, spoilt: float = 0.75) -> None:
        """spoilt: the share of coarse mattes that are not the true ones."""
        self.spoilt = spoilt
        self.subjects = np.load(subjects.subjects_file(held_out), mmap_mode="r")
        self.composites = np.load(subjects.composites_file(held_out), mmap_mode="r")
        self.masks = np.load(subjects.masks_file(held_out), mmap_mode="r")
        self.shapes = np.load(shapes.file(held_out), mmap_mode="r")
        self.backgrounds = np.load(backgrounds.file(held_out), mmap_mode="r")
        sets = [paths.labelled(name, held_out) for name in photographs.SHARES]
        self.labels = [path for labels in sets for path in labels]
        self._sets = np.cumsum([0, *map(len, sets)])
        self._edges: dict[tuple, np.ndarray] = {}
        self._read: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._mattes: dict[Look, np.ndarray] = {}
        self._builtin = evaluate.own(paths.MODEL, subjects.MASK_SIDE)

    def sample(self, rng: np.random.Generator, kind: str | None = None) -> Sample:
        """One that holds an edge."""
        while True:
            chosen = kind or str(rng.choice(list(self.KINDS), p=list(self.KINDS.values())))
            sample = getattr(self, f"_{chosen}")(rng)
            if sample is not None:
                return sample

    # What is cut out of pictures of subjects, with room around for their masks.

    def _cut(self, picture: np.ndarray, alpha: np.ndarray, key: tuple, side: int, rng: np.random.Generator) -> tuple[slice, slice] | None:
        """Rows and columns of a part of ``side`` pixels in whose middle there is an edge; ``key`` names the picture, where its edges are to be kept."""
        edges = self._edges.get(key) if key else None
        if edges is None:
            small = cv2.resize(np.ascontiguousarray(alpha), None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)
            near = cv2.dilate(small, np.ones((3, 3), "u1")).astype(int) - cv2.erode(small, np.ones((3, 3), "u1"))
            edges = np.argwhere(near > 12).astype("i2")
            if key:
                self._edges[key] = edges
        if len(edges) == 0:
            return None
        middle = edges[rng.integers(len(edges))] * 8 + rng.integers(-20, 28, 2)
        corner = [int(np.clip(at - side // 2, 0, room - side)) for at, room in zip(middle, alpha.shape)]
        return slice(corner[0], corner[0] + side), slice(corner[1], corner[1] + side)

    def _behind(self, rng: np.random.Generator, side: int, colour: np.ndarray) -> np.ndarray:
        """(side, side, 3) float32 in [0, 255]."""
        kind = rng.random()
        if kind < 0.18:
            base = rng.integers(0, 256, 3) if rng.random() < 0.5 else np.clip(colour + rng.normal(0, 30, 3), 0, 255)
            slope = np.linspace(-1, 1, side)[:, None, None] * rng.normal(0, 25, 3) * (rng.random() < 0.6)
            behind = np.broadcast_to(base + slope, (side, side, 3)).astype("f4")
            return behind if rng.random() < 0.5 else np.ascontiguousarray(behind.transpose(1, 0, 2))
        picture = self.backgrounds[rng.integers(len(self.backgrounds))]
        part = int(min(side / np.exp(rng.uniform(0, np.log(3.5))), picture.shape[0]))
        behind = subjects.part_of(rng, picture, part, side).astype("f4")
        if rng.random() < 0.25:
            grain = cv2.resize(rng.normal(0, 1, (side // int(rng.integers(1, 6)),) * 2).astype("f4"), (side, side), interpolation=cv2.INTER_LINEAR)
            behind += rng.uniform(3, 35) * grain[..., None]
        if rng.random() < 0.35:
            behind = cv2.GaussianBlur(behind, (0, 0), rng.uniform(0.5, 6))
        if rng.random() < 0.15:  # as bright as the person
            behind += (colour - behind.mean((0, 1))) * rng.uniform(0.4, 1)
        return np.clip(behind * rng.uniform(0.6, 1.3), 0, 255)

    def _composed(self, subject: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
        """A picture of a premultiplied subject, float32, and its alpha in [0, 1]."""
        subject = subject.astype("f4")
        # What lenses and sensors blur, they blur with its alpha: nothing is to be learnt that makes edges sharper than they are.
        if rng.random() < LENS:
            subject = cv2.GaussianBlur(subject, (0, 0), lens(rng), borderType=cv2.BORDER_REPLICATE)
        if rng.random() < 0.28:
            sigma = np.exp(rng.uniform(np.log(0.4), np.log(4)))
            if rng.random() < 0.3:
                subject = cv2.filter2D(subject, -1, compose.streak(2 + 4 * sigma, rng.uniform(0, np.pi)), borderType=cv2.BORDER_REPLICATE)
            else:
                subject = cv2.GaussianBlur(subject, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        alpha = np.clip(subject[..., 3:] / 255, 0, 1)
        if rng.random() < 0.5:
            gain, lift = rng.uniform(0.5, 1.5) * rng.normal(1, 0.08, 3), rng.uniform(0, 60) * (rng.random() < 0.2)
            subject[..., :3] = np.clip(subject[..., :3] * gain + lift * alpha, 0, 255 * alpha)
        share = alpha.sum()
        if not 20 < share < 0.995 * alpha.size:
            return None
        colour = subject[..., :3].sum((0, 1)) / share
        behind = self._behind(rng, alpha.shape[0], colour)
        return subject[..., :3] + behind * (1 - alpha), alpha[..., 0]

    def _heads(self, rng: np.random.Generator) -> Sample | None:
        index = int(rng.integers(len(self.subjects)))
        whole = self.subjects[index]
        scale = 1.0 if rng.random() < 0.5 else rng.uniform(0.45, 1.3)
        room = SIDE + 2 * AROUND
        cut = self._cut(whole, whole[..., 3], ("subject", index), min(int(room / scale), whole.shape[0]), rng)
        return None if cut is None else self._of_subject(cv2.resize(whole[cut], (room, room), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), rng)

    def _shapes(self, rng: np.random.Generator) -> Sample | None:
        index = int(rng.integers(len(self.shapes)))
        cut = self._cut(self.shapes[index], self.shapes[index][..., 3], ("shape", index), SIDE + 2 * AROUND, rng)
        return None if cut is None else self._of_subject(self.shapes[index][cut], rng)

    def _of_subject(self, subject: np.ndarray, rng: np.random.Generator) -> Sample | None:
        if rng.random() < 0.5:
            subject = subject[:, ::-1]
        if rng.random() < 0.3:
            subject = subject.transpose(1, 0, 2)
        composed = self._composed(np.ascontiguousarray(subject), rng)
        return None if composed is None else self._sample(*composed, np.exp(rng.uniform(np.log(1.2), np.log(8))), rng)

    def _photographs(self, rng: np.random.Generator) -> Sample | None:
        """Of a labelled photograph as it is, enlarged or not; its label is no finer than a few pixels."""
        cut = self._cut_photograph(self._photograph(self._any_photograph(rng)), rng, 0.5, 2)
        if cut is None:
            return None
        picture, alpha = _perhaps_mirrored(rng, *(layer[cut.at] for layer in cut.layers))
        return self._sample(picture.astype("f4"), alpha.astype("f4") / 255, np.exp(rng.uniform(np.log(2), np.log(8))), rng)

    def _network_photographs(self, rng: np.random.Generator) -> Sample | None:
        """Of a labelled photograph, enlarged or not, with what the built-in network makes of it or of its people."""
        look = Look(self._any_photograph(rng), bool(rng.random() < NEAR), int(rng.choice(LOOKS)))
        cut = self._cut_photograph(self._photograph(look.index, look.near), rng, 1, 2.5)
        if cut is None:
            return None
        picture, alpha = cut.layers
        mask = part_of_mask(self._matte(look), alpha.shape, cut.at)
        picture, alpha, mask = _perhaps_mirrored(rng, picture[cut.at].astype("f4"), alpha[cut.at].astype("f4") / 255, mask)
        return self._sample(picture, alpha, len(alpha) / len(mask), rng, mask)

    def _cut_photograph(self, layers: tuple[np.ndarray, np.ndarray], rng: np.random.Generator, least: float, most: float) -> Cut | None:
        """A photograph and its label as enlarged by ``least`` to ``most``, or by as much as a sample needs, and where an edge is
        to be cut out; None where there is none."""
        height, width = layers[1].shape
        room = SIDE + 2 * AROUND
        scale = max(room / min(height, width), np.exp(rng.uniform(np.log(least), np.log(most))))
        size = [max(room, int(round(side * scale))) for side in (width, height)]
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        picture, alpha = (cv2.resize(layer, size, interpolation=method) for layer in layers)
        at = self._cut(alpha, alpha, (), room, rng)
        return None if at is None else Cut((picture, alpha), at)

    def _any_photograph(self, rng: np.random.Generator) -> int:
        """The number of one, of each set as often as the built-in network learns from it."""
        chosen = rng.choice(len(photographs.SHARES), p=list(photographs.SHARES.values()))
        return int(rng.integers(self._sets[chosen], self._sets[chosen + 1]))

    def _photograph(self, index: int, near: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """A photograph and its label, as they were read; with ``near`` the part around its people, as the element looks closer."""
        if index not in self._read:
            path = self.labels[index]
            self._read[index] = cv2.imread(str(path.with_suffix(".jpg"))), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        picture, alpha = self._read[index]
        people = np.argwhere(alpha > 127)
        if not near or len(people) == 0:
            return picture, alpha
        (top, left), (bottom, right) = people.min(0), people.max(0) + 1
        beside = int(BESIDE * max(bottom - top, right - left))
        part = slice(max(top - beside, 0), bottom + beside), slice(max(left - beside, 0), right + beside)
        return picture[part], alpha[part]

    def _matte(self, look: Look) -> np.ndarray:
        """What the built-in network makes of what it is shown, of its input's size, as it was made once."""
        if look not in self._mattes:
            picture = self._photograph(look.index, look.near)[0]
            size = contract.shaped(*picture.shape[:2], look.side)
            self._mattes[look] = self._builtin.predict(contract.prepare(picture, size, "pad"))[0, 0].astype("f2")
        return self._mattes[look].astype("f4")

    def _sample(self, picture: np.ndarray, alpha: np.ndarray, ratio: float, rng: np.random.Generator, mask: np.ndarray | None = None) -> Sample | None:
        """The middle of a picture, with a mask that has one sample to ``ratio`` pixels, or the given one."""
        room = alpha.shape[0]
        samples = max(int(round(room / ratio)), 8) if mask is None else mask.shape[0]
        true = cv2.resize(alpha, (samples, samples), interpolation=cv2.INTER_AREA)
        if mask is None:
            mask = spoil(true, rng) if rng.random() < self.spoilt else true
        coarse = cv2.resize(mask, (room, room), interpolation=cv2.INTER_CUBIC).clip(0, 1)
        reach = rng.uniform(6, 20) * samples / room
        gate = cv2.resize(gate_of(mask, reach), (room, room), interpolation=cv2.INTER_LINEAR)
        wide = 2.0 * max(1.0, 2.0 * samples / room)
        differs = cv2.GaussianBlur(true, (0, 0), wide) - cv2.GaussianBlur(mask, (0, 0), wide)
        alike = cv2.resize(np.clip(2 - np.abs(differs) / ALIKE, 0, 1), (room, room), interpolation=cv2.INTER_LINEAR)
        middle = slice((room - SIDE) // 2, (room - SIDE) // 2 + SIDE)
        here = (middle, middle)
        if gate[here][MARGIN:-MARGIN, MARGIN:-MARGIN].mean() < 0.03:
            return None
        return Sample(camera(picture, rng)[here], coarse[here], gate[here], alpha[here], alike[here])

    def _network(self, rng: np.random.Generator) -> Sample | None:
        index = int(rng.integers(len(self.composites)))
        alpha = self.subjects[index][..., 3]
        room = SIDE + 2 * AROUND
        cut = self._cut(alpha, alpha, ("subject", index), room, rng)
        if cut is None:
            return None
        picture = self.composites[index][cut].astype("f4")
        truth = alpha[cut].astype("f4") / 255
        if rng.random() < LENS:
            sigma = lens(rng)
            picture, truth = (cv2.GaussianBlur(layer, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for layer in (picture, truth))
        mask = part_of_mask(self.masks[index].astype("f4"), alpha.shape, cut)
        picture, truth, mask = _perhaps_mirrored(rng, picture, truth, mask)
        return self._sample(picture, truth, room / len(mask), rng, mask)
