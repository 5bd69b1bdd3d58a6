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

    points: np.ndarray   # (N, POINTS, 3) metres
    colours: np.ndarray  # (N, 3) linear RGB
    width: float         # metres

    def ribbons(self, to_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (N*POINTS*2, 12: position, tangent, side, along, colour, unused) and triangles (M, 3)."""
        count = len(self.points)
        world = self.points @ to_world[:3, :3].T + to_world[:3, 3]
        tangents = np.gradient(world, axis=1)
        tangents /= np.linalg.norm(tangents, axis=2, keepdims=True) + 1e-9
        along = np.broadcast_to(np.linspace(0, 1, POINTS)[None, :, None], (count, POINTS, 1))
        colours = np.broadcast_to(self.colours[:, None], (count, POINTS, 3))
        blank = np.zeros((count, POINTS, 1))
        both = [np.concatenate([world, tangents, np.full((count, POINTS, 1), side), along, colours, blank], 2)
                for side in (-1.0, 1.0)]
        vertices = np.stack(both, 2).reshape(-1, 12).astype("f4")
        base = (np.arange(count)[:, None] * POINTS + np.arange(POINTS - 1)).ravel()[:, None] * 2
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
