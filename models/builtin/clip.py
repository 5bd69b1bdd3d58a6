"""Step ``clip``: ``examples/media/person.mp4``, a held-out avatar who moves before a held-out place, and its alpha.

Every frame is supersampled four times besides the renderer's own antialiasing and is the mean of two moments of an
open shutter; both are means of premultiplied pictures, so the alpha beside the clip is the true one.
"""
from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from . import backgrounds, hair, paths, poses, render

WIDTH, HEIGHT, RATE, SECONDS = 1280, 720, 30, 4.0
AVATAR, PLACE = "Female_Adult_05", "lobby"
MOMENTS = 2            # of each frame, across half of its time
OVERSAMPLING = 2       # per axis, besides the renderer's four samples


def eased(time: float, start: float, end: float) -> float:
    """0 before ``start`` seconds, 1 after ``end``, smooth between."""
    part = np.clip((time - start) / (end - start), 0, 1)
    return float(part * part * (3 - 2 * part))


def pose_at(time: float) -> poses.Pose:
    """She looks around, waves with her right hand, then gestures with her left while she leans."""
    wave = eased(time, 0.4, 1.0) - eased(time, 2.1, 2.7)
    tell = eased(time, 2.2, 2.9)
    swing = np.sin(2 * np.pi * 1.9 * time)
    return {
        "R arm lower": 38 - 45 * wave, "R arm swing": 4 + 22 * wave, "R arm twist": 10 * wave, "R elbow": 15 + 88 * wave + 20 * wave * swing,
        "R elbow up": 2.6 * wave, "R hand side": 12 * wave * swing, "R fingers": 18 - 12 * wave,
        "L arm lower": 40 - 8 * tell, "L arm swing": 2 + 26 * tell, "L arm twist": 8 * tell, "L elbow": 12 + 78 * tell + 10 * tell * np.sin(2 * np.pi * 1.2 * time),
        "L elbow in": 0.3, "L elbow up": 0.2 * tell, "L fingers": 15 + 12 * np.sin(2 * np.pi * 0.8 * time), "L hand twist": -30 * tell,
        "head turn": 16 * np.sin(2 * np.pi * 0.42 * time + 0.3), "head nod": 4 + 5 * np.sin(2 * np.pi * 0.7 * time), "head tilt": 5 * np.sin(2 * np.pi * 0.33 * time + 1),
        "spine bend": 3 + 4 * tell, "spine tilt": 4 * np.sin(2 * np.pi * 0.3 * time), "spine turn": 8 * np.sin(2 * np.pi * 0.27 * time),
    }


class Scene:
    """The clip's person and light, drawn at any time."""

    def __init__(self) -> None:
        from .renderer import Renderer

        self.side = HEIGHT * OVERSAMPLING
        self.renderer = Renderer(self.side)
        self.person = render.Person(AVATAR)
        self.renderer.picture(self.person.look.picture)
        mesh, look = self.person.mesh, self.person.look
        rng = np.random.default_rng(11)
        strands = [hair.grow(mesh, look.hair_roots, look.colours.astype("f8") ** 2.2, rng, style)
                   for style in ("tidy", "tidy", "fuzzy")]
        self.strands = [strand for strand in strands if strand is not None]
        self.renderer.set(sky=(0.82, 0.85, 0.9), ground=(0.42, 0.38, 0.34), lamp1=(-0.5, -0.6, 0.62), lamp1_colour=(0.55, 0.52, 0.46),
                          lamp2=(0.8, 0.3, 0.5), lamp2_colour=(0.16, 0.18, 0.22), shine=0.2, recolour=(0.0, 0.0, 0.0), upper_colour=(0.5, 0.5, 0.5),
                          lower_colour=(0.5, 0.5, 0.5), hair_colour=(0.1, 0.1, 0.1), pattern_colour=(0.5, 0.5, 0.5), pattern=0,
                          pattern_style=(10.0, 0.0, 0.0), skin_tint=(1.0, 1.0, 1.0), grain=0.12)

    def moment(self, time: float) -> np.ndarray:
        """(side, side, 4) uint8, premultiplied."""
        mesh, look, skin = self.person.mesh, self.person.look, self.person.skin
        placed = skin.transforms(pose_at(time))
        points, normals = skin.apply(placed)
        target = np.array([0.02 * np.sin(time), 0, mesh.joint("Head")[2] - 0.16])
        view = render.look_at(target, 1.02, -6, 3, 0, 34, (0.0, 0.0))
        self.renderer.begin(view.matrix, view.focal, view.centre)
        self.renderer.person(mesh, look, points, normals, np.zeros(len(points), "f4"))
        head = placed[mesh.bone("Head")]
        for strands in self.strands:
            self.renderer.strands(*strands.ribbons(head), strands.width)
        return self.renderer.finish()

    def frame(self, time: float) -> np.ndarray:
        """(HEIGHT, HEIGHT, 4) float32 in [0, 1], premultiplied."""
        total = np.zeros((HEIGHT, HEIGHT, 4), "f4")
        for moment in range(MOMENTS):
            picture = self.moment(time + moment / MOMENTS * 0.5 / RATE)
            total += cv2.resize(np.ascontiguousarray(picture), (HEIGHT, HEIGHT), interpolation=cv2.INTER_AREA).astype("f4")
        return total / np.float32(255 * MOMENTS)


def surroundings() -> np.ndarray:
    """(HEIGHT, WIDTH, 3) float32 RGB: the place, a little out of focus as behind a person close to the camera."""
    panorama = backgrounds.load_panorama(next(path for path in paths.places(True) if path.stem == PLACE))
    view = backgrounds.view(panorama, WIDTH, HEIGHT, 200.0, 2.0, 0.0, 75.0)
    picture = backgrounds.develop(view, 0.1, True, float(np.median(panorama.mean(2)))) / np.float32(255)
    return cv2.GaussianBlur(picture, (0, 0), 2.0)


def _writer(path: Path, kind: str, *codec: str) -> subprocess.Popen:
    """An ffmpeg that reads raw frames; bit-exact, so that the same frames give the same file."""
    return subprocess.Popen(["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", kind, "-s", f"{WIDTH}x{HEIGHT}", "-r", str(RATE),
                             "-i", "-", "-fflags", "+bitexact", "-flags:v", "+bitexact", *codec, str(path)], stdin=subprocess.PIPE)


def run() -> None:
    """Writes ``person.mp4`` (H.264 8-bit 4:2:0, BT.709) and ``person-alpha.mkv`` (FFV1, 8-bit grey, lossless)."""
    folder = paths.REPO / "examples" / "media"
    scene, place, rng = Scene(), surroundings(), np.random.default_rng(4)
    left = (WIDTH - HEIGHT) // 2
    with paths.replacing(folder / "person.mp4") as colour_file, paths.replacing(folder / "person-alpha.mkv") as alpha_file:
        colour = _writer(colour_file, "bgr24", "-vf", "scale=out_color_matrix=bt709:out_range=tv", "-c:v", "libx264", "-preset", "slow", "-crf", "21", "-pix_fmt", "yuv420p",
                         "-threads", "1", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv", "-movflags", "+faststart")
        alpha = _writer(alpha_file, "gray", "-c:v", "ffv1", "-level", "3", "-coder", "1", "-context", "1", "-g", "120", "-slices", "4", "-threads", "1")
        for index in tqdm(range(int(RATE * SECONDS)), desc="clip"):
            person = np.zeros((HEIGHT, WIDTH, 4), "f4")
            person[:, left:left + HEIGHT] = scene.frame(index / RATE)
            picture = person[..., :3] + place * (1 - person[..., 3:])
            picture = picture + rng.normal(0, 0.004, picture.shape[:2]).astype("f4")[..., None]  # a sensor's noise
            colour.stdin.write((np.clip(picture[..., ::-1], 0, 1) * 255 + 0.5).astype("u1").tobytes())
            alpha.stdin.write((person[..., 3] * 255 + 0.5).astype("u1").tobytes())
        for writer in (colour, alpha):
            writer.stdin.close()
            if writer.wait():
                raise RuntimeError("ffmpeg failed")
    for name in ("person.mp4", "person-alpha.mkv"):
        print(f"{name}: {(folder / name).stat().st_size / 1e6:.2f} MB")
