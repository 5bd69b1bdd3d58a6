"""What people wear on, before or around their heads, as solids.

Solids are built around the middle of the skull: X to the person's left, -Y to the front, Z up, metres.
``size`` is half of the head's width, depth and height.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .meshes import Mesh
from .poses import Skin, rotation
from .solids import Solid, ball, box, cylinder, joined, moved, revolved, tube


@dataclass
class Worn:
    """Something on a head, and above which height (metres from the skull's middle) it hides the hair."""

    solid: Solid
    hides_above: float = np.inf


def skull(mesh: Mesh, skin: Skin) -> tuple[np.ndarray, np.ndarray]:
    """Middle (3,) of the head in the bind pose, and half of its width, depth and height (3,); hair counts."""
    points = mesh.positions[(skin.weight_of("Head") > 0.5) & (mesh.positions[:, 2] > mesh.joint("Head")[2] + 0.03)]
    if len(points) < 20:
        return mesh.joint("Head") + [0, -0.01, 0.09], np.array([0.08, 0.1, 0.12])
    low, high = np.percentile(points, 2, axis=0), np.percentile(points, 98, axis=0)
    return (low + high) / 2 - [0, 0, 0.02], np.clip((high - low) / 2, [0.065, 0.08, 0.09], [0.12, 0.14, 0.15])


def _dome(size: np.ndarray, low: float, swell: float) -> Solid:
    """The part of a swollen head above ``low`` (-1 chin to 1 crown)."""
    height = np.linspace(low, 0.999, 9)
    vertices, normals, triangles = revolved(np.stack([np.sqrt(1 - height ** 2), height], 1), 24)
    return vertices * size * swell, normals, triangles


def _arc(size: np.ndarray, start: float, end: float, thickness: float, tilt: float = 0.0) -> Solid:
    """A band over the head from ear to ear; angles in degrees from the left ear over the crown."""
    angles = np.deg2rad(np.linspace(start, end, 15))
    path = np.stack([np.cos(angles) * size[0], np.zeros(15), np.sin(angles) * size[2]], 1)
    return moved(tube(path, thickness), turn=rotation([1, 0, 0], tilt))


def _hoop(size: np.ndarray, level: float, thickness: float, flat: float = 1.0) -> Solid:
    """A band around the head at ``level``."""
    angles = np.linspace(0, 2 * np.pi, 21)
    path = np.stack([np.cos(angles) * size[0], np.sin(angles) * size[1], np.full(21, level)], 1)
    vertices, normals, triangles = tube(path, thickness)
    return (vertices - [0, 0, level]) * [1, 1, flat] + [0, 0, level], normals, triangles


def _cap(rng: np.random.Generator, size: np.ndarray) -> Worn:
    low = rng.uniform(0.1, 0.4)
    brim_vertices, brim_normals, brim_triangles = ball(1.0, 0.05)
    brim = brim_vertices * [size[0] * 0.95, rng.uniform(0.07, 0.1), size[2]], brim_normals, brim_triangles
    whole = joined([_dome(size, low, 1.08), moved(brim, (0, -size[1] * 0.95, low * size[2] * 1.05))])
    backwards = rng.random() < 0.15
    return Worn(moved(whole, turn=rotation([0, 0, 1], 180) if backwards else None), low * size[2])


def _beanie(rng: np.random.Generator, size: np.ndarray) -> Worn:
    low = rng.uniform(-0.1, 0.35)
    parts = [_dome(size * [1, 1, rng.uniform(1.0, 1.35)], low, 1.1)]
    if rng.random() < 0.3:
        parts.append(moved(ball(rng.uniform(0.03, 0.05)), (0, 0, size[2] * 1.3)))
    return Worn(joined(parts), low * size[2])


def _hat(rng: np.random.Generator, size: np.ndarray) -> Worn:
    """With a brim all around: straw hats, bowlers, toppers."""
    radius, low, height = size[:2].mean() * 1.1, rng.uniform(0.15, 0.45) * size[2], rng.uniform(0.08, 0.2)
    brim, taper = radius * rng.uniform(1.2, 2.3), rng.uniform(0.7, 1.05)
    profile = np.array([[brim, low - rng.uniform(-0.02, 0.05)], [radius, low], [radius * 0.98, low + 0.02],
                        [radius * taper, low + height], [0.001, low + height * 1.03]])
    vertices, normals, triangles = revolved(profile, 24)
    return Worn(moved((vertices * [0.92, 1.05, 1], normals, triangles), turn=rotation([1, 0, 0], rng.normal(0, 6))), low)


def _helmet(rng: np.random.Generator, size: np.ndarray) -> Worn:
    low = rng.uniform(-0.5, 0.3)
    parts = [_dome(size, max(low, 0.1), rng.uniform(1.15, 1.35))]
    if low < 0:  # also around the back and the ears
        vertices, normals, triangles = _dome(size, low, 1.2)
        behind = vertices[triangles][:, :, 1].mean(1) > -0.3 * size[1]
        parts.append((vertices, normals, triangles[behind]))
    if rng.random() < 0.4:
        parts.append(_arc(size * 1.05, 180, 360, 0.008))  # a strap under the chin
    return Worn(joined(parts), low * size[2])


def _headphones(rng: np.random.Generator, size: np.ndarray) -> Worn:
    outer, ear = size * rng.uniform(1.06, 1.16), rng.uniform(0.03, 0.05)
    thick = rng.uniform(0.015, 0.04)
    parts = [_arc(outer, -5, 185, rng.uniform(0.006, 0.014), rng.normal(0, 8))]
    for side in (-1, 1):
        parts.append(moved(cylinder(ear, thick), (side * outer[0], 0, -0.1 * size[2]), rotation([0, 1, 0], 90)))
    if rng.random() < 0.4:  # a microphone before the mouth
        side = rng.choice([-1, 1])
        start, end = np.array([side * outer[0], 0, -0.02]), np.array([side * 0.03, -size[1] * 1.1, -0.55 * size[2]])
        middle = (start + end) / 2 + [side * 0.03, -0.02, -0.02]
        parts += [tube(np.array([start, middle, end]), 0.005), moved(ball(0.012), end)]
    return Worn(joined(parts))


def _goggles(rng: np.random.Generator, size: np.ndarray) -> Worn:
    """A headset before the eyes, or ski goggles, with a strap."""
    depth, height = rng.uniform(0.03, 0.11), rng.uniform(0.06, 0.11)
    front = box((size[0] * rng.uniform(1.5, 2.0), depth, height))
    parts = [moved(front, (0, -size[1] - depth * 0.2, 0.02)), _hoop(size * 1.05, 0.03, rng.uniform(0.005, 0.009), rng.uniform(1, 3))]
    if rng.random() < 0.4:
        parts.append(moved(_arc(size * 1.05, 0, 180, 0.01), turn=rotation([0, 0, 1], 90)))
    return Worn(joined(parts))


def _glasses(rng: np.random.Generator, size: np.ndarray) -> Worn:
    """Dark ones, or a thick frame alone."""
    radius, front, parts = rng.uniform(0.022, 0.032), -size[1] * 0.97, []
    for side in (-1, 1):
        spot = (side * 0.033, front, 0.0)
        lens = moved(cylinder(radius, 0.004), spot, rotation([1, 0, 0], 90))
        angles = np.linspace(0, 2 * np.pi, 13)
        rim = np.stack([np.cos(angles) * radius, np.zeros(13), np.sin(angles) * radius], 1)
        parts.append(lens if rng.random() < 0.7 else moved(tube(rim, 0.004), spot))
        parts.append(tube(np.array([[side * 0.06, front, 0.01], [side * size[0], front * 0.4, 0.01], [side * size[0], 0, 0.0]]), 0.003))
    return Worn(joined(parts + [moved(box((0.03, 0.004, 0.006)), (0, front, 0.01))]))


def _hood(rng: np.random.Generator, size: np.ndarray) -> Worn:
    """A hood, a veil or a headscarf: everything but the face, down to the shoulders."""
    vertices, normals, triangles = ball(1.0)
    vertices = vertices * size * rng.uniform(1.1, 1.25)
    middle = vertices[triangles].mean(1)
    window = rng.uniform(0.5, 0.8)
    face = (middle[:, 1] < -0.45 * size[1]) & (middle[:, 2] < window * size[2]) & (np.abs(middle[:, 0]) < size[0] * 0.85)
    down = rng.uniform(0.12, 0.35)
    drape, drape_normals, drape_triangles = cylinder(size[0] * 1.05, down, size[0] * 1.0)
    drape[:, :2] *= 1 + np.clip(-drape[:, 2:] / down + 0.5, 0, 1) * rng.uniform(0.2, 0.8)
    return Worn(joined([(vertices, normals, triangles[~face]),
                        moved((drape, drape_normals, drape_triangles), (0, 0.02, -size[2] - down / 2 + 0.06))]), -np.inf)


def _turban(rng: np.random.Generator, size: np.ndarray) -> Worn:
    low = rng.uniform(0.1, 0.35)
    vertices, normals, triangles = ball(1.0)
    folds = 1 + 0.05 * np.sin(vertices[:, 2:] * rng.uniform(8, 20) + vertices[:, :1] * 4)
    swollen = vertices * folds * size * [rng.uniform(1.15, 1.4), rng.uniform(1.1, 1.3), rng.uniform(0.6, 0.9)]
    return Worn(moved((swollen, normals, triangles), (0, 0.01, (low + 0.45) * size[2]), rotation([1, 0, 0], -10)), low * size[2])


def _mask(rng: np.random.Generator, size: np.ndarray) -> Worn:
    """Before mouth and nose, or a whole visor."""
    vertices, normals, triangles = ball(1.0)
    vertices = vertices * size * rng.uniform(1.03, 1.1)
    middle = vertices[triangles].mean(1)
    top = rng.uniform(-0.2, 0.0) if rng.random() < 0.8 else 0.5
    kept = (middle[:, 1] < -0.2 * size[1]) & (middle[:, 2] < top * size[2])
    return Worn(moved((vertices, normals, triangles[kept]), (0, 0, -0.4 * size[2])))


_KINDS = (_cap, _beanie, _hat, _helmet, _headphones, _goggles, _glasses, _hood, _turban, _mask)
_CHANCES = (0.16, 0.12, 0.12, 0.09, 0.17, 0.09, 0.08, 0.09, 0.04, 0.04)


def random_worn(rng: np.random.Generator, size: np.ndarray) -> Worn:
    """One of: cap, beanie, brimmed hat, helmet, headphones, goggles, glasses, hood, turban, mask."""
    return _KINDS[rng.choice(len(_KINDS), p=_CHANCES)](rng, size)


def cable(rng: np.random.Generator, ear: np.ndarray, end: np.ndarray, outwards: np.ndarray) -> Solid:
    """A thin cable that hangs from ``ear`` to ``end`` in one curve; (3,) each, ``outwards`` away from the neck, of length 1."""
    along = np.linspace(0, 1, 15)[:, None]
    slack = np.linalg.norm(end - ear) * (rng.uniform(0, 1.2) * outwards - [0, rng.uniform(-0.1, 0.3), rng.uniform(0, 0.4)])
    return tube(ear * (1 - along) + end * along + 2 * along * (1 - along) * slack, np.exp(rng.uniform(np.log(0.0012), np.log(0.004))), 5)
