"""`refine=detail` beside bicubic enlargement, `refine=zoom` and pymatting's closed-form matting; part `detail` of edges.py.

Behind networks of DAViD's contract that give the true matte at 512x512 or 256x256 whatever they see, as it is or
spoilt, and behind the built-in one. Drawn people with hair at 1920x1080 and 3840x2160 before several backgrounds, a
flat cartoon, the project's clip, and the photographs of ../shared/eval where they are.
"""
import os
import tempfile

import cv2
import numpy as np
from pymatting import estimate_alpha_cf

import edges
import foreground

# What closed-form matting is given: the coarse matte where it is this sure, so many pixels away from the rest.
SURE, AROUND = 0.05, 5
# A matte is of the true edge where both differ by no more than this, as means over 1/96 of the longer side.
ALIKE = 0.15


def drawn_people():
    rng = np.random.default_rng(7)
    for (hair, color), background in zip(foreground.HAIR.items(), foreground.BACKGROUNDS):
        yield f"drawn, {hair} hair, 1080 lines", *composite(rng, 1920, 1080, color, background)
    for (hair, color), background in list(zip(foreground.HAIR.items(), foreground.BACKGROUNDS[2:]))[:2]:
        yield f"drawn, {hair} hair, 2160 lines", *composite(rng, 3840, 2160, color, background)


def composite(rng, width, height, hair, background):
    colors, matte = foreground.person(rng, width, height, hair)
    behind = background(rng, width, height)
    picture = matte[..., None] * colors + (1 - matte[..., None]) * behind
    picture += rng.normal(0, 1.5, picture.shape[:2])[..., None]
    return np.uint8(picture.clip(0, 255)[..., ::-1].round()), matte


def cartoon():
    matte = edges.shapes(1920, 1080)
    colors, behind = np.float32((60, 120, 230)), np.float32((190, 180, 90))
    return "flat cartoon, 1080 lines", np.uint8((matte[..., None] * (colors - behind) + behind).round()), matte


def pictures():
    yield from drawn_people()
    yield cartoon()
    frame, matte = edges.read_clip(edges.CLIP)[30], edges.read_clip(edges.CLIP_MATTE)[30]
    yield "the clip's frame 30", frame, matte[..., 1].astype(np.float32) / 255
    for index, (picture, matte) in enumerate(edges.photographs("p3m")):
        yield f"portrait {index + 1} of P3M-10k", picture, matte


def closed_form(picture, coarse):
    """Closed-form matting of what a coarse matte is not sure of, at the picture's own size."""
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * AROUND + 1,) * 2)
    trimap = np.full(coarse.shape, 0.5)
    trimap[cv2.erode(np.uint8(coarse > 1 - SURE), near) > 0] = 1
    trimap[cv2.erode(np.uint8(coarse < SURE), near) > 0] = 0
    rows, columns = (np.flatnonzero((trimap == 0.5).any(axis=axis)) for axis in (1, 0))
    here = (slice(max(rows[0] - 20, 0), rows[-1] + 20), slice(max(columns[0] - 20, 0), columns[-1] + 20))
    matte = coarse.copy()
    matte[here] = estimate_alpha_cf(picture[here][..., ::-1] / 255.0, trimap[here])
    return matte


def errors_in(band, p, t):
    """SAD, MSE (thousandths), Grad and Conn of the unknown band."""
    p, t = np.where(band, p, t).astype(np.float64), t.astype(np.float64)
    difference = np.abs(p - t)
    return [difference.sum() / 1e3, 1e3 * (difference[band] ** 2).sum() / max(band.sum(), 1), edges.gradient_error(p, t),
            edges.connectivity_error(p, t)]


NAMES = ["SAD", "MSE e-3", "Grad", "Conn"]


def row(name, way, found, base):
    shares = "".join(f"{value:10.3f}{100 * (value / max(b, 1e-9) - 1):+6.0f}%" for value, b in zip(found, base))
    print(f"{name:58}{way:>12}{shares}", flush=True)


def compare_behind_oracles():
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "oracle.onnx")
        for name, picture, truth in pictures():
            band = edges.unknown(truth)
            mask = cv2.resize(edges.square(truth)[0], (edges.SIDE, edges.SIDE), interpolation=cv2.INTER_AREA)
            for how, spoil in edges.SPOILT.items():
                edges.oracle(spoil(mask), model)
                matte = lambda way: edges.matte_of(picture, [f"model={model}", "region=frame", way], folder)
                bicubic = matte("refine=none")
                base = errors_in(band, bicubic, truth)
                label = f"{name}; true, {how or '512'}"
                row(label, "bicubic", base, base)
                found = errors_in(band, matte("refine=detail"), truth)
                row("", "detail", found, base)
                worst = max(worst, found[0] / base[0])
                if not how and picture.shape[0] <= 1440:
                    row("", "closed form", errors_in(band, closed_form(picture, bicubic), truth), base)
    return worst


def of_the_true_edge(band, coarse, truth):
    """Where of a band a coarse matte is coarse, and not of something else: a lost arm, a wall taken for somebody."""
    side = 2 * round(max(truth.shape) / 192) + 1
    blurred = [cv2.blur(matte.astype(np.float32), (side, side)) for matte in (coarse, truth)]
    return band & (np.abs(blurred[0] - blurred[1]) < ALIKE)


def compare_at_true_edges(pairs, mattes):
    """What share of the error is where the coarse matte is of the true edge, which is all that detail can mend, and how
    much of that is left."""
    sums = np.zeros(3)
    for (_, truth), (bicubic, detail) in zip(pairs, mattes):
        band = edges.unknown(truth)
        here = of_the_true_edge(band, bicubic, truth)
        sums += [np.abs(bicubic - truth)[band].sum(), np.abs(bicubic - truth)[here].sum(), np.abs(detail - truth)[here].sum()]
    print(f"{'':12}where the matte is of the true edge: {100 * sums[1] / sums[0]:.0f}% of bicubic's SAD, "
          f"and there detail {100 * (sums[2] / sums[1] - 1):+.0f}%", flush=True)


def compare_behind_builtin():
    worst = 0
    # Drawn people it does not know.
    sets = {f"photographs, {name}": list(edges.photographs(name)) for name in ("people", "p3m")}
    with tempfile.TemporaryDirectory() as folder:
        for name, pairs in sets.items():
            ways = ["bicubic", "zoom", "detail"] + (["closed form"] if name.endswith("p3m") else [])
            found, mattes = {way: [] for way in ways}, []
            for picture, truth in pairs:
                band = edges.unknown(truth)
                bicubic, zoom, detail = (edges.matte_of(picture, [f"refine={way}"], folder) for way in ("none", "zoom", "detail"))
                for way, matte in zip(ways, (bicubic, zoom, detail)):
                    found[way].append(errors_in(band, matte, truth))
                mattes.append((bicubic, detail))
                if "closed form" in ways:
                    found["closed form"].append(errors_in(band, closed_form(picture, bicubic), truth))
            means = {way: np.mean(values, axis=0) for way, values in found.items() if values}
            for way, values in means.items():
                row(f"built-in; {name} ({len(pairs)})" if way == "bicubic" else "", way, values, means["bicubic"])
            if means:
                compare_at_true_edges(pairs, mattes)
                worst = max(worst, means["detail"][0] / means["bicubic"][0])
    return worst


def compare_on_clips():
    """The built-in network with all defaults; still is where the truth does not move."""
    print(f"{'':36}{'':>12}{'MAD e-3':>10}{'SAD':>10}{'Grad':>10}{'dtSSD':>10}{'still':>10}")
    worst = 0
    for name, frames, truth in edges.clips():
        near = np.ones((17, 17), np.uint8)
        still = np.array([cv2.dilate(np.uint8(np.abs(change) > 0.03), near) == 0 for change in np.diff(truth, axis=0)])
        base = None
        for way in ("none", "zoom", "detail"):
            with tempfile.TemporaryDirectory() as folder:
                mattes = edges.mattes_of(frames, [f"refine={way}", "frames-in-flight=1"], folder)
            bands = [edges.unknown(t) for t in truth[::5]]
            inside = np.mean([errors_in(b, p, t)[:3] for b, p, t in zip(bands, mattes[::5], truth[::5])], axis=0)
            mad = 1e3 * np.abs(mattes - truth).mean()
            base = base or mad
            worst = max(worst, mad / base if way == "detail" else 0)
            values = mad, inside[0], inside[2], edges.dtssd(mattes, truth), edges.dtssd(mattes, truth, still)
            print(f"{name if way == 'none' else '':36}{way:>12}" + "".join(f"{value:10.3f}" for value in values), flush=True)
    return worst


def compare():
    print(f"{'In the unknown band':58}{'':>12}" + "".join(f"{name:>10}{'':7}" for name in NAMES))
    worst = max(compare_behind_oracles(), compare_behind_builtin(), compare_on_clips())
    print(f"with refine=detail the errors of no row are more than {worst:.3f} of those without (at most 1.01)")
    return worst <= 1.01
