"""Step ``backgrounds``: what stands behind people.

Random views of real panoramas, and invented surroundings: furnished rooms drawn with hard edges and piles of
overlapping patches. The panoramas are small, hence blurred when looked at closely; without sharp surroundings
the network would learn that what is sharp is a person.
"""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from . import cameras, paths, poses, solids

SIDE = 320  # pixels
VIEWS, ROOMS = 0.7, 0.2  # shares of the training's backgrounds, in this order; the rest are patches


def load_panorama(path: Path) -> np.ndarray:
    """(H, 2H, 3) float32 linear RGB."""
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1].astype("f4")


def view(panorama: np.ndarray, width: int, height: int, yaw: float, pitch: float, roll: float, field: float) -> np.ndarray:
    """What a camera in the panorama's middle sees; angles in degrees, ``field`` across the longer side."""
    tangent = np.tan(np.deg2rad(field) / 2)
    longer = max(width, height)
    x, y = np.meshgrid(np.linspace(-width / longer, width / longer, width), np.linspace(-height / longer, height / longer, height))
    rays = np.stack([x * tangent, y * tangent, np.ones_like(x)], -1)
    rays = rays @ poses.rotation([0, 0, 1], roll).T @ poses.rotation([1, 0, 0], pitch).T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    longitude = np.arctan2(rays[..., 0], rays[..., 2]) + np.deg2rad(yaw)
    latitude = np.arcsin(np.clip(rays[..., 1], -1, 1))
    rows, columns = panorama.shape[:2]
    u = (longitude / (2 * np.pi) % 1) * columns
    v = (latitude / np.pi + 0.5) * rows
    return cv2.remap(panorama, u.astype("f4"), v.astype("f4"), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def develop(linear: np.ndarray, stops: float, soft: bool, median: float) -> np.ndarray:
    """Display-encoded uint8 RGB: ``median`` is the panorama's median brightness, ``stops`` brightens."""
    exposed = linear * (0.25 / max(median, 1e-3) * 2 ** stops)
    if soft:
        exposed = exposed / (1 + 0.25 * exposed)
    return (np.clip(exposed, 0, 1) ** (1 / 2.2) * 255).astype("u1")


def random_view(panorama: np.ndarray, rng: np.random.Generator, median: float, side: int = SIDE) -> np.ndarray:
    picture = view(panorama, side, side, rng.uniform(0, 360), rng.normal(0, 18), rng.normal(0, 8), rng.uniform(30, 100))
    return develop(picture, rng.uniform(-1.5, 1.2), rng.random() < 0.5, median)


def patches(rng: np.random.Generator, sources: list[np.ndarray]) -> np.ndarray:
    """Overlapping patches of all sizes, plain, shaded or cut from views: sharp clutter, uint8 RGB."""
    picture = sources[rng.integers(len(sources))].copy()
    count = int(rng.uniform(20, 220))
    largest = rng.uniform(0.15, 0.5) * SIDE
    sizes = np.sort(np.minimum(largest, 5 * (1 - rng.random(count)) ** -0.7))[::-1]
    style = rng.integers(3)
    for size in sizes:
        x, y = rng.uniform(0, SIDE, 2)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        if style == 0:
            cv2.ellipse(mask, (int(x), int(y)), (int(size), max(1, int(size * rng.uniform(0.2, 1)))), rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
        else:
            corners = rng.integers(3, 8) if style == 1 else 4
            angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if style == 1 else np.arange(4) * np.pi / 2 + np.pi / 4 + rng.normal(0, 0.1)
            radii = size * (rng.uniform(0.4, 1, corners) if style == 1 else 1)
            stretch = rng.uniform(0.3, 1.8)
            corner = np.stack([x + np.cos(angles) * radii * stretch, y + np.sin(angles) * radii], 1)
            cv2.fillPoly(mask, [corner.astype("i4")], 255, cv2.LINE_AA)
        left, top, width, height = cv2.boundingRect(mask)
        if width == 0 or height == 0:
            continue
        window = np.s_[top:top + height, left:left + width]
        if rng.random() < 0.35:
            source = sources[rng.integers(len(sources))]
            fill = cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)[:height, :width].astype("f4")
        else:
            sample = sources[rng.integers(len(sources))][rng.integers(SIDE), rng.integers(SIDE)].astype("f4")
            fill = np.tile(sample * rng.uniform(0.6, 1.5), (height, width, 1)) * np.linspace(1, rng.uniform(0.6, 1.3), height)[:, None, None]
            if rng.random() < 0.4:
                fill *= 1 + 0.15 * np.sin(np.linspace(0, rng.uniform(10, 90), width))[None, :, None]
        cover = mask[window][..., None] / np.float32(255)
        picture[window] = np.clip(picture[window] * (1 - cover) + fill * cover, 0, 255)
    return picture


def room(renderer, rng: np.random.Generator, sources: list[np.ndarray]) -> np.ndarray:
    """A furnished room or yard drawn with hard edges, nobody in it; uint8 RGB."""
    from . import render

    distance, width, high = rng.uniform(1.5, 6), rng.uniform(2, 8), rng.uniform(2.2, 4)
    yaw, pitch = rng.normal(0, 25), rng.normal(3, 8)
    eye_height = rng.uniform(0.7, 1.8)
    view = render.look_at(np.array([0, 0, eye_height]), rng.uniform(1.2, 3.0), yaw, pitch, rng.normal(0, 4), rng.uniform(40, 75), (0, 0))
    light = render.random_light(rng)
    light["sky"] = tuple(np.maximum(light["sky"], 0.35))
    renderer.begin(view.matrix, view.focal, view.centre)

    def paint(textured_chance: float) -> bool:
        """Chooses colour and pattern of the next thing; True where a picture is wrapped around it."""
        clothes = render.random_clothes(rng) | {"recolour": (1.0, 1.0, 0.0), "skin_tint": (1.0, 1.0, 1.0), "waist": -10.0}
        clothes["pattern_style"] = (float(rng.uniform(1, 12)), float(rng.uniform(0.1, 0.8)), 1.0)
        muted = rng.uniform(0.1, 1.0)  # walls and furniture are rarely as colourful as clothes
        for name in ("upper_colour", "pattern_colour"):
            colour = np.array(clothes[name])
            clothes[name] = tuple(colour * muted + colour.mean() * (1 - muted) * np.array([1.06, 1.0, 0.92]))
        renderer.set(**clothes, **light)
        textured = rng.random() < textured_chance
        if textured:
            renderer.picture(sources[rng.integers(len(sources))])
            scale = rng.uniform(0.2, 1.0)
            renderer.set(wrap=(scale, -scale, rng.random(), rng.random()))
        return textured

    half = width / 2
    for solid in (solids.moved(solids.box((width * 3, 0.1, high)), (0, distance, high / 2)),
                  solids.moved(solids.box((0.1, 12, high)), (-half - 0.5, 0, high / 2)),
                  solids.moved(solids.box((0.1, 12, high)), (half + 0.5, 0, high / 2)),
                  solids.box((width * 3, 14, 0.05)), solids.moved(solids.box((width * 3, 14, 0.05)), (0, 0, high))):
        renderer.solid(*solid, textured=paint(0.3))
    for _ in range(rng.integers(0, 6)):  # pictures, windows, doors on the wall
        spot = (rng.uniform(-half, half), distance - 0.06, rng.uniform(0.8, high - 0.3))
        renderer.solid(*solids.moved(solids.box((rng.uniform(0.2, 1.5), 0.04, rng.uniform(0.2, 1.6))), spot), textured=paint(0.75))
    for _ in range(rng.integers(0, 4)):
        turn, near = poses.rotation([0, 0, 1], rng.uniform(0, 360)), rng.uniform(-0.7, 0.8) * distance
        renderer.solid(*solids.moved(solids.structure(rng), (rng.uniform(-half, half), near, 0), turn), textured=paint(0.5))
    for _ in range(rng.integers(0, 10)):
        vertices, normals, triangles = solids.furniture(rng)
        vertices = vertices - [0, 0, vertices[:, 2].min()]
        turn = poses.rotation([0, 0, 1], rng.uniform(0, 360))
        lift = 0.0 if rng.random() < 0.7 else rng.uniform(0.3, 1.2)
        spot = (rng.uniform(-half, half), rng.uniform(-0.5, distance - 0.3), lift)
        renderer.solid(*solids.moved((vertices, normals, triangles), spot, turn), textured=paint(0.4))
    picture = renderer.finish()
    return (picture[..., :3] + (255 - picture[..., 3:]) // 2).astype("u1")


def _make(count: int, held_out: bool, seed: int) -> np.ndarray:
    from . import renderer as drawing

    rng = np.random.default_rng([2027, seed])
    pictures = []
    panoramas = [(panorama, float(np.median(panorama.mean(2)))) for panorama in map(load_panorama, paths.places(held_out))]
    views = count if held_out else int(count * VIEWS)
    for index in tqdm(range(views), desc="views"):
        panorama, median = panoramas[index % len(panoramas)]
        pictures.append(random_view(panorama, rng, median))
    sources = [pictures[index] for index in rng.choice(len(pictures), 160)]
    drawer = drawing.Renderer(SIDE)
    for _ in tqdm(range(0 if held_out else int(count * ROOMS)), desc="rooms"):
        pictures.append(room(drawer, rng, sources))
    for _ in tqdm(range(0 if held_out else count - len(pictures)), desc="patches"):
        pictures.append(patches(rng, sources))
    return np.stack(pictures)


def file(held_out: bool) -> Path:
    return paths.work() / f"backgrounds-{'held-out' if held_out else 'train'}.npy"


def hard_file() -> Path:
    """Surroundings that ``mining`` found to be hard, in the same form."""
    return paths.work() / "backgrounds-hard.npy"


def run(count: int) -> None:
    """Backgrounds for training, and views of the held-out places."""
    for held_out, amount in ((True, 300), (False, count)):
        if not file(held_out).exists():
            pictures = _make(amount, held_out, int(held_out))
            with paths.replacing(file(held_out)) as partial:
                np.save(partial, pictures)
