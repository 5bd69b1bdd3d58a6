#!/usr/bin/env python3
"""How good the element's mattes are at the frame's size, where the truth is known.

    edges.py [oracle] [region] [refine] [detail] [candidates] [time] [rest] [pictures] [--pictures DIR]

oracle  a network that gives the true matte, brought down to 512x512, whatever it sees, as it is and with
        what networks do to mattes: what is lost on the way back to the frame, beside OpenCV's bicubic and
        bilinear enlargement. Drawn people with hair at 1920x1080 and 3840x2160, drawn shapes, the project's
        clip, and the photographs of ../shared/eval/p3m where that is there.
region  the built-in network, region=frame beside region=auto: somebody small who walks through a wide frame,
        two who enter, cross and leave, the project's clip, and the photographs of ../shared/eval.
refine  refine=zoom beside refine=none: the built-in network on what `region` measures; a network that gives the truth of whatever it sees, and one that does not look.
        Fails where zoom makes the mean absolute error of anything worse by more than 1 %.
detail  refine=detail beside refine=none, refine=zoom and closed-form matting (detail.py); takes ten minutes. Fails
        where detail makes the error of anything worse by more than 1 %.
candidates  what else was tried to refine mattes (candidates.py); takes ten minutes.
time    the built-in network on the project's clip, temporal=0 beside the default: MAD, dtSSD, and dtSSD where
        the truth stands still.
rest    how many frames are inferred with inference-interval=0, and what that costs in MAD: the project's clip, and its person
        who turns and leans as one who speaks.
pictures  what docs/edges.md shows: frames of the project's clip, without and with each property.

Runs the element through gst-launch-1.0, so under scripts/env (`make edges` sees to all that). Needs: numpy,
opencv-python-headless, onnx, pymatting, which foreground.py imports, and onnxruntime for the candidates.
"""
import argparse
import glob
import os
import re
import subprocess
import tempfile
import unittest.mock

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import foreground
from metrics import derivative_kernel

ROOT = foreground.ROOT
SHARED = os.path.join(ROOT, "../shared/eval")
SIDE = 512
CLIP = os.path.join(ROOT, "examples/media/person.mp4")
CLIP_MATTE = os.path.join(ROOT, "examples/media/person-alpha.mkv")


# The element

def launch(source, size, properties):
    """The mattes of what a source gives, 0 to 1, one frame after the other."""
    width, height = size
    with tempfile.NamedTemporaryFile() as out:
        command = ["gst-launch-1.0", "-q", *source, "!", "videoconvert", "!", "davidmatte", "output=alpha",
                   "pacing=exact", *properties, "!", "video/x-raw,format=GRAY16_LE", "!",
                   "filesink", f"location={out.name}"]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        stride = -(-2 * width // 4) * 4
        rows = np.fromfile(out.name, np.uint8).reshape(-1, height, stride)[..., : 2 * width]
        return np.ascontiguousarray(rows).view("<u2").astype(np.float32) / 65535


def matte_of(picture, properties, folder):
    path = os.path.join(folder, "picture.png")
    cv2.imwrite(path, picture)
    size = picture.shape[1::-1]
    return launch(["filesrc", f"location={path}", "!", "pngdec"], size, properties)[0]


def mattes_of(frames, properties, folder):
    for index, frame in enumerate(frames):
        cv2.imwrite(os.path.join(folder, f"{index:04}.png"), frame)
    source = ["multifilesrc", f"location={folder}/%04d.png", "stop-index=" + str(len(frames) - 1),
              "caps=image/png,framerate=30/1", "!", "pngdec"]
    return launch(source, frames[0].shape[1::-1], properties)


def oracle(mask, path):
    """A network of DAViD's contract that gives this mask."""
    info = lambda name, channels: helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, channels, SIDE, SIDE))
    value = numpy_helper.from_array(mask.reshape(1, 1, SIDE, SIDE).astype(np.float32))
    node = helper.make_node("Constant", [], ["output"], value=value)
    graph = helper.make_graph([node], "oracle", [info("input", 3)], [info("output", 1)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def looker(path, side=256, blur=0.0):
    """A network of DAViD's contract that gives the brightness of what it sees, blurred."""
    info = lambda name, channels: helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, channels, side, side))
    reach = int(np.ceil(3 * blur))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(blur, 1e-6)) ** 2)
    kernel = np.outer(line, line) / line.sum() ** 2
    weights = numpy_helper.from_array(np.float32([[kernel / 3] * 3]), "weights")
    border = numpy_helper.from_array(np.int64([0, 0, reach, reach, 0, 0, reach, reach]), "border")
    nodes = [helper.make_node("Pad", ["input", "border"], ["padded"], mode="edge"),
             helper.make_node("Conv", ["padded", "weights"], ["output"])]
    graph = helper.make_graph(nodes, "looker", [info("input", 3)], [info("output", 1)], [weights, border])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


# Errors

def gradient_error(p, t):
    kernel = derivative_kernel()
    def magnitude(matte):
        low, high = matte.min(), matte.max()
        matte = (matte.astype(np.float64) - low) / max(high - low, 1e-9)
        along = [cv2.filter2D(matte, -1, k, borderType=cv2.BORDER_REPLICATE) for k in (kernel, kernel.T)]
        return np.hypot(*along)
    return ((magnitude(p) - magnitude(t)) ** 2).sum() / 1000


def connectivity_error(p, t):
    levels = np.full(p.shape, -1.0)
    for step in range(1, 11):
        level = np.float64(np.float32(step / 10))
        both = ((p >= level) & (t >= level)).astype(np.uint8)
        count, names, stats, _ = cv2.connectedComponentsWithStats(both, connectivity=4)
        part = names == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA]) if count > 1 else both > 0
        levels[(levels == -1) & ~part] = (step - 1) / 10
    levels[levels == -1] = 1
    phi = lambda matte: 1 - (matte - levels) * (matte - levels >= 0.15)
    return np.abs(phi(p) - phi(t)).sum() / 1000


def unknown(t):
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (30, 30))
    any_of_it = cv2.dilate((t > 0).astype(np.uint8), ellipse)
    return (any_of_it > 0) & (cv2.erode((t >= 1).astype(np.uint8), ellipse) == 0)


def errors(p, t, band):
    difference = np.abs(p.astype(np.float64) - t)
    return [difference.sum() / 1000, 1e3 * (difference**2).mean(), gradient_error(p, t),
            connectivity_error(p, t), difference[band].sum() / 1000]


def dtssd(mattes, truths, where=None):
    change = np.diff(mattes, axis=0) - np.diff(truths, axis=0)
    if where is not None:
        return 100 * np.sqrt((change**2)[where].mean())
    return 100 * np.mean(np.sqrt((change**2).mean(axis=(1, 2))))


# Truths

def read_clip(path):
    capture, frames = cv2.VideoCapture(path), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return frames


def shapes(width, height):
    """Coverage of disks, bars and hairs, sampled eight times in both directions."""
    over = 8
    cover = np.zeros((height * over, width * over), np.uint8)
    at = lambda x, y: (int(x * height * over), int(y * height * over))
    cv2.circle(cover, at(0.5, 0.5), int(0.3 * height * over), 255, -1)
    cv2.rectangle(cover, at(1.0, 0.2), at(1.25, 0.85), 255, -1)
    for index in range(40):
        angle = index * np.pi / 20
        end = (0.5 + 0.42 * np.cos(angle), 0.5 + 0.42 * np.sin(angle))
        cv2.line(cover, at(0.5, 0.5), at(*end), 255, 1 + over * (index % 5) // 2)
    for index in range(12):
        cv2.line(cover, at(1.3, 0.1 + 0.07 * index), at(1.7, 0.05 + 0.08 * index), 255, 1 + index)
    return cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def photographs(name):
    for path in sorted(glob.glob(os.path.join(SHARED, name, "*.png"))):
        picture = cv2.imread(path[:-4] + ".jpg")
        truth = cv2.imread(path, 0).astype(np.float32) / 255
        yield picture, cv2.resize(truth, picture.shape[1::-1], interpolation=cv2.INTER_AREA)


def truths():
    rng = np.random.default_rng(1)
    for width, height in ((1920, 1080), (3840, 2160)):
        _, matte = foreground.person(rng, width, height, foreground.HAIR["dark"])
        yield f"drawn person, {height} lines", matte
    yield "drawn shapes, 1080 lines", shapes(1920, 1080)
    frames = read_clip(CLIP_MATTE)
    yield "clip, 720 lines", frames[30][..., 1].astype(np.float32) / 255
    for path in sorted(glob.glob(os.path.join(SHARED, "p3m/*.png"))):
        name = os.path.splitext(os.path.basename(path))[0]
        yield f"p3m {name}", cv2.imread(path, 0).astype(np.float32) / 255


def square(matte):
    height, width = matte.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padded = cv2.copyMakeBorder(matte, top, side - height - top, left, side - width - left, cv2.BORDER_REPLICATE)
    return padded, (slice(top, top + height), slice(left, left + width))


def holes(mask):
    mask = mask.copy()
    rng = np.random.default_rng(2)
    for _ in range(12):
        x, y = rng.integers(0, SIDE, 2).tolist()
        cv2.circle(mask, (x, y), int(rng.integers(2, 9)), float(rng.random()), -1)
    return mask


SPOILT = {
    "": lambda mask: mask,
    "blurred": lambda mask: cv2.GaussianBlur(mask, (0, 0), 1.5),
    "shifted": lambda mask: cv2.warpAffine(mask, np.float32([[1, 0, 0.5], [0, 1, 0.5]]), (SIDE, SIDE),
                                           borderMode=cv2.BORDER_REPLICATE),
    "with holes": holes,
    "from 256": lambda mask: cv2.resize(cv2.resize(mask, (256, 256), interpolation=cv2.INTER_AREA), (SIDE, SIDE),
                                        interpolation=cv2.INTER_CUBIC).clip(0, 1),
}


def compare_with_oracles():
    names = ["SAD", "MSE e-3", "Grad", "Conn", "SAD unknown"]
    print(f"{'':46}" + "".join(f"{name:>12}" for name in names))
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "oracle.onnx")
        for name, truth in truths():
            band = unknown(truth)
            padded, inside = square(truth)
            mask = cv2.resize(padded, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            for how, spoil in SPOILT.items():
                spoilt = spoil(mask)
                oracle(spoilt, model)
                picture = cv2.cvtColor(np.uint8(255 * truth), cv2.COLOR_GRAY2BGR)
                ways = {"element": matte_of(picture, [f"model={model}", "region=frame", "temporal=0"], folder)}
                for way, kernel in (("bicubic", cv2.INTER_CUBIC), ("bilinear", cv2.INTER_LINEAR)):
                    ways[way] = cv2.resize(spoilt, padded.shape[::-1], interpolation=kernel)[inside].clip(0, 1)
                found = {way: errors(matte, truth, band) for way, matte in ways.items()}
                for way, values in found.items():
                    label = f"{name} {how}" if way == "element" else ""
                    print(f"{label:36}{way:>10}" + "".join(f"{value:12.3f}" for value in values), flush=True)
                worst = max(worst, found["element"][0] / max(found["bicubic"][0], 1e-9))
    print(f"the element's SAD is at most {worst:.3f} of bicubic's (at most 1.01)")
    return worst <= 1.01


# Region

def walker(frames, mattes, left, top, height, mirrored):
    """Somebody of the clip, small, to put at (left, top) of a frame."""
    def draw(canvas, truth, index):
        frame, matte = frames[index % len(frames)], mattes[index % len(frames)]
        if mirrored:
            frame, matte = frame[:, ::-1], matte[:, ::-1]
        width = height * frame.shape[1] // frame.shape[0]
        frame, matte = (cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in (frame, matte))
        x = int(left(index))
        from_x, to_x = max(0, -x), min(width, canvas.shape[1] - x)
        if from_x >= to_x:
            return
        here = (slice(top, top + height), slice(x + from_x, x + to_x))
        frame, matte = frame[:, from_x:to_x], matte[:, from_x:to_x]
        canvas[here] = matte[..., None] * frame + (1 - matte[..., None]) * canvas[here]
        truth[here] = np.maximum(truth[here], matte)
    return draw


def scene(walkers, background, count):
    frames, truths = [], []
    for index in range(count):
        canvas, truth = background.astype(np.float32), np.zeros(background.shape[:2], np.float32)
        for draw in walkers:
            draw(canvas, truth, index)
        frames.append(np.uint8(canvas.round()))
        truths.append(truth)
    return frames, np.array(truths)


def empty_room(frame, matte):
    """The clip's place without the person: what lies beside, stretched."""
    columns = np.flatnonzero((matte > 0.02).any(axis=0))
    sides = [frame[:, : columns[0]], frame[:, columns[-1] + 1 :]]
    halves = [cv2.resize(side, (960, 1080), interpolation=cv2.INTER_CUBIC) for side in sides]
    return np.hstack([halves[0], halves[1]])


def clips():
    frames = read_clip(CLIP)
    mattes = [frame[..., 1].astype(np.float32) / 255 for frame in read_clip(CLIP_MATTE)]
    yield "the clip", frames, np.array(mattes)
    room = empty_room(frames[90], mattes[90])
    walk = walker(frames, mattes, lambda n: -250 + 14 * n, 620, 360, False)
    yield "somebody small, walking", *scene([walk], room, 120)
    other = walker(frames, mattes, lambda n: 1700 - 16 * n, 560, 430, True)
    yield "two who enter, cross, leave", *scene([walk, other], room, 150)


def iou(p, t):
    both, any_of_them = (p > 0.5) & (t > 0.5), (p > 0.5) | (t > 0.5)
    return both.sum() / max(any_of_them.sum(), 1)


def compare_regions(pictures):
    print(f"{'':32}{'MAD e-3, frame':>16}{'auto':>8}{'':8}{'IoU, frame':>12}{'auto':>8}")
    def row(name, found):
        (frame_mad, frame_iou), (auto_mad, auto_iou) = found
        less = 100 * (1 - auto_mad / frame_mad)
        print(f"{name:32}{frame_mad:16.2f}{auto_mad:8.2f}{less:+7.0f}%{frame_iou:12.3f}{auto_iou:8.3f}", flush=True)
    ways = ["region=frame", "region=auto"]
    for name, frames, truth in clips():
        found = []
        for way in ways:
            with tempfile.TemporaryDirectory() as folder:
                mattes = mattes_of(frames, [way, "temporal=0"], folder)
            found.append((1e3 * np.abs(mattes - truth).mean(), np.mean([iou(p, t) for p, t in zip(mattes, truth)])))
            if pictures:
                for index in range(10, len(frames), 25):
                    save(pictures, f"{name}-{way}-{index}", mattes[index])
        row(name, found)
    for name in ("people", "p3m"):
        pairs = list(photographs(name))
        found = []
        for way in ways if pairs else []:
            errors_of_all = []
            for picture, truth in pairs:
                with tempfile.TemporaryDirectory() as folder:
                    matte = matte_of(picture, [way], folder)
                errors_of_all.append((1e3 * np.abs(matte - truth).mean(), iou(matte, truth)))
            found.append(np.mean(errors_of_all, axis=0))
        if found:
            row(f"photographs, {name}", found)


# Refine

def cases_to_refine(folder):
    """Names, and for each the properties and what gives (mattes, truths) for more properties."""
    inside = lambda work: lambda way: work(way, tempfile.mkdtemp(dir=folder))
    for name, frames, truth in clips():
        yield name, inside(lambda way, f: (mattes_of(frames, [*way, "temporal=0"], f), truth))
    for name in ("people", "p3m"):
        pairs = list(photographs(name))
        if pairs:
            yield f"photographs, {name}", inside(lambda way, f: (
                [matte_of(picture, way, f) for picture, _ in pairs], [truth for _, truth in pairs]))
    for what, truth in truths():
        picture = cv2.cvtColor(np.uint8(np.round(255 * truth)), cv2.COLOR_GRAY2BGR)
        for how, blur in (("", 0), (", blurred", 1.5)):
            model = os.path.join(folder, f"looker{blur}.onnx")
            looker(model, blur=blur)
            yield f"it looks, {what}{how}", inside(lambda way, f: (
                [matte_of(picture, [*way, f"model={model}"], f)], [truth]))
        model = os.path.join(folder, "oracle.onnx")
        oracle(cv2.resize(square(truth)[0], (SIDE, SIDE), interpolation=cv2.INTER_AREA), model)
        yield f"it does not, {what}", inside(lambda way, f: (
            [matte_of(picture, [*way, f"model={model}", "region=frame"], f)], [truth]))


def compare_refinement():
    names = ["MAD e-3", "SAD", "SAD unknown", "Grad", "MSE e-3"]
    print(f"{'':44}" + "".join(f"{name:>20}" for name in names))
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, mattes in cases_to_refine(folder):
            found = []
            for way in ("refine=none", "refine=zoom"):
                rows = []
                # With one frame in flight, as zoom has it, regions follow otherwise than with two.
                for p, t in zip(*mattes([way, "frames-in-flight=1"])):
                    difference = np.abs(p.astype(np.float64) - t)
                    rows.append([1e3 * difference.mean(), difference.sum() / 1e3,
                                 difference[unknown(t)].sum() / 1e3, gradient_error(p, t),
                                 1e3 * (difference**2).mean()])
                found.append(np.mean(rows, axis=0))
            cells = [f"{a:9.3f}{b:8.3f}" for a, b in zip(*found)]
            print(f"{name:44}" + "".join(f"{cell:>20}" for cell in cells) +
                  f"{100 * (found[1][0] / max(found[0][0], 1e-9) - 1):+7.1f}%", flush=True)
            worst = max(worst, found[1][0] / max(found[0][0], 1e-9))
    print(f"with refine=zoom the mean absolute error is at most {worst:.3f} of that without (at most 1.01)")
    return worst <= 1.01


# Time

def compare_over_time():
    frames = read_clip(CLIP)
    truth = np.array([frame[..., 1].astype(np.float32) / 255 for frame in read_clip(CLIP_MATTE)])
    near = np.ones((17, 17), np.uint8)
    moved = np.abs(np.diff(truth, axis=0)) > 0.03
    still = np.array([cv2.dilate(frame.astype(np.uint8), near) == 0 for frame in moved])
    print(f"{'':24}{'MAD e-3':>10}{'dtSSD':>10}{'dtSSD, still':>14}")
    for way in (["temporal=0"], [], ["refine=zoom", "temporal=0"], ["refine=zoom"]):
        with tempfile.TemporaryDirectory() as folder:
            mattes = mattes_of(frames, way, folder)
        values = 1e3 * np.abs(mattes - truth).mean(), dtssd(mattes, truth), dtssd(mattes, truth, still)
        print(f"{' '.join(way) if way else 'the default':24}{values[0]:10.2f}{values[1]:10.2f}{values[2]:14.3f}", flush=True)


# Rest

def talking(count=120):
    """Somebody who turns and leans a little before a room that stands still, and the noise of a sensor."""
    frame, matte = read_clip(CLIP)[100].astype(np.float32), read_clip(CLIP_MATTE)[100][..., 1].astype(np.float32) / 255
    height, width = matte.shape
    room = cv2.resize(empty_room(frame, matte), (width, height), interpolation=cv2.INTER_AREA)
    person = np.dstack([frame * matte[..., None], matte])
    rng, frames, truths = np.random.default_rng(3), [], []
    for time in np.arange(count) / 30:
        wave = lambda rate, phase=0: np.sin(2 * np.pi * rate * time + phase)
        motion = cv2.getRotationMatrix2D((width / 2, height), 1.6 * wave(0.45) + 0.5 * wave(1.3, 1), 1 + 0.006 * wave(0.4))
        motion[:, 2] += 7 * wave(0.3), 3 * wave(0.7)
        moved = cv2.warpAffine(person, motion, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        truth = moved[..., 3].clip(0, 1)
        picture = moved[..., :3] + (1 - truth[..., None]) * room + rng.normal(0, 1.2, (height, width, 1))
        frames.append(np.uint8(picture.clip(0, 255).round()))
        truths.append(truth)
    return frames, np.array(truths)


def compare_rest():
    print(f"{'':36}{'interval':>10}{'inferred':>10}{'MAD e-3':>10}{'dtSSD':>10}")
    for name, frames, truth in [("somebody who speaks", *talking()), next(clips())]:
        for interval in (1, 2, 0):
            with tempfile.TemporaryDirectory() as folder:
                log = os.path.join(folder, "log")
                # What the element says when it stops.
                told = {"GST_DEBUG": "davidmatte:4", "GST_DEBUG_FILE": log}
                with unittest.mock.patch.dict(os.environ, told):
                    mattes = mattes_of(frames, [f"inference-interval={interval}"], folder)
                with open(log) as lines:
                    inferred = int(re.search(r"stopped.*, inferences=\(guint64\)(\d+)", lines.read()).group(1))
            values = 1e3 * np.abs(mattes - truth).mean(), dtssd(mattes, truth)
            print(f"{name:36}{interval:10}{inferred:10}" + "".join(f"{value:10.2f}" for value in values), flush=True)


# Pictures

# Of the clip: which frame, and the corner of a part 160 pixels wide and 120 high.
SCENES = {"hair": (75, (540, 70)), "shoulder": (75, (470, 230)), "elbow": (75, (720, 450))}


def composites(frames, properties):
    """The frames over white."""
    with tempfile.TemporaryDirectory() as folder:
        for index, frame in enumerate(frames):
            cv2.imwrite(os.path.join(folder, f"{index:04}.png"), frame)
        height, width = frames[0].shape[:2]
        out = os.path.join(folder, "out")
        command = ["gst-launch-1.0", "-q", "multifilesrc", f"location={folder}/%04d.png",
                   f"stop-index={len(frames) - 1}", "caps=image/png,framerate=30/1", "!", "pngdec", "!",
                   "videoconvert", "!", "video/x-raw,format=BGRx", "!", "davidmatte", "pacing=exact",
                   "background-color=0xffffffff", *properties, "!", "video/x-raw,format=BGRx", "!",
                   "filesink", f"location={out}"]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        return np.fromfile(out, np.uint8).reshape(-1, height, width, 4)[..., :3]


def part(picture, corner, scale=4):
    x, y = corner
    return cv2.resize(picture[y : y + 120, x : x + 160], None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)


def draw_pictures(folder):
    os.makedirs(folder, exist_ok=True)
    frames = read_clip(CLIP)[:90]
    plain = ["region=frame", "temporal=0", "decontaminate=false"]
    ways = [composites(frames, way) for way in (plain, [], ["refine=zoom"], ["refine=detail"])]
    for name, (index, corner) in SCENES.items():
        row = [part(picture[index], corner) for picture in (np.array(frames), *ways)]
        cv2.imwrite(os.path.join(folder, f"{name}.jpg"), np.hstack(row), [cv2.IMWRITE_JPEG_QUALITY, 80])
    whole = [picture[75][:, 320:960] for picture in (np.array(frames), ways[0], ways[3])]
    cv2.imwrite(os.path.join(folder, "whole.jpg"), np.hstack(whole), [cv2.IMWRITE_JPEG_QUALITY, 80])


def save(folder, name, matte):
    os.makedirs(folder, exist_ok=True)
    cv2.imwrite(os.path.join(folder, name.replace(" ", "-").replace(",", "") + ".png"), np.uint8(255 * matte))


def main():
    parser = argparse.ArgumentParser(description="Mattes at the frame's size against known ones.")
    parser.add_argument("parts", nargs="*", metavar="oracle|region|refine|detail|candidates|time|rest|pictures")
    parser.add_argument("--pictures", metavar="DIR")
    args = parser.parse_args()
    parts = args.parts or ["oracle", "region", "refine", "time"]
    good = compare_with_oracles() if "oracle" in parts else True
    if "region" in parts:
        compare_regions(args.pictures)
    if "refine" in parts:
        good = compare_refinement() and good
    if "detail" in parts:
        import detail
        good = detail.compare() and good
    if "candidates" in parts:
        import candidates
        candidates.compare()
    if "time" in parts:
        compare_over_time()
    if "rest" in parts:
        compare_rest()
    if "pictures" in parts:
        draw_pictures(args.pictures or os.path.join(ROOT, "docs/edges"))
    raise SystemExit(int(not good))


if __name__ == "__main__":
    main()
