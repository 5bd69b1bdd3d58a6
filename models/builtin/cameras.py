"""Step ``cameras``: the camera behind each avatar's preview picture, found by matching silhouettes.

The previews show the avatars with their colour textures, in the bind pose, before a transparent background.
Knowing the camera lets ``appearance`` put those colours onto the mesh.
"""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from numba import njit
from tqdm import tqdm

from . import meshes, paths

PREVIEW_WIDTH, PREVIEW_HEIGHT = 1280, 720  # pixels
FOCAL = 1778.0   # pixels: a 50 mm lens, the same for all previews; it would trade off with the distance
AIM = np.array([0.0, 0.0, 0.9])  # metres: the point that all preview cameras turn about

# A camera is (yaw, pitch, focal length, centre x, centre y, distance): radians, pixels, pixels, metres.
_FIRST_STEP = np.array([0.05, 0.03, 60.0, 4.0, 4.0, 0.1])


def rotation(yaw: float, pitch: float) -> np.ndarray:
    """(3, 3): rows are the camera's right, down and forward; yaw 0 looks from -Y towards +Y."""
    forward = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
    return np.stack([right, np.cross(forward, right), forward])


def project(points: np.ndarray, camera: np.ndarray, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) and depths in metres (N,) of points (N, 3) in a preview shrunk by ``scale``."""
    yaw, pitch, focal, centre_x, centre_y, distance = camera
    seen = (points - AIM) @ rotation(yaw, pitch).T
    depth = seen[:, 2] + distance
    pixels = np.stack([centre_x + focal * seen[:, 0] / depth, centre_y + focal * seen[:, 1] / depth], 1)
    return pixels * scale, depth


@njit(cache=True)
def rasterise(pixels, depths, triangles, height, width):  # pragma: no cover - compiled
    """Depth image (height, width) of a mesh; 1e9 where nothing is seen."""
    image = np.full((height, width), 1e9, np.float32)
    for index in range(triangles.shape[0]):
        a, b, c = triangles[index, 0], triangles[index, 1], triangles[index, 2]
        x0, y0, x1, y1, x2, y2 = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0:
            continue
        left = max(0, int(np.ceil(min(x0, x1, x2) - 0.5)))
        right = min(width - 1, int(np.floor(max(x0, x1, x2) - 0.5)))
        top = max(0, int(np.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(y0, y1, y2) - 0.5)))
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                px, py = x + 0.5, y + 0.5
                u = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) / area
                v = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) / area
                w = 1 - u - v
                if u >= 0 and v >= 0 and w >= 0:
                    depth = u * depths[a] + v * depths[b] + w * depths[c]
                    if depth < image[y, x]:
                        image[y, x] = depth
    return image


def silhouette_error(camera: np.ndarray, points: np.ndarray, triangles: np.ndarray, silhouette: np.ndarray,
                     scale: float) -> float:
    """1 - IoU between the mesh as this camera sees it and the preview's silhouette."""
    pixels, depths = project(points, camera, scale)
    if depths.min() < 0.3:
        return 1.0
    seen = rasterise(pixels, depths, triangles, *silhouette.shape) < 1e8
    return 1.0 - (seen & silhouette).sum() / (seen | silhouette).sum()


def _descend(start: np.ndarray, step: float, steps: int, *arguments) -> tuple[np.ndarray, float]:
    from scipy.optimize import minimize

    simplex = np.vstack([start] + [start + np.eye(6)[axis] * _FIRST_STEP[axis] * step for axis in range(6)])
    found = minimize(silhouette_error, start, args=arguments, method="Nelder-Mead",
                     options={"initial_simplex": simplex, "maxfev": steps})
    return found.x, found.fun


def fit(mesh: meshes.Mesh, near: np.ndarray | None) -> tuple[np.ndarray, float]:
    """The camera of one preview and its remaining silhouette error; ``near`` is a camera to start from."""
    preview = cv2.imread(str(paths.assets() / "rocketbox" / f"{mesh.name}.png"), cv2.IMREAD_UNCHANGED)
    opaque = (preview[..., 3] > 127).astype("f4")
    small = {scale: cv2.resize(opaque, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) > 0.5
             for scale in (0.25, 0.5)}
    points, triangles = mesh.positions.astype("f8"), mesh.triangles
    starts = [near] if near is not None else [
        np.array([yaw, pitch, FOCAL, PREVIEW_WIDTH / 2, PREVIEW_HEIGHT / 2, 5.0])
        for yaw in (-0.6, -0.3, 0.0, 0.3, 0.6) for pitch in (0.05, 0.2)]
    tries = [_descend(start, 1.0, 150, points, triangles, small[0.25], 0.25) for start in starts]
    best = min(tries, key=lambda found: found[1])[0]
    return _descend(best, 0.3, 200, points, triangles, small[0.5], 0.5)


def _file() -> Path:
    return paths.work() / "cameras.json"


def load() -> dict[str, np.ndarray]:
    return {name: np.array(entry["camera"]) for name, entry in json.loads(_file().read_text()).items()}


def run() -> None:
    """Fit every preview's camera; already fitted ones are kept."""
    fitted = json.loads(_file().read_text()) if _file().exists() else {}
    near = None
    for name in tqdm(paths.avatar_names(), desc="cameras"):
        if name not in fitted:
            camera, error = fit(meshes.load(name), near)
            fitted[name] = {"camera": camera.tolist(), "silhouette_iou": 1.0 - error}
        if near is None or fitted[name]["silhouette_iou"] > 0.97:
            near = np.array(fitted[name]["camera"])  # the next avatar is framed much like this one
    with paths.replacing(_file()) as partial:
        partial.write_text(json.dumps(fitted, indent=1))
    quality = sorted(entry["silhouette_iou"] for entry in fitted.values())
    print(f"silhouette IoU: median {quality[len(quality) // 2]:.3f}, worst {quality[0]:.3f}")
