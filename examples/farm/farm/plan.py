"""Which ranges a film is cut into.

A range costs what it costs anyway, and besides: a start with the load of the model, the preroll, and, where the film
cannot be cut without loss, decoding all that comes before it. Ranges are as short as keeps that besides within a share
of the whole, so that a lost worker, and the last range of all, cost little.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from .media import Film

# What a range may cost besides, as a share of what it costs anyway.
SHARE = 0.05
# No range is meant to last longer: that much is lost with a worker.
LONGEST = 600.0
# Ranges for each worker: with fewer the last ones keep the others waiting.
A_WORKER = 4


@dataclass(frozen=True)
class Costs:
    """Seconds, of one worker."""

    start: float = 1.0
    # Of a frame, and of each million pixels that it has: preparing, composing, encoding.
    frame: float = 0.04
    megapixel: float = 0.04
    # Of decoding a million pixels.
    decode: float = 0.006

    def of_frame(self, film: Film) -> float:
        return self.frame + self.megapixel * film.width * film.height / 1e6

    def of_decoding(self, film: Film) -> float:
        return self.decode * film.width * film.height / 1e6


@dataclass(frozen=True)
class Range:
    """Frames from `first` up to, and without, `end`; made of the film itself, or of a piece of it."""

    first: int
    end: int
    # The frames of the piece, from a key frame up to another one or the film's end; nothing where the film itself is read.
    piece: tuple[int, int] | None = None
    # The run that makes it, of those that share the work, where that is not left to the range's name.
    by: int | None = field(default=None, compare=False)

    @property
    def frames(self) -> int:
        return self.end - self.first

    @property
    def name(self) -> str:
        return f"{self.first:08}-{self.end - 1:08}"


def whole(film: Film, by: int | None = None) -> list[Range]:
    """All frames at once, which is matte_file's usual run."""
    return [Range(0, film.frames, by=by)]


def ranges(
    film: Film, costs: Costs, *, workers: int, all_seconds: float, preroll: int, is_intra: bool, length: int | None = None
) -> list[Range]:
    """The ranges of a film, of which all films together take `all_seconds` on one worker."""
    if film.reason is not None or film.frames < 2:
        return whole(film)
    # An encoder that looks ahead is set by the whole film, of which a piece does not tell enough.
    cuts = film.uncut is None and (is_intra or film.is_even)
    a_frame = costs.of_frame(film)
    if length is None:
        if workers < 2:
            length = int(LONGEST / a_frame) + 1
        else:
            besides = costs.start + preroll * a_frame
            shortest = besides / SHARE
            seconds = min(max(shortest, all_seconds / (workers * A_WORKER)), max(LONGEST, shortest))
            length = max(1, int(seconds / a_frame))
            if not cuts:
                # k ranges decode (k - 1) / 2 films besides.
                most = 1 + 2 * SHARE * a_frame / max(costs.of_decoding(film), 1e-9)
                length = max(length, int(film.frames / max(1.0, most)) + 1)
    if workers < 2 and not cuts and film.frames > length:
        length = film.frames
    parts = max(1, round(film.frames / length))
    bounds = [0]
    for part in range(1, parts):
        near = _near(film.keys, part * film.frames // parts, length // 4)
        if near > bounds[-1]:
            bounds.append(near)
    bounds.append(film.frames)
    return [Range(first, end, _piece(film, first, end, preroll) if cuts else None) for first, end in zip(bounds, bounds[1:])]


def _near(keys: list[int], wanted: int, far: int) -> int:
    """The key frame that is nearest, unless it is too far."""
    at = bisect_left(keys, wanted)
    near = min(keys[max(0, at - 1) : at + 1], key=lambda key: abs(key - wanted), default=wanted)
    return near if abs(near - wanted) <= far else wanted


def _piece(film: Film, first: int, end: int, preroll: int) -> tuple[int, int] | None:
    """The least piece that holds a range and its preroll.

    The first range is made of the film itself: it decodes nothing in vain, and the joined film goes by it.
    """
    at = bisect_left(film.keys, max(0, first - preroll) + 1) - 1
    if at < 0 or film.keys[at] == 0:
        return None
    after = bisect_left(film.keys, end)
    return film.keys[at], film.keys[after] if after < len(film.keys) else film.frames
