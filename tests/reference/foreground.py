#!/usr/bin/env python3
"""How well the person's colours are estimated where the matte is soft, against known ones.

    foreground.py [--width 1920] [--height 1080] [--pictures DIR]

Draws people with hair, whose colours and matte are known, before several backgrounds, and prints the
mean squared error of the colours over 0 < matte < 1 (8-bit codes): of the frame's own colours, of
pymatting's multi-level estimate, and of `decontaminate`. The second number weighs every pixel by its
matte squared, which is how it shows in a composite. --pictures writes each frame, and each estimate over
white. Needs: numpy, opencv-python-headless, pymatting (`make foreground` sees to that), and cargo.
"""
import argparse
import os
import subprocess
import tempfile
import time

import cv2
import numpy as np
from pymatting import estimate_foreground_ml

OVER = 4  # samples of a pixel in each direction: strands of hair are thinner than a pixel
HAIR = {"dark": (45, 32, 25), "blond": (190, 150, 90), "red": (120, 50, 25)}
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def clouds(rng, width, height, octaves, falloff=0.5):
    """Noise of several octaves, within -1 to 1."""
    total = np.zeros((height, width), np.float32)
    for octave in octaves:
        side = 2**octave
        grid = rng.standard_normal((side * height // width + 3, side + 3)).astype(np.float32)
        noise = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        total += falloff ** (octave - octaves[0]) * noise
    return total / abs(total).max()


def tinted(rng, color, spread, noise):
    tint = np.float32(rng.uniform(0.5, 1, 3) * spread)
    return np.clip(np.float32(color) + noise[..., None] * tint, 0, 255)


def room(rng, width, height):
    picture = tinted(rng, rng.uniform(90, 200, 3), 25, clouds(rng, width, height, range(2, 8)))
    for _ in range(40):
        corner = rng.integers(-width // 10, width), rng.integers(-height // 10, height)
        size = rng.integers(width // 40, width // 6), rng.integers(height // 30, height // 3)
        box = [int(value) for value in (*corner, *size)]
        cv2.rectangle(picture, box, rng.uniform(10, 250, 3).tolist(), -1)
    return cv2.GaussianBlur(picture, (0, 0), width / 640)


def foliage(rng, width, height):
    leaves = tinted(rng, (40, 110, 50), 110, clouds(rng, width, height, range(4, 10), 0.8))
    return cv2.GaussianBlur(leaves, (0, 0), width / 960)


def sky(rng, width, height):
    rise = np.linspace(1, 0, height, dtype=np.float32)[:, None, None]
    colors = np.float32((150, 190, 250)) * rise + np.float32((250, 240, 225)) * (1 - rise)
    return np.clip(colors + 12 * clouds(rng, width, height, range(2, 7))[..., None], 0, 255)


def stripes(rng, width, height):
    is_dark = np.sin(np.linspace(0, 48 * np.pi, width))[None, :, None] > 0
    picture = np.where(is_dark, np.float32((220, 60, 50)), np.float32((235, 230, 215)))
    return cv2.GaussianBlur(np.repeat(picture, height, 0), (0, 0), width / 960)


BACKGROUNDS = [room, foliage, sky, stripes]


def person(rng, width, height, hair):
    """Colours, and the matte in steps of 1/255."""
    wide, high = width * OVER, height * OVER
    cover = np.zeros((high, wide), np.uint8)
    color = np.zeros((high, wide, 3), np.uint8)

    def ellipse(center, radii, texture):
        mask = np.zeros_like(cover)
        cv2.ellipse(mask, [int(v) for v in center], [int(v) for v in radii], 0, 0, 360, 255, -1)
        large = cv2.resize(texture, (wide, high), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
        color[mask > 0] = large[mask > 0]
        cover[mask > 0] = 255

    cloth = tinted(rng, (60, 75, 130), 55, clouds(rng, width, height, range(4, 10), 0.75))
    ellipse((wide / 2, high * 1.02), (high * 0.5, high * 0.36), cloth)
    crown = np.array([wide / 2, high * 0.36])
    curls = tinted(rng, hair, 15, clouds(rng, width, height, range(5, 10), 0.8))
    ellipse(crown, (high * 0.19, high * 0.23), curls)
    skin = tinted(rng, (205, 150, 125), 22, clouds(rng, width, height, range(3, 9)))
    ellipse((wide / 2, high * 0.42), (high * 0.15, high * 0.21), skin)
    for _ in range(2600):
        angle = rng.uniform(-1.12, 0.12) * np.pi
        root = crown + high * np.array([0.17, 0.24]) * [np.cos(angle), np.sin(angle)]
        heading = angle + rng.normal(0, 0.5) + rng.normal(0, 1.2) * np.linspace(0, 1, 14)
        step = high * rng.uniform(0.02, 0.13) / 14
        points = root + step * np.cumsum([np.cos(heading), np.sin(heading)], axis=1).T
        shade = np.clip(np.array(hair) * rng.uniform(0.6, 1.35), 0, 255)
        thickness = int(rng.integers(1, 2 * OVER))
        for picture, ink in ((cover, 255), (color, shade.tolist())):
            cv2.polylines(picture, [points.astype(np.int32)], False, ink, thickness)
    small = lambda picture: cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    share = small((cover > 0).astype(np.float32))
    weighed = small(np.where(cover[..., None] > 0, color, 0).astype(np.float32))
    colors = np.clip(weighed / np.maximum(share, 1e-3)[..., None], 0, 255)
    return colors, np.round(share * 255) / np.float32(255)


def estimate_by_pymatting(frame, matte):
    start = time.perf_counter()
    colors = estimate_foreground_ml(frame / 255.0, matte.astype(np.float64))
    return colors * 255, (time.perf_counter() - start) * 1e3


def build():
    """The program that estimates as the element does."""
    command = ["cargo", "bench", "--bench", "foreground", "--no-run", "--message-format=short"]
    done = subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.PIPE, text=True)
    return os.path.join(ROOT, done.stderr.rsplit("(", 1)[1].split(")")[0])


def estimate(program, frame, matte):
    """Colours, and the milliseconds that they cost in a cutout and in an I420 composite."""
    height, width = matte.shape
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("frame", "matte", "out")]
        frame.tofile(paths[0])
        matte.astype(np.float32).tofile(paths[1])
        command = [program, str(width), str(height), *paths]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rgba = np.fromfile(paths[2], np.uint8).reshape(height, width, 4)
    return rgba[..., :3], *map(float, done.stdout.split())


def errors(estimated, colors, matte):
    soft = (0 < matte) & (matte < 1)
    squared = np.mean((estimated - colors) ** 2, axis=2)[soft]
    return np.array([squared.mean(), (squared * matte[soft] ** 2).mean()])


def main():
    parser = argparse.ArgumentParser(description="Colours at soft edges against known ones.")
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--pictures", metavar="DIR")
    parser.add_argument("--program", help="benches/foreground.rs, built; without it cargo builds it")
    args = parser.parse_args()
    program = args.program or build()
    estimate_by_pymatting(np.zeros((8, 8, 3)), np.zeros((8, 8)))  # compiles it
    print(f"{'':20}{'the frame':>16}{'pymatting':>16}{'decontaminate':>16}   ms: pymatting, ours in "
          "RGBA cutout, I420 composite")
    rng = np.random.default_rng(1)
    table = []
    for hair, shade in HAIR.items():
        colors, matte = person(rng, args.width, args.height, shade)
        share = matte[..., None]
        for background in BACKGROUNDS:
            behind = background(rng, args.width, args.height)
            frame = np.round(share * colors + (1 - share) * behind).astype(np.uint8)
            reference, reference_ms = estimate_by_pymatting(frame, matte)
            ours, cutout_ms, composite_ms = estimate(program, frame, matte)
            found = [errors(picture, colors, matte) for picture in (frame, reference, ours)]
            table.append((found, (reference_ms, cutout_ms, composite_ms)))
            show(f"{hair} hair, {background.__name__}", *table[-1])
            if args.pictures:
                os.makedirs(args.pictures, exist_ok=True)
                for kind, picture in (("frame", frame), ("pymatting", reference), ("ours", ours)):
                    over_white = share * picture + (1 - share) * 255
                    name = f"{hair}-{background.__name__}-{kind}.png"
                    cv2.imwrite(os.path.join(args.pictures, name), np.uint8(over_white[..., ::-1].round()))
    found, took = (np.mean([row[column] for row in table], axis=0) for column in (0, 1))
    show("mean", found, took)
    frame, reference, ours = found[:, 0]
    print(f"{ours / reference:.2f} of pymatting's error (at most 1.5), "
          f"{frame / ours:.1f} times less than the frame's (at least 3)")
    raise SystemExit(int(ours > 1.5 * reference or frame < 3 * ours))


def show(name, found, took):
    cells = "".join(f"{error:8.1f}{weighed:8.1f}" for error, weighed in found)
    print(f"{name:20}{cells}   {took[0]:.0f}, {took[1]:.2f}, {took[2]:.2f}", flush=True)


if __name__ == "__main__":
    main()
