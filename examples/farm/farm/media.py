"""Films as they are stored: which frames there are, when they are shown, and where a decoder may begin.

Everything here works on packets; nothing is decoded or encoded.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from . import store
from .errors import INPUT, Failure

# What was tried: that pieces of these decode to the frames of the whole is tested, one by one.
_CUT_CODECS = {"h264", "hevc", "prores", "mjpeg", "ffv1"}
_CUT_FORMATS = {"mov,mp4,m4a,3gp,3g2,mj2": "mov", "matroska,webm": "matroska"}
# Of these it was tried that what is joined has the times of an unsplit run.
_JOINED_FORMATS = {*_CUT_FORMATS, "avi"}


@dataclass
class Film:
    """A film, by its content."""

    place: str
    identity: dict[str, Any]
    digest: str
    # What could not be found out is left to matte_file, which then gets the film whole.
    reason: str | None = None
    width: int = 0
    height: int = 0
    time_base: Fraction = Fraction(1)
    # When frames are shown, in that order, in units of the time base.
    times: list[int] = field(default_factory=list)
    # Frames at which a decoder may begin, counted in the order in which they are shown.
    keys: list[int] = field(default_factory=list)
    # Why pieces of it might not decode to the same frames, if they might not.
    uncut: str | None = None

    @property
    def frames(self) -> int:
        return len(self.times)

    @property
    def is_even(self) -> bool:
        """Whether all frames last equally long, as matte_file has it: its encoders go by that."""
        lasts = [(after - before) * self.time_base for before, after in zip(self.times, self.times[1:])]
        return not lasts or max(lasts) - min(lasts) <= Fraction(15, 10000)

    def as_json(self) -> dict[str, Any]:
        deltas = [after - before for before, after in zip(self.times, self.times[1:])]
        return {
            "place": self.place, "identity": self.identity, "digest": self.digest, "reason": self.reason,
            "width": self.width, "height": self.height,
            "time_base": [self.time_base.numerator, self.time_base.denominator],
            "first": self.times[0] if self.times else None, "steps": _packed(deltas),
            "keys": self.keys, "uncut": self.uncut,
        }  # fmt: skip

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Film:
        times = [] if found["first"] is None else [found["first"]]
        for count, step in found["steps"]:
            for _ in range(count):
                times.append(times[-1] + step)
        return cls(
            found["place"], found["identity"], found["digest"], found["reason"], found["width"], found["height"],
            Fraction(*found["time_base"]), times, found["keys"], found["uncut"],
        )  # fmt: skip


def _packed(steps: list[int]) -> list[tuple[int, int]]:
    """Runs of equal numbers: most films are even, and an hour has 100,000 frames."""
    runs: list[tuple[int, int]] = []
    for step in steps:
        if runs and runs[-1][1] == step:
            runs[-1] = (runs[-1][0] + 1, step)
        else:
            runs.append((1, step))
    return runs


def open_film(place: str, **options: Any) -> Any:
    """Opens a film wherever it lies. Titles of old films are no UTF-8."""
    path = store.local_path(place)
    file = store.open_read(place) if path is None else str(path)
    return av.open(file, metadata_errors="replace", **options)


def probe(place: str, ending: str, audio: bool) -> Film:
    """Reads a film once for its content and once for its packets, with what it is to become in view."""
    identity = store.identity(place)
    try:
        digest = store.digest(place)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Failure(INPUT, f"{place} could not be read ({reason}); check the path and its permissions") from error
    film = Film(place, identity, digest)
    try:
        with open_film(place) as container:
            _survey(container, film)
            if audio and film.reason is None and not _is_held(container, ending):
                film.reason = f"FFmpeg does not put its sound into {ending}"
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        film.reason = f"FFmpeg does not read it: {' '.join(str(error).split())}"
        film.times, film.keys = [], []
    if store.identity(place) != identity:
        raise changed(place)
    return film


# FFmpeg's names of what is written.
MUXERS = {".mov": "mov", ".mkv": "matroska", ".mp4": "mp4", ".webm": "webm"}


def _is_held(container: InputContainer, ending: str) -> bool:
    """Whether sound can be joined to a film without matte_file, whose muxers take other kinds of sound."""
    if not container.streams.audio:
        return True
    try:
        with av.open(io.BytesIO(), "w", format=MUXERS[ending]) as out:
            for stream in container.streams.audio:
                out.add_stream_from_template(stream, opaque=True)
            out.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def changed(place: str) -> Failure:
    """A film that is another one than when it was planned."""
    sentence = f"{place} was replaced or changed while it was matted, and nothing of it was written; run again with --resume"
    return Failure(INPUT, sentence, "changed")


def _survey(container: InputContainer, film: Film) -> None:
    if container.format.name not in _JOINED_FORMATS:
        film.reason = f"{container.format.name} does not tell time 0, and programs differ about it"
        return
    if len(container.streams.video) != 1:
        film.reason = f"it has {len(container.streams.video)} pictures to choose from"
        return
    stream = container.streams.video[0]
    film.width, film.height = stream.codec_context.width, stream.codec_context.height
    film.time_base = Fraction(stream.time_base or 1)
    packets: list[tuple[int, bool]] = []
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        if packet.pts is None or packet.is_discard or packet.is_corrupt:
            film.reason = "not all its frames are shown, whole, and at a time of their own"
            packets = []
            break
        packets.append((packet.pts, packet.is_keyframe))
    film.times = sorted(time for time, _ in packets)
    if len(set(film.times)) != len(film.times):
        film.reason = "several of its frames have the same time"
        film.times = []
        return
    film.keys = _clean_keys(packets, film.times)
    name = stream.codec_context.name
    if container.format.name not in _CUT_FORMATS or name not in _CUT_CODECS:
        film.uncut = f"pieces of {name} in {container.format.name} were not tried"


def _clean_keys(packets: list[tuple[int, bool]], times: list[int]) -> list[int]:
    """Key frames that nothing stored later is shown before, and nothing stored earlier after.

    Frames that are shown before the key frame they are stored after may need what comes before it (open groups).
    """
    number = {time: frame for frame, time in enumerate(times)}
    least_after = [0] * len(packets)
    least = None
    for at in range(len(packets) - 1, -1, -1):
        time = packets[at][0]
        least = time if least is None else min(least, time)
        least_after[at] = least
    keys = []
    for at, (time, is_key) in enumerate(packets):
        # As many frames are shown before it as are stored before it, and none of them is stored later.
        if is_key and least_after[at] == time and number[time] == at:
            keys.append(at)
    return keys


def cut(film: Film, first: int, end: int, piece: Path) -> None:
    """Writes the packets of some frames, the first of which is a key frame, as they are into a file."""
    begin, stop = film.times[first], film.times[end] if end < film.frames else None
    with open_film(film.place) as source:
        muxer = _CUT_FORMATS[source.format.name]
        stream = source.streams.video[0]
        options = {"video_track_timescale": str(film.time_base.denominator)} if muxer == "mov" else {}
        with av.open(str(piece), "w", format=muxer, options=options) as out:
            into = out.add_stream_from_template(stream)
            into.time_base = stream.time_base
            if film.is_even and stream.average_rate:
                # Matroska tells by the rate alone how long the last frame lasts.
                into.codec_context.framerate = stream.average_rate
            written = 0
            for packet in _from(source, stream, begin):
                if packet.is_keyframe and packet.pts == stop:
                    break
                packet.pts -= begin
                packet.dts = None if packet.dts is None else packet.dts - begin
                packet.stream = into
                out.mux(packet)
                written += 1
    if written != end - first:
        raise changed(film.place)


def _from(source: InputContainer, stream: Any, begin: int) -> Iterator[Any]:
    """Packets from a key frame on. Where an index leads astray, everything before it is read over."""
    source.seek(begin, stream=stream, backward=True, any_frame=False)
    has_begun = False
    for packet in source.demux(stream):
        if packet.size == 0:
            continue
        if not has_begun and packet.pts is not None and packet.pts > begin:
            break
        has_begun = has_begun or packet.pts == begin
        if has_begun:
            yield packet
    if has_begun:
        return
    source.seek(0, stream=stream, backward=True)
    for packet in source.demux(stream):
        if packet.size:
            has_begun = has_begun or packet.pts == begin
            if has_begun:
                yield packet


def open_part(path: Path) -> Any:
    """Opens what matte_file made, with all its frames: an edit list hides a last one that does not say how long it lasts."""
    options = {"ignore_editlist": "1"} if path.suffix in (".mov", ".mp4") else {}
    return av.open(str(path), options=options)


def count(path: Path) -> int:
    """Frames that a file holds."""
    with open_part(path) as container:
        stream = container.streams.video[0]
        return sum(1 for packet in container.demux(stream) if packet.size)


def sound(place: str) -> list[str]:
    """A digest of every stream of sound, packet by packet."""
    with open_film(place) as container:
        streams = container.streams.audio
        found = {stream.index: hashlib.sha256() for stream in streams}
        for packet in container.demux(streams) if streams else ():
            if packet.size:
                found[packet.stream.index].update(bytes(packet))
        return [digest.hexdigest() for digest in found.values()]
