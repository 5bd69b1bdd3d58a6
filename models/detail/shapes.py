"""Step ``shapes``: drawn borders with fur, hair, bars and holes, whose coverage is counted exactly."""
from __future__ import annotations

import cv2
import numpy as np
from tqdm import tqdm

from builtin import backgrounds

from . import places
from .subjects import part_of

SIDE = 320
OVER = 5     # samples of a pixel in each direction


def file(held_out: bool):
    """(N, SIDE, SIDE, 4) uint8, premultiplied BGRA."""
    return places.work() / f"shapes-{places.suffix(held_out)}.npy"


def texture(rng: np.random.Generator, pictures: np.ndarray, side: int) -> np.ndarray:
    """(side, side, 3) uint8: flat as in a cartoon, clouded, or a part of a picture."""
    kind = rng.random()
    if kind < 0.25:
        return np.broadcast_to(rng.integers(0, 256, 3).astype("u1"), (side, side, 3)).copy()
    if kind < 0.6:
        base = rng.uniform(10, 245, 3) if rng.random() < 0.6 else np.repeat(rng.uniform(10, 245), 3)
        clouds = sum(cv2.resize(rng.normal(0, 0.6 ** step, (2 ** (step + 2), 2 ** (step + 2))).astype("f4"), (side, side), interpolation=cv2.INTER_CUBIC)
                     for step in range(int(rng.integers(2, 6))))
        return np.clip(base + rng.uniform(4, 30) * clouds[..., None], 0, 255).astype("u1")
    picture = pictures[rng.integers(len(pictures))]
    return part_of(rng, picture, int(rng.uniform(0.25, 1) * picture.shape[0]), side)


def _border(rng: np.random.Generator) -> np.ndarray:
    """(N, 2): a closed line around what is filled, in pixels; rough by chance."""
    kind = rng.random()
    angle = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    if kind < 0.55:  # a blob
        radius = rng.uniform(40, 130) * np.ones_like(angle)
        for wave in range(1, int(rng.integers(2, 22))):
            radius += rng.normal(0, 22 / wave ** rng.uniform(0.8, 1.3)) * np.cos(wave * angle + rng.uniform(0, 7))
        points = np.maximum(radius, 4)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    elif kind < 0.8:  # half of the picture
        along = np.linspace(-SIDE, SIDE, 200)
        height = sum(rng.normal(0, 18 / (wave + 1)) * np.sin(along * wave / 90 + rng.uniform(0, 7)) for wave in range(int(rng.integers(1, 14))))
        points = np.concatenate([np.stack([along, height], 1), [[SIDE, SIDE * 1.5], [-SIDE, SIDE * 1.5]]])
    else:  # corners
        points = rng.normal(0, 90, (int(rng.integers(3, 8)), 2))
    turn = rng.uniform(0, 2 * np.pi)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return points @ matrix.T + rng.uniform(0.25, 0.75, 2) * SIDE


def _hairs(rng: np.random.Generator, border: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Lines from the border outwards and along it, (points, width in pixels)."""
    inside = border.mean(0)
    lines, count = [], int(np.exp(rng.uniform(np.log(20), np.log(900))))
    length, curl, width = rng.uniform(8, 90), rng.uniform(0.02, 0.7), np.exp(rng.uniform(np.log(0.15), np.log(2.5)))
    lean, spread, wisps = rng.normal(0, 0.8), rng.uniform(0.1, 0.7), rng.random() < 0.5
    part = np.sort(rng.uniform(0, 1, 2))
    for _ in range(count):
        at = rng.uniform(*part) if rng.random() < 0.8 else rng.random()
        root = border[int(at * len(border)) % len(border)]
        direction = np.arctan2(*(root - inside)[::-1]) + lean + rng.normal(0, spread)
        steps = 14
        bend = np.cumsum(rng.normal(0, curl / 3, steps)) + rng.normal(0, curl) * np.linspace(0, 1, steps)
        step = length * rng.uniform(0.3, 1) / steps
        points = root + step * np.cumsum(np.stack([np.cos(direction + bend), np.sin(direction + bend)], 1), 0)
        for _ in range(int(rng.integers(1, 6)) if wisps else 1):
            lines.append((points + (rng.normal(0, 1.5, 2) * np.linspace(1, 0.3, steps)[:, None] if wisps else 0), width * rng.uniform(0.5, 1.5)))
        if len(lines) > 1500:
            break
    return lines


def draw(rng: np.random.Generator, pictures: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE, 4) uint8, premultiplied BGRA."""
    large = SIDE * OVER
    cover = np.zeros((large, large), "u1")
    border = _border(rng)
    scaled = lambda points: np.round(points * OVER * 16).astype("i4")
    cv2.fillPoly(cover, [scaled(border)], 255, shift=4)
    kind = rng.random()
    thin = []
    tones = cv2.resize(texture(rng, pictures, SIDE), (large, large), interpolation=cv2.INTER_LINEAR)
    if kind < 0.62:
        shade = np.full((large, large), 255, "u1")
        hairs = _hairs(rng, border)
        # Hairs much thinner than a sample: whole layers of them that are faint where they are.
        layers = int(rng.integers(1, 6)) if rng.random() < 0.6 else 0
        thin = [np.zeros((large, large), "u1") for _ in range(layers)]
        for points, width in hairs:
            thickness = max(1, int(round(width * OVER)))
            if width * OVER < 1 and rng.random() > width * OVER and not thin:
                continue
            onto = thin[rng.integers(layers)] if thin and rng.random() < 0.85 else cover
            cv2.polylines(onto, [scaled(points)], False, 255, thickness, shift=4)
            cv2.polylines(shade, [scaled(points)], False, int(rng.integers(110, 256)), thickness, shift=4)
        tones = (tones.astype("u2") * shade[..., None] // 255).astype("u1")
    elif kind < 0.8:  # bars, and gaps
        for _ in range(int(rng.integers(2, 18))):
            first, last = (rng.uniform(0, SIDE, 2) for _ in range(2))
            cv2.polylines(cover, [scaled(np.stack([first, last]))], False, int(rng.choice([0, 255])), max(1, int(np.exp(rng.uniform(0, 2.9)) * OVER / 2)), shift=4)
    if rng.random() < 0.2:  # holes
        for _ in range(int(rng.integers(2, 40))):
            cv2.circle(cover, scaled(rng.uniform(0, SIDE, 2)).tolist(), int(rng.uniform(1, 9) * OVER * 16), 0, -1, shift=4)
    for layer in thin:
        cover = 255 - (((255 - cover).astype("f4")) * (1 - layer.astype("f4") * (rng.uniform(0.15, 0.9) / 255))).astype("u1")
    colours = (tones.astype("u2") * cover[..., None] // 255).astype("u1")
    return cv2.resize(np.dstack([colours, cover]), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def run(count: int, held_out: bool) -> None:
    """Draws ``count`` of them."""
    pictures = np.load(backgrounds.file(held_out), mmap_mode="r")
    rng = np.random.default_rng([2042, int(held_out)])
    out = np.lib.format.open_memmap(file(held_out), "w+", "u1", (count, SIDE, SIDE, 4))
    for number in tqdm(range(count)):
        out[number] = draw(rng, pictures)
