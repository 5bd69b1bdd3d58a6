"""Training pictures from labelled photographs of people: as they are, and cut out before other surroundings.

A label is the alpha of the people in a photograph. A cut-out takes colours of the old surroundings with it where its
edge is soft; there the person's own colours are spread outwards before, or the network would learn to look for halos.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from . import compose, paths

# Of the pictures, by set; the few persons of the last two must not dominate.
SHARES = {"congress": 0.40, "18f": 0.35, "asl": 0.20, "walking": 0.05}
AS_THEY_ARE = 0.4   # of the pictures, the others are cut-outs
CROPPED = 0.6       # of the photographs that are shown as they are
SECOND = 0.2        # of the cut-outs have a second person beside them
CLUTTERED = 0.5     # of the surroundings of cut-outs have all clutter, the others next to none
GREY = 0.07         # of the pictures, besides those that every camera makes grey
ON_EDGES = 0.8      # of the cut-outs stay on the frame's edges where the photograph cut them
WHOLE_SIZES, CUT_OUT_SIZES = (0.55, 1.0), (0.35, 1.3)  # of crops to the photograph, of cut-outs to the frame's height
CLOSE = 0.25        # of the pictures are taken from closer: of a body that fills the frame the middle has to be known, too
CLOSE_WHOLE_SIZES, CLOSE_CUT_OUT_SIZES = (0.3, 0.6), (1.2, 2.4)


def own_colours(photo: np.ndarray, alpha: np.ndarray, spread: float = 2.5) -> np.ndarray:
    """(H, W, 3) uint8: ``photo`` with colours of what is surely the person spread into its soft edge.

    photo: (H, W, 3) uint8; alpha: (H, W) uint8. Pixels that are half the person's or less
    take all of their colour from their neighbours.
    """
    sure = ((alpha / np.float32(255)) ** 6)[..., None]
    weight = cv2.GaussianBlur(sure, (0, 0), spread)[..., None]
    near = cv2.GaussianBlur(photo * sure, (0, 0), spread) / np.maximum(weight, 1e-4)
    trust = np.clip(weight / 0.02, 0, 1) * np.minimum(2 - alpha[..., None] / np.float32(127.5), 1)
    return np.clip(photo + (near - photo) * trust + 0.5, 0, 255).astype("u1")


def cut_out(photo: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 premultiplied RGBA, as renders are, of a photograph (H, W, 3) BGR."""
    colours = own_colours(photo, alpha)[..., ::-1] * (alpha[..., None] / np.float32(255))
    return np.dstack([np.minimum(colours + 0.5, alpha[..., None]).astype("u1"), alpha])


@dataclass
class Photograph:
    """Pixels (H, W, 3) uint8 BGR and alpha (H, W) uint8."""

    photo: np.ndarray
    alpha: np.ndarray

    @classmethod
    def read(cls, label: Path) -> Photograph:
        return cls(cv2.imread(str(label.with_suffix(".jpg"))), cv2.imread(str(label), cv2.IMREAD_GRAYSCALE))


def held_out(name: str) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, picture (H, W, 3) uint8 BGR and alpha (H, W) float32 of a set's photographs that are never trained on."""
    entries = [(path.stem, Photograph.read(path)) for path in paths.labelled(name, True)]
    return [(label, entry.photo, entry.alpha / np.float32(255)) for label, entry in entries]


class Photographs:
    """Endless training pictures of ``side`` pixels; surroundings and camera are the composer's."""

    def __init__(self, composer: compose.Composer) -> None:
        self.composer, self.side = composer, composer.side
        self.sets = {name: [Photograph.read(path) for path in paths.labelled(name, False)] for name in SHARES}
        if not all(self.sets.values()):
            raise RuntimeError(f"photographs to learn from are missing in {paths.photographs()}")

    def sample(self, rng: np.random.Generator, distraction: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """A picture (side, side, 3) uint8 BGR and its alpha (side, side) uint8."""
        members = self.sets[list(SHARES)[rng.choice(len(SHARES), p=list(SHARES.values()))]]
        first = members[rng.integers(len(members))]
        if rng.random() < AS_THEY_ARE:
            picture, alpha = self._as_it_is(first, rng)
        else:
            others = [members[rng.integers(len(members))]] if rng.random() < SECOND else []
            picture, alpha = self._before_others(others + [first], rng, distraction)
        if rng.random() < GREY:
            picture = np.repeat(picture.mean(2, keepdims=True), 3, 2)
        return self.composer.photograph(picture, alpha, rng)

    def _as_it_is(self, entry: Photograph, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A photograph or a part of it, padded to a square: (side, side, 3) RGB and (side, side), float32 in [0, 1]."""
        photo, alpha = entry.photo, entry.alpha
        sizes = CLOSE_WHOLE_SIZES if rng.random() < CLOSE else WHOLE_SIZES
        if sizes is CLOSE_WHOLE_SIZES or rng.random() < CROPPED:
            rows, columns = (int(length * rng.uniform(*sizes)) for length in alpha.shape)
            top, left = rng.integers(0, alpha.shape[0] - rows + 1), rng.integers(0, alpha.shape[1] - columns + 1)
            photo, alpha = photo[top:top + rows, left:left + columns], alpha[top:top + rows, left:left + columns]
        square = compose.pad_square(np.ascontiguousarray(photo), np.ascontiguousarray(alpha))
        method = cv2.INTER_AREA if len(square[1]) > self.side else cv2.INTER_LINEAR
        photo, alpha = (cv2.resize(part, (self.side, self.side), interpolation=method) for part in square)
        return photo[..., ::-1].astype("f4") / np.float32(255), alpha / np.float32(255)

    def _before_others(self, entries: list[Photograph], rng: np.random.Generator, distraction: float) -> tuple[np.ndarray, np.ndarray]:
        """Cut-outs before other surroundings, the last one in front, in the form of ``_as_it_is``."""
        frame = (self.side, self.side)
        distraction *= 1.0 if rng.random() < CLUTTERED else 0.2
        picture, alpha = self.composer.surroundings(rng, frame, distraction), np.zeros(frame, "f4")
        if rng.random() < 0.3:
            picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 4.5) * self.side / 192)
        for entry in entries:
            person = self._placed(cut_out(entry.photo, entry.alpha), rng)
            if rng.random() < 0.1:
                person = self.composer.mottled(person, rng)
            gain = np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.05, 3))
            compose.lay_over(picture, alpha, person.pixels, person.top, person.left, compose.recolouring(gain, float(np.clip(rng.normal(1, 0.2), 0, 1.7))),
                             np.float32(rng.normal(0, 0.2)), np.float32(rng.normal(0, 0.2)))
        return picture, alpha

    def _placed(self, pixels: np.ndarray, rng: np.random.Generator) -> compose.Placed:
        """A cut-out scaled and put somewhere, mostly so that edges where it was cut lie on the frame's."""
        rows, columns = pixels.shape[:2]
        scale = self.side / rows * rng.uniform(*(CLOSE_CUT_OUT_SIZES if rng.random() < CLOSE else CUT_OUT_SIZES))
        flip = bool(rng.random() < 0.5)
        if rng.random() < ON_EDGES:
            if compose.is_cut(pixels[:, 0]) and compose.is_cut(pixels[:, -1]):
                scale = max(scale, self.side / columns)
            offset = (rng.normal(0, 0.12) * self.side, rng.normal(0, 0.2) * self.side)
            return compose.place(pixels, 0, 0, (rows, columns), (self.side, self.side), (scale, scale), offset, flip)
        size = (max(8, round(columns * scale)), max(8, round(rows * scale)))
        scaled = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 0.8 else cv2.INTER_LINEAR)
        left = round(rng.uniform(*sorted((-0.25 * size[0], self.side - 0.75 * size[0]))))
        return compose.Placed(cv2.flip(scaled, 1) if flip else scaled, self.side - size[1] if size[1] <= self.side else 0, left)
