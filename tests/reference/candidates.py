"""What was tried to make mattes finer than bicubic enlargement does; `refine=zoom` is what came of it.

Called by edges.py (`make edges PARTS=candidates`). All work on the built-in network's matte of the part of a
picture that holds everybody, found in each picture anew, as region=auto does for stills. Colour alone decides in
pymatting's matting, which is slow: it sees at most 640 pixels, and every sixth picture.
"""
import os
import sys
import warnings

import cv2
import numpy as np
import onnxruntime
from pymatting import estimate_alpha_cf, estimate_alpha_knn

import edges

sys.path.insert(0, os.path.join(edges.ROOT, "models"))
from builtin.contract import matte_of  # noqa: E402

SIDE = 256
SOMEBODY, MARGIN = 0.3, 0.25
SURE, AROUND, COARSE, DIFFERENCE, CONFIRMED = 0.02, 2, 4, 0.15, (0.85, 0.95)
SHARE, NO_CLOSER, FADE = 2 / 3, 0.8, 0.3


def network():
    session = onnxruntime.InferenceSession(os.path.join(edges.ROOT, "models/builtin.onnx"),
                                           providers=["CPUExecutionProvider"])
    return lambda tensor: session.run(None, {"input": tensor})[0]


def region(matte):
    """Rows and columns of everybody, with a margin; all of them where that is nearly the same."""
    found = []
    for axis in (1, 0):
        enough = 1 + 3 * max(matte.shape) // SIDE
        there = np.flatnonzero((matte > SOMEBODY).sum(axis=axis) >= enough)
        if not len(there):
            return slice(None), slice(None)
        room = MARGIN * (there[-1] + 1 - there[0])
        found.append(slice(int(max(there[0] - room, 0)), int(min(there[-1] + 1 + room, matte.shape[1 - axis]))))
    longer = max(part.stop - part.start for part in found)
    return tuple(found) if longer <= 0.8 * max(matte.shape) else (slice(None), slice(None))


def mean_over(picture, reach):
    side = 2 * max(round(reach), 1) + 1
    once = lambda p: cv2.blur(p, (side, side), borderType=cv2.BORDER_REPLICATE)
    return once(once(picture))


def uncertain(matte, around):
    soft = (matte > SURE) & (matte < 1 - SURE)
    sides, near = np.uint8(matte >= 0.5), np.ones((3, 3), np.uint8)
    soft |= cv2.dilate(sides, near) != cv2.erode(sides, near)
    return cv2.dilate(np.uint8(soft), np.ones((2 * max(round(around), 1) + 1,) * 2, np.uint8))


def parts(height, width):
    """Overlapping looks, of two thirds of the longer side; none where they would be no closer."""
    longer = max(height, width)
    side = int(max(SHARE * longer, SIDE * longer / min(longer, SIDE + 768)))
    if side > NO_CLOSER * longer:
        return []
    along = lambda n: [slice(0, n)] if side >= n else [slice(0, side), slice(n - side, n)]
    return [(rows, columns) for rows in along(height) for columns in along(width)]


def fading(part, side):
    at = (np.arange(part.stop - part.start) + 0.5) / (part.stop - part.start)
    rise = lambda t: np.clip(t / FADE, 0, 1) ** 2 * (3 - 2 * np.clip(t / FADE, 0, 1))
    return (rise(at) if part.start else 1) * (rise(1 - at) if part.stop < side else 1) + np.zeros_like(at)


def zoom(predict, picture, matte, guarded=True):
    unit = max(matte.shape) / SIDE
    band = uncertain(matte, AROUND * unit)
    change, weight = np.zeros_like(matte), np.full_like(matte, 1e-6)
    for part in parts(*matte.shape):
        closer, first, sure = matte_of(picture[part], predict, SIDE), matte[part], band[part] == 0
        trust = np.float32(1)
        if guarded:
            confirmed = [value[sure & side].mean() for value, side in ((closer, first >= 0.5), (1 - closer, first < 0.5))
                         if (sure & side).any()]
            trust = np.clip((min(confirmed, default=0) - CONFIRMED[0]) / (CONFIRMED[1] - CONFIRMED[0]), 0, 1)
            trust = trust * np.clip(2 - abs(mean_over(closer - first, COARSE * unit)) / DIFFERENCE, 0, 1)
        here = np.outer(*[fading(p, n) for p, n in zip(part, matte.shape)]).astype(np.float32)
        change[part] += here * trust * (closer - first)
        weight[part] += here
    return np.clip(matte + mean_over(np.float32(band), unit / 2) * change / weight, 0, 1)


def by_color(picture, matte, reach):
    """What share of the surest person's colour nearby, instead of the background's, a pixel shows."""
    unit, image = max(matte.shape) / SIDE, picture.astype(np.float32)
    band = uncertain(matte, unit) > 0
    blur = lambda p: cv2.GaussianBlur(p, (0, 0), reach * unit)

    def around(where):
        there = blur(np.float32(where))
        mean, square = (blur(p * where[..., None]) / np.maximum(there, 1e-4)[..., None] for p in (image, image**2))
        return mean, np.maximum(square - mean**2, 0).sum(axis=2), there > 1e-3
    (f, f_spread, f_there), (b, b_spread, b_there) = (around(np.float32(~band & side))
                                                      for side in (matte >= 0.5, matte < 0.5))
    apart, spread = ((f - b) ** 2).sum(axis=2), f_spread + b_spread
    alpha = np.clip(((image - b) * (f - b)).sum(axis=2) / np.maximum(apart, 1), 0, 1)
    rest = ((image - b - alpha[..., None] * (f - b)) ** 2).sum(axis=2)
    sure = apart / (apart + 2 * spread + 100) * np.exp(-rest / (spread + 200)) * (f_there & b_there & band)
    return np.float32(matte + sure * (alpha - matte))


def by_pymatting(estimate, picture, matte):
    scale = min(1, 640 / max(matte.shape))
    small = lambda p: cv2.resize(p, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image, coarse = small(picture)[..., ::-1] / 255.0, small(matte)
    trimap = np.where(uncertain(coarse, max(coarse.shape) / SIDE) > 0, 0.5, coarse >= 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detail = np.float32(estimate(image, trimap.astype(np.float64))) - coarse
    return np.clip(matte + cv2.resize(detail, matte.shape[::-1]), 0, 1)


def quick(predict, frame, first):
    mirrored = matte_of(frame[:, ::-1], predict, SIDE)[:, ::-1]
    return {"": first, "mean with mirrored": (first + mirrored) / 2, "zoom, unguarded": zoom(predict, frame, first, False),
            "zoom": zoom(predict, frame, first), "color, near": by_color(frame, first, 3),
            "color, far": by_color(frame, first, 8)}


def slow(predict, frame, first):
    return {"": first, "zoom": zoom(predict, frame, first), "closed-form matting": by_pymatting(estimate_alpha_cf, frame, first),
            "KNN matting": by_pymatting(estimate_alpha_knn, frame, first)}


def scores(predict, candidates, pairs):
    found = {}
    for frame, truth in pairs:
        everybody = region(matte_of(frame, predict, SIDE))
        part = frame[everybody]
        for name, matte in candidates(predict, part, matte_of(part, predict, SIDE)).items():
            whole = np.zeros_like(truth)
            whole[everybody] = matte
            difference = np.abs(whole.astype(np.float64) - truth)
            found.setdefault(name, []).append([
                1e3 * difference.mean(), difference[edges.unknown(truth)].sum() / 1e3,
                edges.gradient_error(whole, truth), 1e3 * (difference**2).mean()])
    return {name: np.mean(rows, axis=0) for name, rows in found.items()}


def compare():
    predict = network()
    clip = [(frame, alpha[..., 1].astype(np.float32) / 255)
            for frame, alpha in list(zip(edges.read_clip(edges.CLIP), edges.read_clip(edges.CLIP_MATTE)))[::6]]
    sets = {"the clip": clip} | {name: list(edges.photographs(name)) for name in ("people", "p3m")}
    names = ["MAD e-3", "SAD unknown", "Grad", "MSE e-3"]
    for candidates, every in ((quick, 1), (slow, 6)):
        for name, pairs in sets.items():
            pairs = pairs[::every if len(pairs) > 6 else 1]
            if not pairs:
                continue
            print(f"{name + f', {len(pairs)} pictures':24}" + "".join(f"{column:>14}" for column in names))
            found = scores(predict, candidates, pairs)
            for candidate, values in found.items():
                cells = "".join(f"{value:14.2f}" for value in values)
                print(f"  {candidate:22}{cells}{100 * (values[0] / found[''][0] - 1):+8.1f}%", flush=True)
