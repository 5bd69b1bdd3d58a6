"""Puts rendered people before backgrounds, and treats the result as a camera would.

Renders are premultiplied by their alpha, so that laying one over a picture is exact:
``picture * (1 - alpha) + render``. Everything done to a person (gain, saturation, blur) is linear and done to the
premultiplied colours, which keeps it exact at soft edges; gamma, noise and compression are done to the whole
picture afterwards. The alpha that comes out is the true one.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

from . import backgrounds, codec, paths, render

HARD_SHARE = 0.2    # of the training's pictures lie before surroundings that were mined, see ``mining``
COLOURED = 0.35    # of the pictures are lit in a colour, people and all: lamps and screens of any
TWO_LIGHTS = 0.3    # of these by one lamp on one side and another on the other
WALLS = 0.1         # of the training's surroundings are a plain wall, as behind most cameras
BEFORE_A_WALL = 0.12  # of the training's pictures show one person from close by before a plain wall, as cameras on desks do,
LIT_THERE = 0.6     # and so many of these are lit in a colour
CLOSE = 0.2         # of the pictures of one person show head and shoulders from close by
HANDS = 0.12        # of the training's pictures show a hand that comes in from a side
HIDDEN = 0.08       # of the training's pictures have a part of somebody blurred, as faces are that nobody is to know
NOBODY_IN_HARD = 0.4  # of these show nobody: before hard surroundings there must be people too, or they give nobody away
ASPECTS = (16 / 9, 16 / 9, 4 / 3, 3 / 2, 3 / 4, 9 / 16, 2 / 3)  # width over height of padded frames
_GREY = np.float32([0.299, 0.587, 0.114])


@njit(cache=True, fastmath=True)
def lay_over(picture, alpha, person, top, left, matrix, shade_x, shade_y):  # pragma: no cover - compiled
    """Lays ``person`` (h, w, 4) uint8 premultiplied over ``picture`` (H, W, 3) float32 in [0, 1], in place.

    matrix: (3, 3) that recolours the person, linear, hence exact on premultiplied colours; shade_x, shade_y:
    brightness that changes across the person; alpha: (H, W) float32, updated.
    """
    rows, columns = picture.shape[:2]
    height, width = person.shape[:2]
    scale = np.float32(1 / 255)
    for y in range(max(0, top), min(rows, top + height)):
        for x in range(max(0, left), min(columns, left + width)):
            cover = person[y - top, x - left, 3]
            if cover == 0:
                continue
            a = cover * scale
            light = np.float32(1) + shade_x * (np.float32(x - left) / width - np.float32(0.5)) + shade_y * (np.float32(y - top) / height - np.float32(0.5))
            light = max(light, np.float32(0.2)) * scale
            r, g, b = person[y - top, x - left, 0] * light, person[y - top, x - left, 1] * light, person[y - top, x - left, 2] * light
            for channel in range(3):
                value = matrix[channel, 0] * r + matrix[channel, 1] * g + matrix[channel, 2] * b
                value = min(max(value, np.float32(0)), a)  # a premultiplied colour is at most alpha
                picture[y, x, channel] = picture[y, x, channel] * (1 - a) + value
            alpha[y, x] = alpha[y, x] + (1 - alpha[y, x]) * a


@dataclass
class Placed:
    """A render scaled and put into a frame: pixels (h, w, 4) uint8 premultiplied, and where they lie."""

    pixels: np.ndarray
    top: int
    left: int


def is_cut(edge: np.ndarray) -> bool:
    """Whether a body goes on beyond an edge, (n, 4) uint8."""
    return int((edge[:, 3] > 99).sum()) > 2


def place(crop: np.ndarray, top: int, left: int, whole: tuple[int, int], frame: tuple[int, int], scale: tuple[float, float],
          offset: tuple[float, float], flip: bool) -> Placed:
    """Scales a crop of a render and moves it, keeping cut bodies on the frame's edges.

    whole: (height, width) of the render; frame: that of the picture; scale: pixels of the frame per pixel of the render, down and across;
    offset: of the render's middle from the frame's, in pixels, down and across. Where the body was cut by the
    render's edge, that edge comes to lie on the frame's edge or beyond, so that no torso floats.
    """
    height, width = crop.shape[:2]
    cut_top, cut_bottom = top == 0 and is_cut(crop[0]), top + height == whole[0] and is_cut(crop[-1])
    cut_left, cut_right = left == 0 and is_cut(crop[:, 0]), left + width == whole[1] and is_cut(crop[:, -1])
    if flip:
        cut_left, cut_right, left = cut_right, cut_left, whole[1] - left - width

    def shifted(start: float, length: float, room: float, low: bool, high: bool) -> float:
        if low and high:
            return min(0.0, max(start, room - length))
        if high:
            return max(start, room - length)
        return min(start, 0.0) if low else start

    rows, columns = frame
    origin_y = shifted(rows / 2 + offset[0] - whole[0] / 2 * scale[0], whole[0] * scale[0], rows, cut_top, cut_bottom)
    origin_x = shifted(columns / 2 + offset[1] - whole[1] / 2 * scale[1], whole[1] * scale[1], columns, cut_left, cut_right)
    # Only what the frame shows is scaled, plus a rim for the interpolation.
    first_y = max(0, int((-origin_y) / scale[0] - top) - 2)
    last_y = min(height, int((rows - origin_y) / scale[0] - top) + 3)
    first_x = max(0, int((-origin_x) / scale[1] - left) - 2)
    last_x = min(width, int((columns - origin_x) / scale[1] - left) + 3)
    if last_y - first_y < 2 or last_x - first_x < 2:
        return Placed(np.zeros((1, 1, 4), np.uint8), 0, 0)
    part = crop[first_y:last_y, width - last_x:width - first_x] if flip else crop[first_y:last_y, first_x:last_x]
    start_y, start_x = round(origin_y + (top + first_y) * scale[0]), round(origin_x + (left + first_x) * scale[1])
    end_y, end_x = round(origin_y + (top + last_y) * scale[0]), round(origin_x + (left + last_x) * scale[1])
    size = (max(1, end_x - start_x), max(1, end_y - start_y))
    method = cv2.INTER_AREA if scale[0] < 0.8 else cv2.INTER_LINEAR
    scaled = cv2.resize(part, size, interpolation=method)
    return Placed(cv2.flip(scaled, 1) if flip else scaled, start_y, start_x)


def blurred(placed: Placed, sigma: float, kernel: np.ndarray | None = None) -> Placed:
    """A person out of focus, or smeared by ``kernel``; colours and alpha alike, with room to spread."""
    margin = int(np.ceil(3 * sigma)) if kernel is None else max(kernel.shape)
    pixels = cv2.copyMakeBorder(placed.pixels, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    pixels = cv2.GaussianBlur(pixels, (0, 0), sigma) if kernel is None else cv2.filter2D(pixels, -1, kernel)
    return Placed(pixels, placed.top - margin, placed.left - margin)


def streak(length: float, angle: float) -> np.ndarray:
    """A motion blur's kernel: a line of ``length`` pixels at ``angle`` radians, summing to 1."""
    side = int(np.ceil(length)) | 1
    kernel = np.zeros((side, side), "f4")
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    middle = side // 2
    cv2.line(kernel, tuple((middle - reach).round().astype(int).tolist()), tuple((middle + reach).round().astype(int).tolist()), 1.0, 1, cv2.LINE_AA)
    return kernel / max(float(kernel.sum()), 1e-6)


def recolouring(gain: np.ndarray, saturation: float) -> np.ndarray:
    """(3, 3) float32: saturation about grey, then a gain per channel."""
    return (np.diag(gain) @ (np.eye(3) * saturation + (1 - saturation) * np.tile(_GREY, (3, 1)))).astype("f4")


def lamp(rng: np.random.Generator) -> np.ndarray:
    """(3,) gains: light of any colour, mostly faint ones."""
    light = np.exp(rng.normal(0, 0.4, 3))
    return light / light.max() * rng.uniform(0.9, 1.25)


def _towards(gain: np.ndarray, frame: tuple[int, int], direction: float) -> np.ndarray:
    """(H, W, 3) float32: from 1 at one end of a picture to ``gain`` at the other, ``direction`` in radians."""
    down, across = (np.linspace(-1, 1, length, dtype="f4") for length in frame)
    share = np.clip(0.5 + 0.5 * (np.cos(direction) * across + np.sin(direction) * down[:, None]), 0, 1)
    return 1 + share[..., None] * (gain - 1).astype("f4")


def hue_turn(angle: float, saturation: float) -> np.ndarray:
    """(3, 3) float32: turns colours about the grey axis by ``angle`` radians and scales their distance from it."""
    axis = np.full(3, 1 / np.sqrt(3))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    grey = np.full((3, 3), 1 / 3)
    return (grey + saturation * (turn - grey)).astype("f4")


def hide(picture: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> None:
    """Blurs a round part of somebody in a picture (H, W, 3) float32, in place, more often of the upper half; alpha stays."""
    inside = np.argwhere(alpha > 0.98)
    if len(inside) == 0:
        return
    length = np.sqrt(len(inside))
    # They are sorted by row.
    row, column = inside[int(len(inside) * rng.random() ** 2)]
    radius = max(2.0, rng.uniform(0.08, 0.25) * length)
    round_part = np.zeros(alpha.shape, np.uint8)
    axes = tuple(int(radius * rng.uniform(0.7, 1.2)) + 1 for _ in range(2))
    cv2.ellipse(round_part, (int(column), int(row)), axes, rng.uniform(0, 180), 0, 360, 255, -1)
    share = cv2.GaussianBlur(round_part.astype("f4") / 255, (0, 0), max(0.6, 0.08 * radius)) * (alpha > 0.98)
    sigma = radius * rng.uniform(0.3, 0.9)
    # Of the person alone, so that nothing of what is behind comes in.
    colours = cv2.GaussianBlur(picture * alpha[..., None], (0, 0), sigma) / (cv2.GaussianBlur(alpha, (0, 0), sigma)[..., None] + 1e-3)
    picture += share[..., None] * (colours - picture)


class Composer:
    """Endless composites of ``side`` pixels.

    padded: draw frames of camera-like aspect ratios and pad some to a square by replicating the border, as the
    model's contract does; otherwise (for validation) return the frames as they are, longer side ``side``.
    extras: draw what is hard besides clutter (things on heads, people who look like their background, bodies
    without heads, H.264); only the first held-out composites are without, see ``validation``.
    number: which held-out shard to take people from.
    """

    def __init__(self, side: int, held_out: bool = False, padded: bool = True, extras: bool = True, number: int = 1) -> None:
        cv2.setNumThreads(0)
        codec.be_quiet()
        self.side, self.held_out, self.padded, self.extras, self.number = side, held_out, padded, extras, number
        self.shown: list[str] = []  # avatars of the last sample, as far as the shards name them
        self.refresh()
        noise = np.random.default_rng(5)
        self._grain = noise.normal(0, 1, (6, 2 * side, 2 * side, 3)).astype("f4")
        self._detail = [self._fractal(noise, 2 * side) for _ in range(12)]
        self._ramp = np.arange(256) / 255.0

    def refresh(self) -> None:
        """Looks for shards that were rendered and surroundings that were mined meanwhile."""
        self.backgrounds = np.load(backgrounds.file(self.held_out), mmap_mode="r")
        mined = backgrounds.hard_file()
        self.hard = np.load(mined, mmap_mode="r") if mined.exists() and not self.held_out else np.zeros((0, 1, 1, 3), "u1")
        self.people, self.things = ([render.Shard(path) for path in self._mine(render.shards(self.held_out, things))] for things in (False, True))
        self._by_framing = {name: [(shard, members) for shard in self.people if len(members := np.where(shard.framings == name)[0])]
                            for name in (*render.FRAMINGS, render.COMING_IN)}

    def _mine(self, shards: list) -> list:
        """Held-out shards are not mixed: each is a set of its own."""
        return [path for path in shards if render.number_of(path) == self.number] if self.held_out else shards

    @staticmethod
    def _fractal(rng: np.random.Generator, side: int) -> np.ndarray:
        """(side, side) float32 of unit deviation, with detail at every scale like that of natural surfaces."""
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
        spectrum = np.fft.fft2(rng.normal(size=(side, side))) / np.maximum(frequency, 1 / side) ** rng.uniform(0.5, 1.2)
        texture = np.fft.ifft2(spectrum).real
        texture = np.clip(texture / texture.std(), -3, 3)
        return texture.astype("f4")

    # ------------------------------------------------------------------------------------------------- pieces

    def _background(self, rng: np.random.Generator, frame: tuple[int, int], distraction: float) -> np.ndarray:
        """(H, W, 3) float32 RGB: a background, or two of them cut into each other.

        There are few panoramas, and a network soon knows them by heart; turned, sheared, in other colours and
        cut into each other along natural-looking borders they stay unknown for longer.
        """
        picture = self._scene(rng, frame, distraction)
        if not self.held_out and rng.random() < 0.4 * distraction:
            texture = self._crop(self._detail[rng.integers(len(self._detail))], frame, rng)
            cut = cv2.GaussianBlur(texture, (0, 0), np.exp(rng.uniform(0, 2.3)))
            level = np.quantile(cut[::8, ::8], rng.uniform(0.2, 0.8))
            sharpness = rng.uniform(4, 60) / max(float(cut.std()), 1e-3)
            mask = np.clip((cut - level) * sharpness + 0.5, 0, 1)[..., None]
            picture += (self._scene(rng, frame, distraction) - picture) * mask
        if not self.held_out and rng.random() < 0.3:
            self._lay_shapes(picture, rng)
        return picture

    def _lay_shapes(self, picture: np.ndarray, rng: np.random.Generator) -> None:
        """Large smooth shapes at the frame's edges: lanes, benches, pillars, curved floors.

        Shoulders are such a shape too: without these the network takes whatever rises from the lower edge for a body.
        """
        rows, columns = picture.shape[:2]
        for _ in range(rng.integers(1, 4)):
            mask, (x, foot) = np.zeros((rows, columns), np.uint8), rng.uniform(0, 1, 2) * [columns, 0.3 * rows]
            kind = rng.integers(3)
            if kind == 0:  # a lane or the front of a bench
                bottom, top, rise = rng.uniform(0.1, 0.45) * columns, rng.uniform(0.02, 0.35) * columns, rng.uniform(0.2, 1.0) * rows
                lean = rng.normal(0, 0.15) * columns
                corners = [[x - bottom, rows + foot], [x + bottom, rows + foot], [x + lean + top, rows - rise], [x + lean - top, rows - rise]]
                cv2.fillPoly(mask, [np.array(corners).astype("i4")], 255, cv2.LINE_AA)
            elif kind == 1:  # a cushion, a round floor or table
                axes = (max(2, int(rng.uniform(0.1, 0.5) * columns)), max(2, int(rng.uniform(0.1, 0.6) * rows)))
                cv2.ellipse(mask, (int(x), int(rows + foot - rng.uniform(0, 0.3) * rows)), axes, rng.normal(0, 15), 0, 360, 255, -1, cv2.LINE_AA)
            else:  # a pillar, perhaps round at its end
                width = rng.uniform(0.02, 0.14) * columns
                ends = [(int(x), int(rng.uniform(-0.3, 0.7) * rows)), (int(x + rng.normal(0, 0.06) * columns), int(rows + foot))]
                cv2.line(mask, *ends, 255, max(2, int(2 * width)), cv2.LINE_AA)
            cover = mask[..., None] * np.float32(1 / 255)
            if rng.random() < 0.4:
                fill = self._scene(rng, (rows, columns), 0.0)
            else:
                tone = picture[rng.integers(rows), rng.integers(columns)] * rng.uniform(0.5, 1.6)
                shade = np.linspace(rng.uniform(0.5, 1), rng.uniform(0.8, 1.4), rows if rng.random() < 0.5 else columns, dtype="f4")
                grain = self._crop(self._detail[rng.integers(len(self._detail))], (rows, columns), rng) * np.float32(rng.uniform(0, 0.12))
                fill = np.clip(tone * ((shade[:, None] if len(shade) == rows else shade[None]) * (1 + grain))[..., None], 0, 1).astype("f4")
            picture += (fill - picture) * cover

    def _scene(self, rng: np.random.Generator, frame: tuple[int, int], distraction: float) -> np.ndarray:
        """(H, W, 3) float32 RGB: one background, zoomed, turned and recoloured."""
        count = len(self.backgrounds)
        plain = count if self.held_out else int(count * backgrounds.VIEWS)  # panoramas come first in the file
        index = rng.integers(count) if rng.random() < 0.3 + 0.7 * distraction else rng.integers(plain)
        return self._varied(np.asarray(self.backgrounds[index]), rng, frame)

    def _varied(self, source: np.ndarray, rng: np.random.Generator, frame: tuple[int, int]) -> np.ndarray:
        """(H, W, 3) float32 RGB: ``source`` (uint8 RGB) zoomed, turned and recoloured."""
        rows, columns = frame
        zoom = (1.0 if rng.random() < 0.4 else np.exp(rng.uniform(0.0, 0.8))) * max(frame) / source.shape[0]
        linear = np.diag([-1.0 if rng.random() < 0.5 else 1.0, 1.0]) @ np.diag([np.exp(rng.normal(0, 0.1)), 1.0]) * zoom
        if not self.held_out and rng.random() < 0.4:
            angle = rng.normal(0, 0.15) if rng.random() < 0.7 else rng.integers(4) * np.pi / 2
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            linear = turn @ np.array([[1, rng.normal(0, 0.15)], [rng.normal(0, 0.1), 1]]) @ linear
        reach, centre = np.array([columns, rows]) / 2, np.array([source.shape[1], source.shape[0]]) / 2
        slack = np.maximum(centre * zoom - reach, 0)
        matrix = np.concatenate([linear, (reach - linear @ centre + rng.uniform(-slack, slack))[:, None]], 1)
        picture = cv2.warpAffine(source, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        table = np.clip(self._ramp[:, None] ** np.exp(rng.normal(0, 0.16)) * np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.04, 3)) * 255, 0, 255).astype("u1")[None]
        picture = cv2.LUT(picture, table)
        if not self.held_out and rng.random() < 0.4:
            picture = cv2.transform(picture, hue_turn(rng.uniform(-np.pi, np.pi), rng.uniform(0.3, 1.2)))
        picture = picture.astype("f4") * np.float32(1 / 255)
        if rng.random() < 0.5:
            picture *= 1 + np.float32(rng.uniform(0.02, 0.15)) * self._crop(self._detail[rng.integers(len(self._detail))], frame, rng)[..., None]
        return picture

    @staticmethod
    def _crop(texture: np.ndarray, frame: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        top, left = rng.integers(0, texture.shape[0] - frame[0]), rng.integers(0, texture.shape[1] - frame[1])
        return texture[top:top + frame[0], left:left + frame[1]]

    def _wall(self, rng: np.random.Generator, frame: tuple[int, int]) -> np.ndarray:
        """(H, W, 3) float32 RGB: a plain wall, or two that meet, in the light of one lamp or two."""
        rows, columns = frame
        down, across = np.mgrid[0:rows, 0:columns].astype("f4") / np.float32(max(frame))
        paint = (rng.uniform(0.15, 1.0) * (1 - rng.uniform(0, 0.8) * rng.random(3))).astype("f4")
        light = np.full((rows, columns, 3), rng.uniform(0.4, 1.0), "f4")
        for _ in range(rng.integers(1, 3)):
            away = np.hypot(down - rng.uniform(-0.3, 1.3), across - rng.uniform(-0.3, 1.3)) / rng.uniform(0.3, 1.5)
            colour = 1 - rng.uniform(0, 0.5) * rng.random(3)
            light += np.exp(-away ** 2)[..., None] * (rng.uniform(0.1, 0.8) * colour).astype("f4")
        if rng.random() < 0.25:
            edge = (across - rng.uniform(0, 1)) + (down - 0.5) * rng.normal(0, 0.05)
            light *= np.where(edge > 0, 1.0, rng.uniform(0.6, 0.95)).astype("f4")[..., None]
        grain = self._crop(self._detail[rng.integers(len(self._detail))], frame, rng) * np.float32(0.06 * rng.random() ** 2)
        return np.clip(paint * light * (1 + grain[..., None]), 0, 1)

    def surroundings(self, rng: np.random.Generator, frame: tuple[int, int], distraction: float) -> np.ndarray:
        """(H, W, 3) float32 RGB: a background with things in it, before there are people."""
        if not self.held_out and rng.random() < WALLS:
            return self._wall(rng, frame)
        picture = self._background(rng, frame, distraction)
        if self.things and rng.random() < 0.6 * distraction:
            nothing = np.zeros(frame, "f4")
            for _ in range(rng.integers(1, 6)):
                self._lay_thing(picture, nothing, rng)
        return picture

    def _thing(self, rng: np.random.Generator, frame: tuple[int, int]) -> Placed:
        shard = self.things[rng.integers(len(self.things))]
        crop, top, left = shard.crop(rng.integers(len(shard)))
        scale = rng.uniform(0.3, 1.5) * max(frame) / shard.side
        offset = (rng.uniform(-0.5, 0.5) * frame[0], rng.uniform(-0.5, 0.5) * frame[1])
        return place(crop, top, left, (shard.side, shard.side), frame, (scale, scale * np.exp(rng.normal(0, 0.3))), offset, rng.random() < 0.5)

    def _lay_thing(self, picture: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> None:
        placed = self._thing(rng, picture.shape[:2])
        gain = np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.05, 3))
        lay_over(picture, alpha, placed.pixels, placed.top, placed.left, recolouring(gain, rng.uniform(0.2, 1.3)), np.float32(0), np.float32(0))

    def _pick(self, rng: np.random.Generator, framings: dict[str, float], headless: float) -> tuple[np.ndarray, int, int, int]:
        """A render of one of the framings: its crop, top, left, and the side of the whole.

        headless: chance to take one that the picture's upper edge cuts; cameras seldom leave out the head.
        """
        names = list(framings)
        chances = np.array([framings[name] for name in names])
        members = self._by_framing[names[rng.choice(len(names), p=chances / chances.sum())]]
        for _ in range(6):
            shard, indices = members[rng.integers(len(members))]
            index = int(rng.choice(indices))
            if shard.boxes[index, 1] > 0 or rng.random() < headless:
                break
        if shard.avatars is not None:
            self.shown.append(str(shard.avatars[index]))
        return (*shard.crop(index), shard.side)

    def _persons(self, rng: np.random.Generator, frame: tuple[int, int]) -> list[Placed]:
        """Nobody, one person or a group, the farthest first."""
        rows, columns = frame
        kind = rng.choice(["nobody", "one", "small", "few", "crowd"], p=[0.15, 0.45, 0.15, 0.18, 0.07] if self.extras else [0.12, 0.47, 0.15, 0.19, 0.07])
        if kind == "nobody":
            return []
        if self.extras and kind == "one" and rng.random() < 0.12:
            return [self._headless(rng, frame)]
        # Held-out composites stay what they were before there were any.
        if kind == "one" and not self.held_out and rng.random() < CLOSE:
            return [self._close(rng, frame)]
        stretch = 1.0
        if self.padded and rows == columns:
            # A square stands for a frame of any aspect ratio squeezed into it.
            stretch = float(np.exp(rng.normal(0, 0.16)))
        placed = []
        if kind in ("one", "small"):
            if kind == "one":
                crop, top, left, side = self._pick(rng, {"face": 0.13, "bust": 0.40, "half": 0.22, "full": 0.25}, headless=0.3)
                size = np.exp(rng.uniform(-0.15, 0.5)) * rows / side
                offset = (rng.normal(0, 0.05) * rows, rng.normal(0, 0.16) * columns)
            else:
                crop, top, left, side = self._pick(rng, {"half": 0.15, "full": 0.5, "far": 0.35}, headless=0.0)
                size = np.exp(rng.uniform(-1.3, -0.1)) * rows / side
                offset = (rng.normal(0, 0.15) * rows, rng.uniform(-0.4, 0.4) * columns)
            if left == 0 and left + crop.shape[1] == side:  # reaches out of both sides: must span the frame
                size = max(size, columns / side)
            placed.append(place(crop, top, left, (side, side), frame, (size, size * stretch), offset, rng.random() < 0.5))
        else:
            count = int(rng.integers(2, 4)) if kind == "few" else int(rng.integers(4, 9))
            size = np.exp(rng.uniform(-0.6, 0.15) if kind == "few" else rng.uniform(-1.4, -0.45))
            close = rng.random() < 0.5  # shoulder to shoulder, or spread over the frame
            framings = {"bust": 0.35, "half": 0.3, "full": 0.35} if rng.random() < 0.6 else {"full": 0.7, "far": 0.3}
            level = rng.normal(0, 0.1)
            middle = rng.uniform(-0.2, 0.2)
            members = []
            for index in range(count):
                crop, top, left, side = self._pick(rng, framings, headless=0.03)
                own = size * np.exp(rng.normal(0, 0.13)) * rows / side
                if close:
                    across = middle + (index - (count - 1) / 2) * rng.uniform(0.6, 1.1) * 0.45 * own * side / columns
                else:
                    across = rng.uniform(-0.45, 0.45)
                members.append((own, place(crop, top, left, (side, side), frame, (own, own * stretch),
                                           ((level + rng.normal(0, 0.03)) * rows, across * columns), rng.random() < 0.5)))
            placed = [member for _, member in sorted(members, key=lambda member: member[0])]
        return placed

    def _close(self, rng: np.random.Generator, frame: tuple[int, int]) -> Placed:
        """A head and shoulders that fill the frame."""
        crop, top, left, side = self._pick(rng, {"face": 0.6, "bust": 0.4}, headless=0.0)
        size = max(np.exp(rng.uniform(0.3, 0.9)) * frame[0], frame[1]) / side
        offset = (rng.normal(0, 0.12) * frame[0], rng.normal(0, 0.12) * frame[1])
        return place(crop, top, left, (side, side), frame, (size, size), offset, rng.random() < 0.5)

    def _has_hand_coming_in(self, rng: np.random.Generator) -> bool:
        """Whether the next picture has; held-out ones stay what they were before there were any, but for a set of these."""
        if self.held_out:
            return self.number >= render.COMING_IN_FROM
        return bool(self._by_framing[render.COMING_IN]) and rng.random() < HANDS

    def _hand_coming_in(self, rng: np.random.Generator, frame: tuple[int, int]) -> Placed:
        """Head and shoulders, with a hand that a side of the frame cuts off from them."""
        crop, top, left, side = self._pick(rng, {render.COMING_IN: 1.0}, headless=0.5)
        size, flip = np.exp(rng.uniform(-0.1, 0.35)) * frame[0] / side, bool(rng.random() < 0.5)
        cut = (left == 0 and is_cut(crop[:, 0]), left + crop.shape[1] == side and is_cut(crop[:, -1]))
        if all(cut):
            size = max(size, frame[1] / side)
        # Pushed away from the side that it was cut by, it stays there.
        push = (float(cut[0]) - float(cut[1])) * (-1 if flip else 1)
        offset = (rng.normal(0, 0.08) * frame[0], push * frame[1])
        return place(crop, top, left, (side, side), frame, (size, size), offset, flip)

    def _headless(self, rng: np.random.Generator, frame: tuple[int, int]) -> Placed:
        """A close look at legs, a lap or a back: the head is out of the frame."""
        crop, top, left, side = self._pick(rng, {"half": 0.2, "full": 0.8}, headless=0.5)
        size = np.exp(rng.uniform(0.4, 1.0)) * frame[0] / side
        offset = (-rng.uniform(0.25, 0.6) * crop.shape[0] * size, rng.normal(0, 0.12) * frame[1])
        return place(crop, top, left, (side, side), frame, (size, size), offset, rng.random() < 0.5)

    def mottled(self, person: Placed, rng: np.random.Generator) -> Placed:
        """The person with uneven brightness: folds, and shadows that a body casts on itself."""
        rows, columns = person.pixels.shape[:2]
        if max(rows, columns) >= 2 * self.side:
            return person
        texture = self._crop(self._detail[rng.integers(len(self._detail))], (rows, columns), rng)
        if rng.random() < 0.4:  # hard shadows
            texture = np.clip((cv2.GaussianBlur(texture, (0, 0), rng.uniform(1.5, 6.0)) - rng.normal(0.3, 0.4)) * rng.uniform(2, 8), -3, 0)
        light = np.clip(1 + np.float32(rng.uniform(0.03, 0.2)) * texture, 0.2, 2)
        pixels = person.pixels.copy()
        pixels[..., :3] = np.minimum(person.pixels[..., :3] * light[..., None], person.pixels[..., 3:])
        return Placed(pixels, person.top, person.left)

    def _like_someone(self, picture: np.ndarray, persons: list[Placed], rng: np.random.Generator) -> None:
        """Draws the background towards the colour of someone's clothes or skin: light clothes before light walls."""
        pixels = persons[rng.integers(len(persons))].pixels[::4, ::4].reshape(-1, 4)
        pixels = pixels[pixels[:, 3] > 250, :3]
        if len(pixels) < 20:
            return
        brightness = pixels @ _GREY
        some = pixels[brightness >= np.quantile(brightness, rng.choice([0.3, 0.6, 0.85]))]
        colour = some[rng.integers(len(some), size=16)].mean(0) / 255 * np.exp(rng.normal(0, 0.1))
        near = np.float32(rng.uniform(0.5, 0.95))
        picture += (colour.astype("f4") - picture) * near

    # ------------------------------------------------------------------------------------------------ pictures

    def sample(self, rng: np.random.Generator, distraction: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """A picture (H, W, 3) uint8 BGR and its alpha (H, W) uint8; ``distraction`` in [0, 1] adds clutter."""
        side, self.shown = self.side, []
        if not self.held_out and rng.random() < 0.25:
            distraction *= 0.25  # most of what cameras see is plain
        natural = not self.padded or rng.random() < 0.4
        frame = (side, side)
        if natural:
            aspect = ASPECTS[rng.integers(len(ASPECTS))]
            frame = (round(side / aspect), side) if aspect > 1 else (side, round(side * aspect))
        before_wall = not self.held_out and rng.random() < BEFORE_A_WALL
        hard = len(self.hard) > 0 and not before_wall and rng.random() < HARD_SHARE
        if before_wall:
            picture = self._wall(rng, frame)
        elif hard:
            picture = self._varied(np.asarray(self.hard[rng.integers(len(self.hard))]), rng, frame)
        else:
            picture = self.surroundings(rng, frame, distraction)
        if rng.random() < 0.30:
            picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 4.5) * side / 192)

        alpha = np.zeros(frame, "f4")
        if self._has_hand_coming_in(rng):
            persons = [self._hand_coming_in(rng, frame)]
        elif before_wall:
            persons = [self._close(rng, frame)]
        else:
            persons = [] if hard and rng.random() < NOBODY_IN_HARD else self._persons(rng, frame)
        if self.extras and persons and rng.random() < 0.07:
            self._like_someone(picture, persons, rng)
        ambient = np.array(cv2.mean(picture)[:3])
        exposure, cast = np.exp(rng.normal(0, 0.15)), np.exp(rng.normal(0, 0.04, 3))
        towards = rng.random() * 0.7 * (rng.random() < 0.5)  # how far people take the light of the place
        softness = rng.uniform(0.3, 1.0) if rng.random() < 0.6 else 0.0
        if rng.random() < 0.05:
            softness = rng.uniform(1.0, 3.0)
        smear = streak(rng.uniform(3, 0.06 * side), rng.uniform(0, np.pi)) if rng.random() < 0.07 else None
        shadow = rng.random() < 0.2
        mottled = self.extras and rng.random() < 0.3
        for person in persons:
            if mottled:
                person = self.mottled(person, rng)
            if softness:
                person = blurred(person, softness)
            if smear is not None:
                person = blurred(person, 0.0, smear)
            gain = exposure * cast * np.exp(rng.normal(0, 0.1)) * np.exp(rng.normal(0, 0.02, 3))
            if towards:
                mean = np.array(cv2.mean(person.pixels)) / 255
                own = mean[:3] / (mean[3] + 1e-3)
                gain *= np.clip(1 - towards + towards * ambient / (own + 0.02), 0.3, 2.5)
            if shadow:
                self._cast_shadow(picture, person, rng)
            lay_over(picture, alpha, person.pixels, person.top, person.left, recolouring(gain, float(np.clip(rng.normal(1, 0.18), 0, 1.7))),
                     np.float32(rng.normal(0, 0.35)), np.float32(rng.normal(0, 0.3)))
        if persons and self.things and rng.random() < 0.12 * distraction + 0.03:  # something in front of them
            front = np.zeros(frame, "f4")
            self._lay_thing(picture, front, rng)
            alpha *= 1 - front
        if persons and rng.random() < 0.05:
            self._desk(picture, alpha, rng)
        return self.photograph(picture, alpha, rng, LIT_THERE if before_wall else COLOURED)

    @staticmethod
    def _cast_shadow(picture: np.ndarray, person: Placed, rng: np.random.Generator) -> None:
        """Darkens the background beside a person, as a wall close behind would show it."""
        rows, columns = picture.shape[:2]
        sigma = rng.uniform(2, 10) * rows / 192
        if min(person.pixels.shape[:2]) < 8:
            return
        small = cv2.resize(person.pixels[..., 3], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        matrix = np.float64([[4, 0, person.left + rng.normal(0, 0.05) * columns], [0, 4, person.top + rng.normal(0, 0.05) * rows]])
        shade = cv2.warpAffine(cv2.GaussianBlur(small, (0, 0), max(sigma / 4, 0.5)), matrix, (columns, rows), flags=cv2.INTER_LINEAR)
        picture *= 1 - np.float32(rng.uniform(0.1, 0.6) / 255) * shade[..., None]

    @staticmethod
    def _desk(picture: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> None:
        """A plain table's edge across the bottom of the frame, before the people."""
        rows, columns = alpha.shape
        left, right = (rng.uniform(0.72, 0.97) + rng.normal(0, 0.02, 2)) * rows
        mask = np.zeros((rows, columns), np.uint8)
        cv2.fillPoly(mask, [np.array([[0, left], [columns, right], [columns, rows], [0, rows]]).astype("i4")], 255, cv2.LINE_AA)
        cover = (mask / np.float32(255))[..., None]
        shade = np.linspace(rng.uniform(0.7, 1.0), rng.uniform(0.8, 1.2), columns, dtype="f4")[None, :, None]
        colour = (rng.random(3) * 0.5 + rng.random() * 0.5).astype("f4")
        picture[:] = picture * (1 - cover) + np.clip(colour * shade, 0, 1) * cover
        alpha *= 1 - cover[..., 0]

    def photograph(self, picture: np.ndarray, alpha: np.ndarray, rng: np.random.Generator, coloured: float = COLOURED) -> tuple[np.ndarray, np.ndarray]:
        """Focus, light (with that chance ``coloured``), white balance, sensor noise, sharpening and compression of a whole picture."""
        frame = alpha.shape
        # Held-out composites stay what they were before there was any.
        if not self.held_out and rng.random() < HIDDEN:
            hide(picture, alpha, rng)
        kind = rng.random()
        if kind < 0.22:
            sigma = rng.uniform(0.3, 1.2)
            picture, alpha = cv2.GaussianBlur(picture, (0, 0), sigma), cv2.GaussianBlur(alpha, (0, 0), sigma)
        elif kind < 0.25:
            kernel = streak(rng.uniform(3, 9), rng.uniform(0, np.pi))
            picture, alpha = cv2.filter2D(picture, -1, kernel), cv2.filter2D(alpha, -1, kernel)
        elif kind < 0.33:  # a camera of few pixels
            shrink = rng.uniform(0.4, 0.8)
            size = (max(8, int(frame[1] * shrink)), max(8, int(frame[0] * shrink)))
            picture = cv2.resize(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), frame[::-1], interpolation=cv2.INTER_LINEAR)
            alpha = cv2.resize(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), frame[::-1], interpolation=cv2.INTER_LINEAR)
        elif kind < 0.5:
            picture = picture + np.float32(rng.uniform(0.2, 1.0)) * (picture - cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.6, 1.5)))
        dim = rng.random() < 0.10
        gamma = np.exp(rng.normal(0, 0.16)) * (rng.uniform(1.2, 2.0) if dim else 1.0)
        gain = np.exp(rng.normal(-0.02, 0.1)) * np.exp(rng.normal(0, 0.035, 3))
        if not self.held_out and rng.random() < coloured:
            light = lamp(rng)
            gain *= light
            if rng.random() < TWO_LIGHTS:
                picture = picture * _towards(lamp(rng) / light, frame, rng.uniform(0, 2 * np.pi))
        table = np.clip(self._ramp[:, None] ** gamma * gain * 255, 0, 255).astype("u1")[None]
        photo = cv2.LUT((np.clip(picture, 0, 1) * 255 + 0.5).astype("u1"), table)
        if rng.random() < 0.4:
            photo = cv2.transform(photo, recolouring(np.ones(3), rng.uniform(0.6, 1.25) if rng.random() < 0.88 else 0.0))
        if dim or rng.random() < 0.4:
            noise = self._grain[rng.integers(len(self._grain))]
            top, left = rng.integers(0, noise.shape[0] - frame[0]), rng.integers(0, noise.shape[1] - frame[1])
            noise = noise[top:top + frame[0], left:left + frame[1]]
            noise = noise if rng.random() < 0.6 else noise[..., :1]
            strength = 255 * (0.05 * rng.random() ** 2 + (0.03 if dim else 0.0))
            photo = np.clip(photo + noise * np.float32(strength), 0, 255).astype("u1")
        photo = np.ascontiguousarray(photo[..., ::-1])
        if self.extras and rng.random() < 0.12:
            moved = tuple(int(step) for step in rng.integers(-4, 5, 2)) if rng.random() < 0.6 else None
            photo = codec.compressed(photo, int(rng.integers(22, 43)), moved)
        elif rng.random() < 0.55:
            photo = cv2.imdecode(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(18, 96))])[1], cv2.IMREAD_COLOR)
        mask = (np.clip(alpha, 0, 1) * 255 + 0.5).astype("u1")
        return pad_square(photo, mask) if self.padded else (photo, mask)


def pad_square(photo: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both padded to a square by replicating their border, the smaller half of an odd pad on the top or left."""
    rows, columns = mask.shape
    side = max(rows, columns)
    top, left = (side - rows) // 2, (side - columns) // 2
    border = (top, side - rows - top, left, side - columns - left)
    return (cv2.copyMakeBorder(photo, *border, cv2.BORDER_REPLICATE), cv2.copyMakeBorder(mask, *border, cv2.BORDER_REPLICATE))


VALIDATIONS = {"": 0, "extras": 1, "valid": render.HELD_OUT_VALID, "hands": render.COMING_IN_FROM}  # sets of held-out composites and their shards


def renders_are_there(kind: str = "") -> bool:
    """Whether held-out composites of a kind can be made."""
    return backgrounds.file(True).exists() and any(render.number_of(path) == VALIDATIONS[kind] for path in render.shards(True))


def _validation(kind: str, count: int, side: int) -> dict[str, np.ndarray]:
    """``photo0``, ``alpha0`` and so on of fixed held-out composites, and ``avatars``: those in each, joined by spaces."""
    file = paths.work() / f"validation-{side}-{count}{kind and '-'}{kind}.npz"
    if not file.exists():
        composer = Composer(side, held_out=True, padded=False, extras=kind != "", number=VALIDATIONS[kind])
        rng, fields, avatars = np.random.default_rng(77), {}, []
        for index in range(count):
            fields[f"photo{index}"], fields[f"alpha{index}"] = composer.sample(rng)
            avatars.append(" ".join(composer.shown))
        with paths.replacing(file) as partial:
            np.savez_compressed(partial, **fields, avatars=np.array(avatars))
    with np.load(file) as data:
        return {name: data[name] for name in data.files}


def validation(kind: str = "", count: int = 300, side: int = 384) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fixed composites of held-out avatars before held-out places: pictures BGR and alphas, uint8.

    kind: of ``VALIDATIONS``. The first are what they were from the beginning, so that scores can be compared over time;
    ``extras`` have extras, and ``valid`` as well, with VALID's persons; in those of ``hands`` one comes in from a side.
    """
    data = _validation(kind, count, side)
    return [(data[f"photo{index}"], data[f"alpha{index}"]) for index in range(count)]


def validation_avatars(kind: str = "", count: int = 300, side: int = 384) -> list[str]:
    """Names of the avatars in each composite of ``validation``, joined by spaces; VALID's begin with group and sex."""
    return [str(names) for names in _validation(kind, count, side)["avatars"]]


def nobody(count: int = 150) -> list[np.ndarray]:
    """Views of the held-out places with nobody in them, uint8 BGR."""
    return [np.ascontiguousarray(picture[..., ::-1]) for picture in np.load(backgrounds.file(True), mmap_mode="r")[:count]]


def contact_sheet(held_out: bool, output: str | None) -> None:
    """Forty composites beside their alphas."""
    composer, rng = Composer(192, held_out), np.random.default_rng(1)
    tiles = [np.hstack([photo, cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR)]) for photo, mask in (composer.sample(rng) for _ in range(40))]
    sheet = np.vstack([np.hstack(tiles[row:row + 5]) for row in range(0, 40, 5)])
    target = output or str(paths.work() / "composites.png")
    cv2.imwrite(target, sheet)
    print(target)
