#!/usr/bin/env python3
"""How well a matte is carried from one frame to later ones, beside holding it and beside DIS optical flow.

    tests/reference/carry.py [--pictures FOLDER] [--clips NAME,NAME] [--tool COMMAND]

Draws 1920x1080 clips whose mattes are known exactly, hands frames and mattes to `benches/carry.rs`, which
carries every n-th matte to the frames that follow, and does the same by holding the matte and by warping
it with OpenCV's DIS flow (fast preset, half size). All three work on the same mattes, at the size of a
network's output. A clip of a real person follows, with the built-in network's matte of every frame as
truth. For each clip and interval it prints

    MAD    mean absolute difference, x1000, over the frame
    edge   the same within 10 pixels of a 1080-line frame of the true edge
    dtSSD  root of the mean squared difference of the changes from frame to frame, x1000

and the milliseconds that a matte takes, on one thread each (lower quartiles: other programs disturb them less).
"""
from __future__ import annotations

import argparse
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
from typing import Callable, NamedTuple

import cv2
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
REAL = [ROOT.parent / "shared/media/person.mp4", ROOT / "examples/media/person.mp4"]
WIDTH, HEIGHT = 1920, 1080
FRAMES = 31
SIDE = 512  # of the mattes of drawn clips: that of DAViD's
INTERVALS = 2, 5, 10
EDGE = 10  # pixels of a 1080-line frame
NOISE = 2.0  # standard deviation of the sensor's, in 8-bit codes

Grid = tuple[np.ndarray, np.ndarray]
Drawn = Callable[[int], tuple[np.ndarray, np.ndarray]]  # frame number to BGR and matte, both float32


# --- drawing

def texture(seed: int, base: tuple[int, int, int], contrast: float) -> np.ndarray:
    """A tileable 1024x1024 picture with detail at every scale from 8 to 128 pixels."""
    random = np.random.default_rng(seed)
    picture = np.zeros((1024, 1024, 3), "f4")
    for cell in 128, 64, 32, 16, 8:
        coarse = np.pad(random.standard_normal((1024 // cell, 1024 // cell, 3)).astype("f4"), ((2, 2), (2, 2), (0, 0)), "wrap")
        large = cv2.resize(coarse, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
        picture += large[2 * cell:-2 * cell, 2 * cell:-2 * cell] * (cell / 128) ** 0.5
    return np.clip(np.float32(base) + contrast * picture, 16, 235)


def sample(picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return cv2.remap(picture, np.mod(x, 1024), np.mod(y, 1024), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def pixels() -> Grid:
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype("f4")
    return x, y


def moved(grid: Grid, x: float, y: float, angle: float = 0.0, scale: float = 1.0) -> Grid:
    """The frame's pixels in the coordinates of something at (x, y), turned by `angle` and enlarged."""
    c, s = np.float32(np.cos(angle) / scale), np.float32(np.sin(angle) / scale)
    dx, dy = grid[0] - np.float32(x), grid[1] - np.float32(y)
    return c * dx + s * dy, c * dy - s * dx


def disk(grid: Grid, x, y, rx, ry) -> np.ndarray:
    """Signed distance to an ellipse, to first order; negative inside."""
    dx, dy = grid[0] - x, grid[1] - y
    k = np.hypot(dx / rx, dy / ry)
    return k * (k - 1) / np.maximum(np.hypot(dx / rx ** 2, dy / ry ** 2), 1e-4)


def limb(grid: Grid, a: tuple[float, float], b: tuple[float, float], radius: float) -> np.ndarray:
    """Signed distance to a line from a to b with round ends."""
    (ax, ay), (bx, by) = a, b
    ux, uy = bx - ax, by - ay
    t = np.clip(((grid[0] - ax) * ux + (grid[1] - ay) * uy) / (ux * ux + uy * uy), 0, 1)
    return np.hypot(grid[0] - ax - t * ux, grid[1] - ay - t * uy) - radius


class Scene:
    """A frame that things are laid on, back to front."""

    def __init__(self, background: np.ndarray, x: float = 0, y: float = 0, scale: float = 1):
        self.grid = pixels()
        self.color = sample(background, *moved(self.grid, x, y, 0, scale))
        self.matte = np.zeros((HEIGHT, WIDTH), "f4")

    def lay(self, distance: np.ndarray, skin: np.ndarray, where: Grid, scale: float = 1, kept: bool = True) -> "Scene":
        """`kept`: part of the matte, or something in front of it."""
        alpha = np.clip(0.5 - distance * np.float32(scale), 0, 1)
        color = sample(skin, *where)
        self.color += alpha[..., None] * (color - self.color)
        self.matte += alpha * (np.float32(kept) - self.matte)
        return self

    def lay_person(self, skin: np.ndarray, where: Grid, scale: float = 1, swing: float = 0, nod: float = 0) -> "Scene":
        """A person 900 tall about (0, 0), whose arms swing and whose head nods, each with its own skin."""
        for side in -1, 1:
            arm = moved(where, 165 * side, -60, swing + 0.35 * -side)
            bent = moved(arm, 0, 270, 0.6 * swing)
            shape = np.minimum(limb(arm, (0, 0), (0, 270), 44), limb(bent, (0, 0), (0, 200), 36))
            self.lay(shape, skin, (arm[0] + 300 * side, arm[1]), scale)
        trunk = np.minimum(limb(where, (-110, -60), (110, -60), 90), disk(where, 0, 260, 210, 380))
        self.lay(trunk, skin, where, scale)
        head = moved(where, 0, -150, nod)
        return self.lay(np.minimum(disk(head, 0, -140, 95, 125), limb(head, (0, 0), (0, -70), 48)), skin, head, scale)


ROOM = texture(1, (120, 125, 130), 26)
STREET = texture(2, (105, 120, 100), 30)
SHIRT = texture(3, (95, 80, 150), 24)
COAT = texture(4, (150, 115, 90), 22)
DULL = texture(5, (110, 118, 128), 14)


def slide(n: int):
    """A person who crosses the room, 8 pixels a frame."""
    scene = Scene(ROOM)
    grid = moved(scene.grid, 700 + 8 * n, 560 + 12 * np.sin(n / 4))
    return scene.lay_person(SHIRT, grid)


def turn(n: int):
    """A three-armed shape that turns 1.6 degrees a frame before a background that drifts."""
    scene = Scene(STREET, -2.5 * n, 0)
    grid = moved(scene.grid, 960, 540, np.radians(1.6 * n))
    arms = [limb(grid, (0, 0), (330 * np.cos(a), 330 * np.sin(a)), 70) for a in (0, 2.1, 4.2)]
    return scene.lay(np.minimum.reduce(arms), COAT, grid)


def sway(n: int):
    """A person who sits and talks: all of it bends slowly; shirt and room have much the same colours."""
    scene = Scene(ROOM)
    x, y = moved(scene.grid, 960, 600)
    bend = np.float32(60 * np.sin(n / 9)) * ((450 - y) / 900) ** 2
    grid = x - bend, y + np.float32(8 * np.sin(n / 5)) * (x / 200)
    return scene.lay_person(DULL, grid, 1, 0.3 * np.sin(n / 6), 0.25 * np.sin(n / 7))


def wave(n: int):
    """A person who waves a thin arm, its hand up to 28 pixels a frame, while the room stands still."""
    scene = Scene(ROOM)
    grid = moved(scene.grid, 860, 600 + 2 * np.sin(n / 3))
    scene.lay_person(SHIRT, grid, 1, 0.1 * np.sin(n / 8))
    angle = -0.9 + 0.75 * np.sin(n / 12)
    arm = moved(scene.grid, 1040, 560 + 2 * np.sin(n / 3), angle)
    shape = np.minimum(limb(arm, (0, 0), (430, 0), 20), disk(arm, 455, 0, 46, 30))
    return scene.lay(shape, COAT, arm)


def cross(n: int):
    """Two people walk past each other, 7 and 6 pixels a frame."""
    scene = Scene(STREET, 0, 0)
    far = moved(scene.grid, 1230 - 6 * n, 600, 0, 0.9)
    scene.lay_person(COAT, far, 0.9, 0.4 * np.sin(n / 5))
    near = moved(scene.grid, 760 + 7 * n, 620 + 6 * np.sin(n / 3))
    return scene.lay_person(SHIRT, near, 1, 0.4 * np.sin(n / 5 + 1))


def pan(n: int):
    """The camera pans 10 pixels a frame past a person who walks 4 in the frame."""
    scene = Scene(STREET, -10 * n, 1.5 * n)
    grid = moved(scene.grid, 800 + 4 * n, 590)
    return scene.lay_person(SHIRT, grid, 1, 0.3 * np.sin(n / 4))


def near(n: int):
    """A person comes nearer, a hand-held camera shakes."""
    shake = 6 * np.sin(n * 1.3), 5 * np.cos(n * 1.7)
    scene = Scene(ROOM, *shake)
    scale = 0.7 * 1.013 ** n
    grid = moved(scene.grid, 960 + shake[0], 560 + shake[1], 0, scale)
    return scene.lay_person(COAT, grid, scale, 0.2 * np.sin(n / 5))


def behind(n: int):
    """A person walks behind a post and a plant that are not part of the matte."""
    scene = Scene(ROOM, -3 * n, 0)
    grid = moved(scene.grid, 620 + 9 * n, 600)
    scene.lay_person(SHIRT, grid, 1, 0.3 * np.sin(n / 4))
    post = moved(scene.grid, 1000 - 3 * n, 0)
    scene.lay(np.abs(post[0]) - 45, DULL, post, kept=False)
    plant = moved(scene.grid, 640 - 3 * n, 900)
    return scene.lay(disk(plant, 0, 0, 160, 260), STREET, plant, kept=False)


DRAWN = slide, turn, sway, wave, cross, pan, near, behind


# --- clips

class Clip(NamedTuple):
    name: str
    frames: list[np.ndarray]  # BGR
    masks: np.ndarray  # (frames, side, side), padded squares
    width: int
    height: int


def square(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return cv2.copyMakeBorder(picture, top, side - height - top, left, side - width - left, cv2.BORDER_REPLICATE)


def drawn_clip(draw) -> Clip:
    random = np.random.default_rng(7)
    frames, masks = [], []
    for n in range(FRAMES):
        scene = draw(n)
        noise = random.standard_normal(scene.color.shape, "f4") * np.float32(NOISE)
        frames.append(np.clip(scene.color + noise + 0.5, 0, 255).astype("u1"))
        masks.append(cv2.resize(square(scene.matte), (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return Clip(draw.__name__, frames, np.stack(masks), WIDTH, HEIGHT)


def real_clip() -> Clip | None:
    path = next((path for path in REAL if path.exists()), None)
    if path is None:
        return None
    import onnxruntime
    sys.path.insert(0, str(ROOT))
    from models.builtin import contract

    session = onnxruntime.InferenceSession(str(ROOT / "models/builtin.onnx"))
    side = session.get_inputs()[0].shape[2]
    capture, frames, masks = cv2.VideoCapture(str(path)), [], []
    while (read := capture.read())[0]:
        frame = read[1]
        frames.append(frame)
        masks.append(session.run(None, {"input": contract.prepare(frame, (side, side), "pad")})[0][0, 0])
    height, width = frames[0].shape[:2]
    return Clip("real", frames, np.stack(masks), width, height)


def i420(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420)


# --- carrying

def ours(clip: Clip, tool: list[str], folder: pathlib.Path) -> tuple[dict[int, np.ndarray], float]:
    frames, masks, out = folder / "frames.i420", folder / "masks.f32", folder / "carried.f32"
    with frames.open("wb") as file:
        for frame in clip.frames:
            file.write(i420(frame))
    clip.masks.astype("<f4").tofile(masks)
    sizes = [clip.width, clip.height, clip.masks.shape[1]]
    run = subprocess.run([*tool, *map(str, [frames, masks, out, *sizes, *INTERVALS])], check=True, stdout=subprocess.PIPE, text=True)
    carried = np.fromfile(out, "<f4").reshape(len(INTERVALS), *clip.masks.shape)
    print(run.stdout, end="", file=sys.stderr)
    look, carry = (float(word) for word in run.stdout.split()[1::2])
    return dict(zip(INTERVALS, carried)), look + carry


def by_flow(clip: Clip) -> tuple[dict[int, np.ndarray], float]:
    """Warped with DIS flow of the half-size luma planes; the mask is sampled bilinearly where the flow points."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    small = clip.width // 2, clip.height // 2
    luma = [i420(frame)[:clip.height] for frame in clip.frames]
    side, square_side = clip.masks.shape[1], max(clip.width, clip.height)
    per_pixel = side / square_side
    top, left = (square_side - clip.height) // 2, (square_side - clip.width) // 2
    rows = slice(round(top * per_pixel), round((top + clip.height) * per_pixel))
    columns = slice(round(left * per_pixel), round((left + clip.width) * per_pixel))
    y, x = np.mgrid[rows, columns].astype("f4")
    times, results = [], {}
    for interval in INTERVALS:
        carried = clip.masks.copy()
        for n in range(len(luma)):
            start = n - n % interval
            if n == start:
                continue
            then = time.perf_counter()
            reference = cv2.resize(luma[start], small, interpolation=cv2.INTER_AREA)
            resized = time.perf_counter() - then  # a pipeline keeps the reference; the other one is new
            current = cv2.resize(luma[n], small, interpolation=cv2.INTER_AREA)
            flow = dis.calc(current, reference, None)
            flow = cv2.resize(flow, (x.shape[1], x.shape[0]), interpolation=cv2.INTER_LINEAR) * np.float32(2 * per_pixel)
            warped = cv2.remap(clip.masks[start], x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            times.append(time.perf_counter() - then - resized)
            carried[n, rows, columns] = warped
        results[interval] = carried
    return results, 1e3 * float(np.quantile(times, 0.25))


def held(masks: np.ndarray, interval: int) -> np.ndarray:
    return masks[[n - n % interval for n in range(len(masks))]]


# --- measuring

def errors(clip: Clip, got: np.ndarray) -> np.ndarray:
    """MAD, MAD near the edge and dtSSD, x1000, over the part of the mask that shows the frame."""
    side, square_side = clip.masks.shape[1], max(clip.width, clip.height)
    top, left = (round((square_side - s) / 2 * side / square_side) for s in (clip.height, clip.width))
    part = (slice(None), slice(top, side - top), slice(left, side - left))
    truth, got = clip.masks[part], got[part]
    difference = np.abs(got - truth)
    radius = EDGE * (min(clip.width, clip.height) / 1080) * side / square_side
    near_edge = []
    for matte in truth:
        inside = (matte > 0.5).astype("u1")
        distances = cv2.distanceTransform(inside, cv2.DIST_L2, 5) + cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
        near_edge.append(distances <= radius + 0.5)
    changes = np.diff(got, axis=0) - np.diff(truth, axis=0)
    return 1e3 * np.array([difference.mean(), difference[np.stack(near_edge)].mean(), np.sqrt((changes ** 2).mean(axis=(1, 2))).mean()])


def picture(clip: Clip, results: dict[str, np.ndarray], n: int) -> np.ndarray:
    """The frame, and the person cut out by each matte, side by side."""
    frame = square(clip.frames[n])
    cells = []
    for name, masks in results.items():
        matte = cv2.resize(masks[n], frame.shape[1::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)[..., None]
        cut = frame * matte + (1 - matte) * np.float32((60, 220, 60))
        top, left = (frame.shape[0] - clip.height) // 2, (frame.shape[1] - clip.width) // 2
        cell = cv2.resize(cut[top:top + clip.height, left:left + clip.width], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        cells.append(cv2.putText(np.ascontiguousarray(cell.astype("u1")), name, (12, 28), 0, 0.9, (255, 255, 255), 2))
    rows = [np.hstack(cells[:2]), np.hstack(cells[2:])]
    return np.vstack(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=pathlib.Path, help="write frames of each clip, cut out by each matte, to this folder")
    parser.add_argument("--clips", help="only these, separated by commas")
    parser.add_argument("--tool", default=f"{ROOT}/scripts/env cargo bench --quiet --bench carry --", help="what carries (default: %(default)s)")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    wanted = options.clips.split(",") if options.clips else None
    makers = [(draw.__name__, lambda draw=draw: drawn_clip(draw)) for draw in DRAWN] + [("real", real_clip)]
    print(f"{'clip':8}{'':>9}{'MAD x1000':^28}{'edge x1000':^28}{'dtSSD x1000':^28}{'times less MAD':^18}{'ms':^12}")
    print(f"{'':8}{'interval':>9}" + f"{'held':>10}{'DIS':>9}{'carry':>9}" * 3 + f"{'DIS':>10}{'carry':>8}{'DIS':>7}{'carry':>7}")
    for name, make in makers:
        if wanted and name not in wanted or (clip := make()) is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            carried, our_ms = ours(clip, shlex.split(options.tool), pathlib.Path(folder))
        warped, dis_ms = by_flow(clip)
        for interval in INTERVALS:
            results = {"held": held(clip.masks, interval), "DIS": warped[interval], "carry": carried[interval]}
            table = np.stack([errors(clip, masks) for masks in results.values()])
            line = f"{name:8}{interval:>9}" + "".join(f"{a:10.2f}{b:9.2f}{c:9.2f}" for a, b, c in table.T)
            line += f"{table[0, 0] / table[1, 0]:10.2f}{table[0, 0] / table[2, 0]:8.2f}"
            print(line + (f"{dis_ms:7.1f}{our_ms:7.1f}" if interval == INTERVALS[0] else ""), flush=True)
            if options.pictures:
                options.pictures.mkdir(parents=True, exist_ok=True)
                for n in {interval - 1, 2 * interval + interval - 1}:
                    path = options.pictures / f"{name}-{interval}-{n}.png"
                    cv2.imwrite(str(path), picture(clip, results | {"truth": clip.masks}, n))


if __name__ == "__main__":
    main()
