"""Things that are not people: simple solids, furniture, plants, and what hands hold.

All functions return (vertices (V, 3) metres, normals (V, 3), triangles (T, 3)).
"""
from __future__ import annotations

import numpy as np

from .poses import rotation

Solid = tuple[np.ndarray, np.ndarray, np.ndarray]


def box(size: np.ndarray | tuple[float, float, float]) -> Solid:
    """A box of full side lengths ``size`` around the origin."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    vertices = np.concatenate([corners[list(face)] for face in faces])
    normals = np.concatenate([np.repeat(corners[list(face)].mean(0)[None], 4, 0) for face in faces])
    triangles = np.concatenate([[[4 * i, 4 * i + 1, 4 * i + 2], [4 * i, 4 * i + 2, 4 * i + 3]] for i in range(6)])
    return vertices * np.asarray(size) / 2, normals, triangles


def revolved(profile: np.ndarray, sides: int = 20) -> Solid:
    """A surface of revolution about Z; profile (P, 2): radius and height, from one end to the other."""
    angles = np.linspace(0, 2 * np.pi, sides)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    radius, height = profile[:, 0], profile[:, 1]
    vertices = np.concatenate([circle[None] * radius[:, None, None],
                               np.broadcast_to(height[:, None, None], (len(profile), sides, 1))], 2).reshape(-1, 3)
    slope = np.gradient(profile, axis=0)
    slope /= np.linalg.norm(slope, axis=1, keepdims=True) + 1e-9
    normals = np.concatenate([circle[None] * slope[:, 1][:, None, None],
                              np.broadcast_to(-slope[:, 0][:, None, None], (len(profile), sides, 1))], 2).reshape(-1, 3)
    rows = np.arange(len(profile) - 1)[:, None] * sides + np.arange(sides - 1)
    first = rows.ravel()[:, None]
    return vertices, normals, np.concatenate([first + [0, 1, sides], first + [1, sides + 1, sides]])


def cylinder(radius: float, height: float, top_radius: float | None = None) -> Solid:
    top = radius if top_radius is None else top_radius
    return revolved(np.array([[0.001, -height / 2], [radius, -height / 2], [top, height / 2], [0.001, height / 2]]))


def tube(path: np.ndarray, radius: float, sides: int = 7) -> Solid:
    """A round bar along the points ``path`` (P, 3)."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    # Any fixed direction serves for "up" that no part of the path follows.
    up = np.eye(3)[np.abs(along).max(0).argmin()]
    first = np.cross(along, up)
    first /= np.linalg.norm(first, axis=1, keepdims=True) + 1e-9
    second = np.cross(along, first)
    angles = np.linspace(0, 2 * np.pi, sides)
    normals = first[:, None] * np.cos(angles)[None, :, None] + second[:, None] * np.sin(angles)[None, :, None]
    vertices = path[:, None] + normals * radius
    start = (np.arange(len(path) - 1)[:, None] * sides + np.arange(sides - 1)).ravel()[:, None]
    return (vertices.reshape(-1, 3), normals.reshape(-1, 3),
            np.concatenate([start + [0, 1, sides], start + [1, sides + 1, sides]]))


def ball(radius: float, squash: float = 1.0) -> Solid:
    angle = np.linspace(0.01, np.pi - 0.01, 12)
    return revolved(np.stack([radius * np.sin(angle), -radius * squash * np.cos(angle)], 1))


def blob(rng: np.random.Generator, radius: float) -> Solid:
    """A lumpy ball: cushions, stones, sacks, bushes from afar."""
    vertices, normals, triangles = ball(radius)
    wave = rng.uniform(2, 7, (3, 3)) / radius
    swell = 1 + rng.uniform(0.05, 0.3) * np.sin(vertices @ wave + rng.uniform(0, 6, 3)).mean(1, keepdims=True)
    return vertices * swell * rng.uniform(0.5, 1.5, 3), normals, triangles


def moved(solid: Solid, offset: tuple | np.ndarray = (0, 0, 0), turn: np.ndarray | None = None) -> Solid:
    vertices, normals, triangles = solid
    if turn is not None:
        vertices, normals = vertices @ turn.T, normals @ turn.T
    return vertices + np.asarray(offset), normals, triangles


def joined(parts: list[Solid]) -> Solid:
    offsets = np.cumsum([0] + [len(part[0]) for part in parts[:-1]])
    return (np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]),
            np.concatenate([part[2] + offset for part, offset in zip(parts, offsets)]))


def leaves(rng: np.random.Generator, radius: float, count: int) -> Solid:
    """A cloud of leaf-like slivers: plants and trees."""
    centres = rng.normal(0, 1, (count, 3))
    centres *= radius * rng.random((count, 1)) ** 0.4 / np.linalg.norm(centres, axis=1, keepdims=True)
    length = radius * rng.uniform(0.15, 0.5)
    along, across = rng.normal(0, 1, (count, 3)), rng.normal(0, 1, (count, 3))
    along *= length / np.linalg.norm(along, axis=1, keepdims=True)
    across *= length * rng.uniform(0.15, 0.5) / np.linalg.norm(across, axis=1, keepdims=True)
    vertices = np.stack([centres - along, centres + across, centres + along, centres - across], 1)
    normal = np.cross(along, across)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    first = np.arange(count)[:, None] * 4
    return (vertices.reshape(-1, 3), np.repeat(normal, 4, 0),
            np.concatenate([first + [0, 1, 2], first + [0, 2, 3]]))


def furniture(rng: np.random.Generator) -> Solid:
    """One of: chair, table, shelf, lamp, plant, screen, bottle, bag, coat on a stand, or a heap of solids."""
    kind = rng.integers(10)
    u = rng.uniform
    if kind == 0:
        seat, back = u(0.4, 0.6), u(0.4, 0.9)
        legs = [moved(box((0.04, 0.04, 0.45)), (x * seat / 2, y * seat / 2, -0.25)) for x in (-1, 1) for y in (-1, 1)]
        return joined([box((seat, seat, u(0.04, 0.2))), moved(box((seat, u(0.03, 0.12), back)), (0, seat / 2, back / 2))] + legs)
    if kind == 1:
        width, depth = u(0.6, 1.8), u(0.4, 0.9)
        legs = [moved(box((0.06, 0.06, 0.7)), (x * width / 2.2, y * depth / 2.2, -0.35)) for x in (-1, 1) for y in (-1, 1)]
        things = [moved(cylinder(u(0.03, 0.08), u(0.05, 0.3)), (u(-0.4, 0.4) * width, u(-0.4, 0.4) * depth, 0.12)) for _ in range(rng.integers(0, 5))]
        return joined([box((width, depth, 0.05))] + legs + things)
    if kind == 2:
        width, height, rows = u(0.6, 1.6), u(0.8, 2.0), rng.integers(2, 6)
        parts = [moved(box((0.04, 0.3, height)), (side * width / 2, 0, 0)) for side in (-1, 1)]
        for row in range(rows):
            level = (row / (rows - 1) - 0.5) * height
            parts.append(moved(box((width, 0.3, 0.03)), (0, 0, level)))
            x = -width / 2 + 0.05
            while row < rows - 1 and x < width / 2 - 0.05:
                thick, tall = u(0.02, 0.09), u(0.4, 0.95) * height / (rows - 1)
                parts.append(moved(box((thick, 0.22, tall)), (x, u(-0.05, 0.0), level + tall / 2)))
                x += thick + (u(0, 0.3) if rng.random() < 0.2 else 0.004)
        return joined(parts)
    if kind == 3:
        height = u(0.3, 1.5)
        return joined([cylinder(0.02, height), moved(cylinder(u(0.1, 0.2), u(0.1, 0.3), u(0.05, 0.15)), (0, 0, height / 2)),
                       moved(cylinder(0.13, 0.03), (0, 0, -height / 2))])
    if kind == 4:
        size = u(0.15, 0.6)
        return joined([leaves(rng, size, int(u(30, 220))), moved(cylinder(size * 0.4, size * 0.6, size * 0.5), (0, 0, -size))])
    if kind == 5:
        width = u(0.3, 1.2)
        return joined([box((width, 0.04, width * 0.6)), moved(cylinder(0.03, 0.25), (0, 0, -width * 0.4)), moved(box((0.3, 0.2, 0.02)), (0, 0, -width * 0.5))])
    if kind == 6:
        radius, height = u(0.03, 0.12), u(0.15, 0.5)
        profile = np.array([[0.001, 0], [radius, 0], [radius, height * u(0.4, 0.7)], [radius * u(0.25, 0.9), height * 0.8], [radius * 0.3, height], [0.001, height]])
        return revolved(profile)
    if kind == 7:
        return joined([blob(rng, u(0.15, 0.4)), moved(cylinder(0.015, u(0.3, 0.8)), (0, 0, 0.2), rotation([0, 1, 0], u(-60, 60)))])
    if kind == 8:  # as tall as a person, clothes without a body
        hang = u(0.5, 1.1)
        profile = np.array([[0.02, 0.25], [u(0.1, 0.24), 0.2], [u(0.15, 0.3), -hang / 2], [u(0.15, 0.35), -hang], [0.01, -hang]])
        vertices, normals, triangles = revolved(profile)
        folds = 1 + u(0.05, 0.25) * np.sin(np.arctan2(vertices[:, 1], vertices[:, 0]) * rng.integers(3, 9))[:, None] * [1, 1, 0]
        return joined([(vertices * folds * [1, u(0.3, 0.8), 1], normals, triangles), moved(cylinder(0.02, 1.7), (0, 0, -0.6))])
    parts = []
    for _ in range(rng.integers(1, 7)):
        size = np.exp(rng.normal(-1.3, 0.6, 3)) * 2
        part = (box(size), moved(ball(0.5), turn=np.diag(size)), moved(cylinder(0.5, 1.0), turn=np.diag(size)), blob(rng, size[0] / 2))[rng.integers(4)]
        turn = rotation(rng.normal(size=3), u(0, 180)) if rng.random() < 0.4 else rotation([0, 0, 1], u(0, 180))
        parts.append(moved(part, rng.normal(0, 0.3, 3), turn))
    return joined(parts)


def structure(rng: np.random.Generator) -> Solid:
    """Parts of buildings and what stands in halls, on the floor around the origin: bench, railing, arches, beams, pipes, stairs, sign or kiosk.

    They are as large as people or larger, and of one piece, as bodies are.
    """
    u = rng.uniform
    kind = rng.integers(8)
    if kind == 0:  # a long box, perhaps on feet
        length, depth, height = u(0.8, 3.0), u(0.35, 0.8), u(0.15, 0.45)
        feet = [moved(box((0.08, depth * 0.8, 0.15)), (side * length * 0.4, 0, 0.07)) for side in (-1, 1)]
        return joined([moved(box((length, depth, height)), (0, 0, 0.15 + height / 2))] + feet)
    if kind == 1:  # a straight or curved railing of bars or one panel, with a handrail
        turn, radius, high, count = u(0.2, 2.5), u(1.0, 5.0), u(0.8, 1.2), int(u(10, 30))
        angles = np.linspace(-turn / 2, turn / 2, count)
        path = np.stack([np.sin(angles) * radius, radius - np.cos(angles) * radius, np.full(count, high)], 1)
        parts = [tube(path, u(0.02, 0.06)), tube(path - [0, 0, high - 0.08], 0.02)]
        if rng.random() < 0.5:
            parts += [moved(cylinder(u(0.008, 0.02), high), spot - [0, 0, high / 2]) for spot in path]
        else:
            feet, outward = path - [0, 0, high], np.stack([np.sin(angles), -np.cos(angles), np.zeros(count)], 1)
            first = np.arange(count - 1)[:, None]
            parts.append((np.concatenate([feet, path]), np.concatenate([outward, outward]),
                          np.concatenate([first + [0, 1, count], first + [1, count + 1, count]])))
        return joined(parts)
    if kind == 2:  # pillars, perhaps joined by arches
        count, gap, thick, high = rng.integers(2, 5), u(0.8, 2.0), u(0.08, 0.35), u(1.6, 3.2)
        middle = (count - 1) / 2 * gap
        column = cylinder(thick, high, thick * u(0.7, 1)) if rng.random() < 0.5 else box((2 * thick, 2 * thick, high))
        parts = [moved(column, (index * gap - middle, 0, high / 2)) for index in range(count)]
        if rng.random() < 0.6:
            angles = np.linspace(0, np.pi, 12)
            arch = np.stack([-np.cos(angles) * gap / 2, np.zeros(12), np.sin(angles) * gap / 2], 1)
            parts += [moved(tube(arch, thick), ((index + 0.5) * gap - middle, 0, high)) for index in range(count - 1)]
        return joined(parts)
    if kind == 3:  # beams under a ceiling, side by side
        count, gap, high, thick = rng.integers(1, 8), u(0.15, 0.9), u(1.9, 3.2), (u(0.05, 0.3), u(0.08, 0.4))
        tilt = rotation([0, 0, 1], u(0, 180))
        return moved(joined([moved(box((thick[0], u(2, 6), thick[1])), ((index - count / 2) * gap, 0, high)) for index in range(count)]), turn=tilt)
    if kind == 4:  # pipes or rolls in a heap
        radius, length = u(0.05, 0.3), u(0.8, 3.0)
        parts = []
        for row in range(rng.integers(1, 4)):
            parts += [moved(tube(np.array([[0, -length / 2, 0], [0, 0, 0], [0, length / 2, 0]]), radius, 14), ((index + row / 2) * 2 * radius, u(-0.1, 0.1), radius * (1 + 1.73 * row)))
                      for index in range(max(1, 5 - row - rng.integers(0, 3)))]
        return moved(joined(parts), turn=rotation([0, 0, 1], u(0, 180)))
    if kind == 5:  # stairs
        width, rise, tread = u(0.8, 2.5), u(0.14, 0.2), u(0.25, 0.4)
        return joined([moved(box((width, tread, rise * (step + 1))), (0, step * tread, rise * (step + 1) / 2)) for step in range(rng.integers(3, 10))])
    if kind == 6:  # a sign, a column for posters, a bollard or a street lamp
        high, width = u(0.6, 2.4), u(0.15, 0.9)
        pole = moved(cylinder(u(0.02, 0.08), high), (0, 0, high / 2))
        board = (box((width, 0.04, width * u(0.5, 2))), cylinder(width / 2, width * u(0.5, 3)), moved(cylinder(width / 2, 0.03), turn=rotation([1, 0, 0], 90)),
                 ball(width / 2))[rng.integers(4)]
        return joined([pole, moved(board, (0, 0, high))])
    width, depth, high = u(0.6, 1.6), u(0.6, 1.4), u(0.7, 2.0)  # a kiosk, a machine, a counter: boxes on each other
    parts = [moved(box((width, depth, high)), (0, 0, high / 2))]
    for _ in range(rng.integers(1, 5)):
        parts.append(moved(box((u(0.1, 1.1) * width, u(0.1, 1.1) * depth, u(0.05, 0.5))), (u(-0.3, 0.3) * width, u(-0.6, 0.2) * depth, u(0.1, 1.15) * high)))
    return joined(parts)


def held(rng: np.random.Generator) -> Solid:
    """Something for a hand, centred on the grip, its long axis along Z."""
    u = rng.uniform
    kind = rng.integers(7)
    if kind == 0:
        return box((u(0.06, 0.09), 0.009, u(0.13, 0.18)))                        # phone
    if kind == 1:
        return cylinder(u(0.03, 0.045), u(0.09, 0.14), u(0.035, 0.05))            # cup
    if kind == 2:
        return revolved(np.array([[0.001, -0.12], [0.033, -0.12], [0.033, 0.04], [0.012, 0.08], [0.012, 0.12], [0.001, 0.12]]))  # bottle
    if kind == 3:
        return moved(box((u(0.15, 0.3), u(0.01, 0.04), u(0.2, 0.35))), (0.05, 0, 0.08))  # book, tablet, folder
    if kind == 4:
        return moved(ball(u(0.05, 0.14)), (0, -0.05, 0))                          # ball
    if kind == 5:
        return cylinder(u(0.005, 0.02), u(0.15, 1.0))                             # pen, stick, umbrella
    size = u(0.2, 0.4)
    return joined([moved(box((size, size * 0.35, size * u(0.6, 1.1))), (0, 0, -size * 0.9)),
                   moved(cylinder(0.008, size * 0.6), (0, 0, -size * 0.2))])      # bag hanging from the hand


def backpack(rng: np.random.Generator) -> Solid:
    vertices, normals, triangles = ball(0.5)
    return vertices * [rng.uniform(0.25, 0.4), rng.uniform(0.15, 0.28), rng.uniform(0.35, 0.55)] * 1.1, normals, triangles


def skirt(rng: np.random.Generator, hip: float, length: float) -> Solid:
    """Hangs from the waist at the origin; ``hip`` is the radius up there, in metres."""
    flare = rng.uniform(1.0, 2.2)
    profile = np.array([[hip * 0.9, 0.02], [hip * 1.08, -0.12], [hip * (1.08 + flare) / 2, -length * 0.6], [hip * flare, -length]])
    vertices, normals, triangles = revolved(profile, 28)
    folds = 1 + (-vertices[:, 2:] / length) * rng.uniform(0, 0.15) * np.sin(np.arctan2(vertices[:, 1], vertices[:, 0]) * rng.integers(4, 12))[:, None]
    return vertices * np.concatenate([folds, folds * 0.8, np.ones_like(folds)], 1), normals, triangles


def held_large(rng: np.random.Generator) -> Solid:
    """Something larger for a hand, centred on the grip: umbrella, camera, box, tray, laptop, guitar, flowers or balloon."""
    u = rng.uniform
    kind = rng.integers(8)
    if kind == 0:  # umbrella, open
        radius, height = u(0.35, 0.6), u(0.5, 0.8)
        slope = np.linspace(0.02, 1, 7)
        dome = revolved(np.stack([radius * slope, height - 0.45 * radius * slope ** 2], 1), 13)
        return joined([dome, tube(np.array([[0, 0, -0.1], [0, 0, height / 2], [0, 0, height]]), 0.008)])
    if kind == 1:  # camera
        return joined([box((u(0.1, 0.16), u(0.05, 0.08), u(0.07, 0.11))), moved(cylinder(u(0.025, 0.045), u(0.05, 0.2)), (0, -0.07, 0), rotation([1, 0, 0], 90))])
    if kind == 2:
        return moved(box((u(0.2, 0.5), u(0.15, 0.4), u(0.1, 0.4))), (0, -0.1, 0.05))
    if kind == 3:
        return moved(joined([box((u(0.25, 0.45), u(0.2, 0.3), 0.015)), moved(cylinder(0.035, 0.12), (0.06, 0.03, 0.06))]), (0.08, -0.08, 0))
    if kind == 4:
        width = u(0.26, 0.38)
        return moved(joined([box((width, width * 0.7, 0.012)), moved(box((width, 0.008, width * 0.65)), (0, -width * 0.35, width * 0.32))]), (0.05, -0.1, 0))
    if kind == 5:  # guitar, its neck along X
        first, second = blob(rng, 0.17), ball(0.13)
        body = joined([first, moved(second, (0.2, 0, 0))])
        return joined([(body[0] * [1, 0.3, 1], body[1], body[2]), moved(box((0.6, 0.02, 0.05)), (0.55, 0, 0))])
    if kind == 6:
        return joined([moved(leaves(rng, u(0.1, 0.2), int(u(30, 120))), (0, 0, 0.2)), moved(cylinder(0.02, 0.25), (0, 0, 0.02))])
    height = u(0.3, 0.8)
    return joined([moved(ball(u(0.1, 0.2), 1.2), (0, 0, height + 0.2)), tube(np.array([[0, 0, 0], [0.02, 0, height / 2], [0, 0, height]]), 0.003)])


def wheelchair(rng: np.random.Generator) -> Solid:
    """Around the hips of someone who sits, at the origin; seat, back, large wheels and handles."""
    u = rng.uniform
    width, wheel = u(0.42, 0.55), u(0.26, 0.32)
    angles = np.linspace(0, 2 * np.pi, 25)
    rim = np.stack([np.zeros(25), np.cos(angles) * wheel, np.sin(angles) * wheel], 1)
    spokes = [np.array([[0, 0, 0], [0, np.cos(turn), np.sin(turn)]]) * wheel for turn in np.arange(8) * np.pi / 4]
    parts = [moved(box((width, 0.45, 0.06)), (0, -0.1, -0.15)), moved(box((width, 0.05, u(0.4, 0.55))), (0, 0.17, 0.12))]
    for side in (-1, 1):
        hub = (side * width * 0.55, 0.05, -0.22)
        parts += [moved(tube(rim, u(0.012, 0.025)), hub)] + [moved(tube(spoke, 0.003, 5), hub) for spoke in spokes]
        parts.append(moved(tube(np.array([[0, -0.25, 0], [0, 0.0, 0], [0, 0.17, 0], [0, 0.3, 0.1]]), 0.014), (side * width * 0.5, 0, u(0.02, 0.1))))
        parts.append(tube(np.array([[side * width * 0.4, -0.3, -0.15], [side * width * 0.4, -0.45, -0.45]]), 0.012))
    return joined(parts)
