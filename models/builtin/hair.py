"""Loose strands of hair around the head: what gives mattes their really soft edges.

The avatars' own hair is a closed surface. Strands grow from it outwards, fall, curl, and are drawn as ribbons
thinner than a pixel, so that alpha between 0 and 1 arises as in a photograph.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .meshes import Mesh

POINTS = 7                # along a strand
STRAND_WIDTH = 0.0009     # metres: a wisp of a few hairs


@dataclass
class Strands:
    """N strands in the bind pose of the head."""

    points: np.ndarray   # (N, P, 3) metres
    colours: np.ndarray  # (N, 3) linear RGB
    width: float         # metres

    def ribbons(self, to_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (N*P*2, 12: position, tangent, side, along, colour, unused) and triangles (M, 3)."""
        count, length = self.points.shape[:2]
        world = self.points @ to_world[:3, :3].T + to_world[:3, 3]
        tangents = np.gradient(world, axis=1)
        tangents /= np.linalg.norm(tangents, axis=2, keepdims=True) + 1e-9
        along = np.broadcast_to(np.linspace(0, 1, length)[None, :, None], (count, length, 1))
        colours = np.broadcast_to(self.colours[:, None], (count, length, 3))
        blank = np.zeros((count, length, 1))
        both = [np.concatenate([world, tangents, np.full((count, length, 1), side), along, colours, blank], 2)
                for side in (-1.0, 1.0)]
        vertices = np.stack(both, 2).reshape(-1, 12).astype("f4")
        base = (np.arange(count)[:, None] * length + np.arange(length - 1)).ravel()[:, None] * 2
        return vertices, np.concatenate([base + [0, 1, 2], base + [1, 3, 2]]).astype("i4")


def grow(mesh: Mesh, roots: np.ndarray, colours: np.ndarray, rng: np.random.Generator, style: str | None = None) -> Strands | None:
    """Strands from the given vertices; None for heads without hair.

    colours: (V, 3) linear RGB of the mesh; the strands take their root's. style: one of those below, else random.
    """
    if len(roots) < 20:
        return None
    style = style or rng.choice(["tidy", "fuzzy", "long", "curly"], p=[0.3, 0.3, 0.25, 0.15])
    count = int(rng.uniform(150, 500) if style == "tidy" else rng.uniform(400, 1400))
    length = {"tidy": rng.uniform(0.02, 0.06), "fuzzy": rng.uniform(0.03, 0.10),
              "long": rng.uniform(0.12, 0.34), "curly": rng.uniform(0.05, 0.14)}[style]
    outwards = {"tidy": 0.5, "fuzzy": 1.0, "long": 0.5, "curly": 0.9}[style]
    gravity = {"tidy": 0.3, "fuzzy": 0.15, "long": 0.8, "curly": 0.15}[style] * rng.uniform(0.5, 1.4)
    wander = {"tidy": 0.25, "fuzzy": 0.4, "long": 0.2, "curly": 0.9}[style] * rng.uniform(0.5, 1.3)
    wind = rng.normal(0, 0.15, 3) * (rng.random() < 0.4)

    chosen = rng.choice(roots, count)
    normals = mesh.normals[chosen].astype("f8")
    points = np.empty((count, POINTS, 3))
    points[:, 0] = mesh.positions[chosen] - normals * 0.004 + rng.normal(0, 0.004, (count, 3))
    step = length * rng.uniform(0.35, 1.0, (count, 1)) / (POINTS - 1)
    heading = normals * outwards + rng.normal(0, 0.45, (count, 3))
    centre = mesh.joint("Head") + [0, -0.01, 0.09]
    for index in range(1, POINTS):
        heading = heading + rng.normal(0, wander, (count, 3)) + wind + [0, 0, -gravity]
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        point = points[:, index - 1] + heading * step
        # Hair lies on the skull, not in it.
        inside = (point - centre) / [0.075, 0.095, 0.115]
        depth = np.linalg.norm(inside, axis=1, keepdims=True)
        points[:, index] = np.where(depth < 1, centre + inside / np.maximum(depth, 1e-3) * [0.075, 0.095, 0.115], point)
    shade = np.clip(colours[chosen] * rng.lognormal(0, 0.25, (count, 1)) * rng.uniform(0.8, 1.8), 0.004, 1)
    return Strands(points, shade, STRAND_WIDTH * rng.uniform(0.5, 1.6))


def fine(mesh: Mesh, roots: np.ndarray, colours: np.ndarray, rng: np.random.Generator) -> Strands | None:
    """Single hairs for pictures of many pixels, as wisps that lie about a few strands of ``grow``; None for heads without hair."""
    guides = grow(mesh, roots, colours, rng)
    if guides is None:
        return None
    each = int(rng.integers(2, 9))
    chosen = rng.choice(len(guides.points), min(len(guides.points), 500), replace=False)
    points = np.repeat(_smooth(guides.points[chosen], 20), each, 0)
    along = np.linspace(0, 1, points.shape[1])[None, :, None]
    # A wisp's hairs begin a few millimetres apart; they gather towards its end, or part there.
    spread = rng.uniform(0.001, 0.006) * (1 + rng.uniform(-0.8, 2.0) * along)
    waves = rng.uniform(0, 2 * np.pi, (len(points), 1, 3)) + along * rng.uniform(2, 14, (len(points), 1, 1))
    points = points + spread * (rng.normal(0, 1, (len(points), 1, 3)) + 0.3 * np.sin(waves))
    shade = np.repeat(guides.colours[chosen], each, 0) * rng.lognormal(0, 0.2, (len(points), 1))
    return Strands(points, np.clip(shade, 0.002, 1), float(np.exp(rng.uniform(np.log(5e-5), np.log(5e-4)))))


def _smooth(points: np.ndarray, count: int) -> np.ndarray:
    """(N, count, 3): the curves through (N, P, 3) points, by Catmull and Rom."""
    place = np.linspace(0, points.shape[1] - 1, count)
    first = np.minimum(place.astype(int), points.shape[1] - 2)
    t = (place - first)[None, :, None]
    padded = np.concatenate([2 * points[:, :1] - points[:, 1:2], points, 2 * points[:, -1:] - points[:, -2:-1]], 1)
    a, b, c, d = (padded[:, first + index] for index in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
