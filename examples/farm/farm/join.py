"""Joining parts into one film, without decoding or encoding anything.

Parts begin at time 0, each with a key frame. Their packets are taken over as they are, and get the times that their
frames have in the source. Sound is copied once, from the source. What comes out is read again and compared with the
source, before it has a name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer

from . import ledger, media, store
from .errors import OTHER, OUTPUT, Failure
from .media import Film
from .plan import Range
from .settings import Settings

# What is told of a file, and not of the film in it: who wrote the file, and when. Timecode is the first part's.
_OF_THE_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder", "creation_time", "timecode"}


def join(
    root: str, key: str, film: Film, parts: list[Range], settings: Settings, out: Path, own: Path
) -> dict[str, Any]:
    """Writes the joined film, and tells of it."""
    files = [_verified(root, key, part, settings.ending, own) for part in parts]
    if len(files) == 1:
        # matte_file made it whole. A link takes no space, and is no copy.
        file = files[0]
        try:
            out.hardlink_to(file)
        except OSError:
            store.fetch(str(file), out)
        note = ledger.read_note(root, key, parts[0], settings.ending) or {}
        return {"frames": note.get("frames", media.count(out)), "parts": 1, "sounds": None}
    try:
        times, sounds = _write(film, parts, files, settings, out)
    except av.FFmpegError as error:
        if error.errno == 28:  # ENOSPC
            told = f"the joined {store.name(film.place)} could not be written (its disk is full); make space, and run again with --resume"
            raise Failure(OUTPUT, told) from error
        raise Failure(OTHER, f"{film.place} cannot be joined ({error.strerror}); it is matted as a whole", "short") from error
    if store.identity(film.place) != film.identity:
        raise media.changed(film.place)
    _check(film, out, times, sounds)
    return {"frames": film.frames, "parts": len(parts), "sounds": len(sounds)}


def _verified(root: str, key: str, part: Range, ending: str, own: Path) -> Path:
    """A part on this machine, which is what its note tells."""
    place = ledger.part_place(root, key, part, ending)
    note = ledger.read_note(root, key, part, ending)
    path = store.local_path(place)
    if note is not None and path is None:
        path = own / store.name(place)
        store.fetch(place, path)
    if note is None or path is None or store.digest(str(path)) != note["digest"]:
        ledger.drop_part(root, key, part, ending)
        raise Failure(OTHER, f"frames {part.first} to {part.end - 1} of {film_name(place)} were damaged on disk", "part")
    return path


def film_name(place: str) -> str:
    return store.name(store.parent(place))


def _write(
    film: Film, parts: list[Range], files: list[Path], settings: Settings, out: Path
) -> tuple[list[Fraction], dict[int, str]]:
    first: Any
    with av.open(str(files[0])) as first:
        stream = first.streams.video[0]
        if settings.ending == ".mkv" and (stream.sample_aspect_ratio or 1) != 1:
            # Of streams that are copied FFmpeg's muxer is told that by nothing that PyAV has.
            told = f"{film.place} has pixels that are not square, which a joined .mkv would not tell; it is matted as a whole"
            raise Failure(OTHER, told, "short")
        base = Fraction(stream.time_base or 1)
        options = {}
        if settings.ending in (".mov", ".mp4"):
            options["video_track_timescale"] = str(base.denominator)
        container: Any
        with media.open_film(film.place) as source, av.open(str(out), "w", options=options) as container:
            container.metadata.update(_told_of_film(source))
            container.set_chapters(source.chapters())
            into = container.add_stream_from_template(stream)
            into.time_base = base
            # ProRes's kinds are told apart by nothing but the tag, which a template does not give.
            if settings.ending == ".mov":
                into.codec_context.codec_tag = stream.codec_context.codec_tag
            # Nor does it give the shape of pixels, which the file's own boxes tell.
            if shape := stream.sample_aspect_ratio:
                into.codec_context.sample_aspect_ratio = shape
            # Timecode counts in frames, so the muxer has to know their rate.
            if stream.average_rate:
                into.codec_context.framerate = stream.average_rate
                into.framerate = stream.average_rate
            _tell_of_track(source.streams.video[0], into, settings.ending)
            if timecode := _timecode(first):
                into.metadata["timecode"] = timecode
            times = [time * film.time_base for time in film.times]
            ticks = [round(time / base) for time in times]
            video = _video(film, parts, files, ticks, into, base)
            sources = source.streams.audio if settings.audio else ()
            ways = {}
            for sound in sources:
                way = container.add_stream_from_template(sound, opaque=True)
                way.time_base = sound.time_base
                _tell_of_track(sound, way, settings.ending)
                ways[sound.index] = way
            sounds = {index: hashlib.sha256() for index in ways}
            audio = _sound(source, sources, ways, sounds, has_edit_lists=settings.ending in (".mov", ".mp4"))
            _interleave(container, video, audio)
    return times, {index: digest.hexdigest() for index, digest in sounds.items()}


def _told_of_film(source: InputContainer) -> dict[str, str]:
    """The film's title and what else it tells of itself; a muxer leaves out what its files cannot hold."""
    return {name: value for name, value in source.metadata.items() if name.lower() not in _OF_THE_FILE}


def _tell_of_track(source: Any, into: Any, ending: str) -> None:
    """Which track is played by itself, is forced, or is for whom; its language, and what it is called."""
    into.disposition = source.disposition
    told = source.metadata
    # FFmpeg calls a track's title by another name where it has read it from QuickTime.
    found = {"language": told.get("language"), "title": told.get("title") or told.get("name")}
    if ending in (".mov", ".mp4"):
        found["handler_name"] = told.get("handler_name")
    into.metadata.update({name: value for name, value in found.items() if value})


def _timecode(container: InputContainer) -> str | None:
    """What matte_file told of the first frame."""
    told = (stream.metadata.get("timecode") for stream in container.streams)
    return next(filter(None, chain(told, [container.metadata.get("timecode")])), None)


def _video(
    film: Film, parts: list[Range], files: list[Path], ticks: list[int], into: Any, base: Fraction
) -> Iterator[tuple[Fraction, Any]]:
    header = None
    number = 0
    delay = _delay(files[0])
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1
    for part, file in zip(parts, files):
        with media.open_part(file) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            found = (context.name, context.codec_tag, context.width, context.height, bytes(context.extradata or b""))
            header = header or found
            if found != header:
                told = f"the parts of {film.place} are not encoded alike, and cannot be joined; matted as a whole"
                raise Failure(OTHER, told, "short")
            packets = [(packet.pts, packet.size) for packet in container.demux(stream) if packet.size]
        order = {time: place for place, time in enumerate(sorted(time for time, _ in packets))}
        if len(order) != part.frames:
            raise Failure(OTHER, f"a part of {film.place} has {len(order)} of {part.frames} frames", "short")
        with media.open_part(file) as container:
            stream = container.streams.video[0]
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                frame = part.first + order[packet.pts]
                packet.time_base = base
                packet.pts = ticks[frame]
                # Decoding is as far ahead of showing as in the parts, which are alike.
                packet.dts = ticks[number - delay] if number >= delay else ticks[0] - (delay - number) * step
                last = frame + 1 == film.frames
                packet.duration = (packet.duration or step) if last else ticks[frame + 1] - ticks[frame]
                packet.stream = into
                yield packet.dts * base, packet
                number += 1


def _delay(file: Path) -> int:
    """How many frames are stored before one that is shown earlier than them, at most."""
    with media.open_part(file) as container:
        stream = container.streams.video[0]
        times = [packet.pts for packet in container.demux(stream) if packet.size]
    order = {time: place for place, time in enumerate(sorted(times))}
    return max((stored - order[time] for stored, time in enumerate(times)), default=0)


def _sound(
    source: InputContainer, streams: Any, ways: dict[int, Any], sounds: dict[int, Any], *, has_edit_lists: bool
) -> Iterator[tuple[Fraction, Any]]:
    if not streams:
        return
    # FFmpeg tells packets of Matroska earlier than the file does, by what decoders leave out at their beginning.
    tells_delay = "matroska" in source.format.name
    for packet in source.demux(streams):
        if not packet.size or packet.pts is None:
            continue
        # What lies before time 0 is not heard, and where it cannot be told so matte_file leaves it out as well.
        if packet.pts < 0 and not tells_delay and not has_edit_lists:
            continue
        sounds[packet.stream.index].update(_framed(packet))
        packet.stream = ways[packet.stream.index]
        yield packet.pts * packet.time_base, packet


def _framed(packet: Any) -> bytes:
    """A packet as files hold it: AAC of broadcasts has a header of its own in each, which muxers take away."""
    data = bytes(packet)
    context = packet.stream.codec_context
    if context.name.startswith("aac") and not context.extradata and data[:1] == b"\xff":
        return data[7 if data[1] & 1 else 9 :]
    return data


def _interleave(container: OutputContainer, video: Iterator[Any], audio: Iterator[Any]) -> None:
    """Writes both in the order of time, so that a player finds them together."""
    waiting: list[Any] = [next(video, None), next(audio, None)]
    sources = [video, audio]
    while any(waiting):
        at = min((place for place in (0, 1) if waiting[place]), key=lambda place: waiting[place][0])
        container.mux(waiting[at][1])
        waiting[at] = next(sources[at], None)


def _check(film: Film, out: Path, times: list[Fraction], sounds: dict[int, str]) -> None:
    """Reads what was written, and compares it with the source."""
    container: Any
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        tick = Fraction(stream.time_base or 1)
        found = sorted(packet.pts for packet in container.demux(stream) if packet.size)
    # Each frame is told to the nearest tick.
    off = [abs(time * tick - wanted) for time, wanted in zip(found, times)]
    if len(found) != film.frames or max(off) > tick:
        told = f"the joined {film.place} has {len(found)} of {film.frames} frames, or other times; it is matted as a whole"
        raise Failure(OTHER, told, "short")
    if sounds and media.sound(str(out)) != list(sounds.values()):
        raise Failure(OTHER, f"the joined {film.place} has other sound than the film; it is matted as a whole", "short")
