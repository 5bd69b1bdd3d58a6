"""Films for the tests, and what they are compared by."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

_MOVING = "testsrc2=size=160x96:rate=24:duration=3"
_SOUND = "sine=frequency=330:sample_rate=48000:duration=3"
_X264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "12", "-bf", "2", "-pix_fmt", "yuv420p"]
_UNEVEN = ["-vf", "select='not(between(mod(n,9),2,4))'", "-fps_mode", "vfr"]


def _ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True)


def make(folder: Path) -> dict[str, Path]:
    """Mixed films: what archives hold, and one that is broken."""
    folder.mkdir(parents=True, exist_ok=True)
    moving, sound = ["-f", "lavfi", "-i", _MOVING], ["-f", "lavfi", "-i", _SOUND]
    aac, short = ["-c:a", "aac", "-b:a", "64k"], ["-shortest"]
    films = {
        "plain": ("plain.mp4", [*moving, *sound, *_X264, *aac, *short]),
        "silent": ("silent.mp4", [*moving, *_X264]),
        "uneven": ("uneven.mp4", [*moving, *sound, *_UNEVEN, *_X264, *aac]),
        "uneven_matroska": ("uneven-matroska.mkv", [*moving, *sound, *_UNEVEN, *_X264, "-c:a", "libopus"]),
        "surround": (
            "surround.mov",
            [*moving, "-f", "lavfi", "-i", "anoisesrc=duration=3:sample_rate=48000:seed=1,pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0",
             "-c:v", "prores_ks", "-pix_fmt", "yuv422p10le", "-c:a", "pcm_s16le", "-timecode", "01:02:03:04"],
        ),
        "one": ("one.mp4", [*moving, *_X264, "-frames:v", "1"]),
        "deep": ("deep.mkv", [*moving, *sound, "-c:v", "ffv1", "-g", "12", "-pix_fmt", "yuv420p10le", "-c:a", "ac3"]),
        "motion": ("motion.avi", [*moving, *sound, "-c:v", "mjpeg", "-c:a", "pcm_s16le"]),
        "named": ("Дом у озера – été 夏.mp4", [*moving, *sound, *_X264, *aac]),
        "open": ("open.mkv", [*moving, *_X264, "-x264-params", "open-gop=1:keyint=24:min-keyint=24"]),
        "hevc": ("hevc.mp4", [*moving, "-c:v", "libx265", "-x265-params", "log-level=none:keyint=12:min-keyint=12:open-gop=0", "-tag:v", "hvc1"]),
        "pictures": ("pictures.mov", [*moving, "-c:v", "mjpeg"]),
        "late": ("late.mp4", [*sound, "-itsoffset", "0.5", *moving, "-map", "1:v", "-map", "0:a", "-fps_mode", "passthrough", *_X264, *aac]),
        "stream": ("stream.ts", [*moving, *sound, *_X264, *aac]),
    }  # fmt: skip
    made = {}
    for key, (name, arguments) in films.items():
        made[key] = folder / name
        _ffmpeg(*arguments, str(made[key]))
    made["rotated"] = folder / "rotated.mp4"
    _ffmpeg("-i", str(made["plain"]), "-c", "copy", "-metadata:s:v", "rotate=90", str(made["rotated"]))
    made["broken"] = folder / "broken.mp4"
    made["broken"].write_bytes(made["plain"].read_bytes()[:-9000])
    return made


def frames(path: Path) -> list[tuple[Fraction, str]]:
    """When each frame is shown, and a digest of its samples."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            digest = hashlib.sha256()
            for plane in frame.planes:
                digest.update(bytes(plane))
            found.append((frame.pts * frame.time_base, digest.hexdigest()))
    return found


def sounds(path: Path) -> list[tuple[str, list[tuple[Fraction, str]]]]:
    """Each stream of sound, packet by packet."""
    with av.open(str(path)) as container:
        streams = container.streams.audio
        packets: dict[int, list[tuple[Fraction, str]]] = {stream.index: [] for stream in streams}
        for packet in container.demux(streams) if streams else ():
            if packet.size:
                time = packet.pts * packet.time_base
                packets[packet.stream.index].append((time, hashlib.sha256(bytes(packet)).hexdigest()))
        return [(stream.codec_context.name, packets[stream.index]) for stream in streams]


def looks(path: Path) -> dict[str, Any]:
    """What a film tells of its picture."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        timecodes = [each.metadata.get("timecode") for each in container.streams]
        return {
            "codec": context.name, "size": (context.width, context.height), "format": context.pix_fmt,
            "colors": (context.color_range, context.colorspace, context.color_primaries, context.color_trc),
            "pixels": stream.sample_aspect_ratio or Fraction(1), "timecode": next(filter(None, timecodes), None),
        }  # fmt: skip


def differences(one: Path, other: Path, tolerance: Fraction = Fraction(0)) -> list[str]:
    """How two films differ, in words; nothing where they do not."""
    told = []
    first, second = frames(one), frames(other)
    if len(first) != len(second):
        told.append(f"{len(first)} and {len(second)} frames")
    pairs: Iterable[Any] = list(zip(first, second))
    if others := [at for at, ((_, a), (_, b)) in enumerate(pairs) if a != b]:
        told.append(f"frames {others[:5]} … ({len(others)}) have other samples")
    if others := [(at, a, b) for at, ((a, _), (b, _)) in enumerate(pairs) if abs(a - b) > tolerance]:
        told.append(f"frames {[(at, str(a), str(b)) for at, a, b in others[:3]]} … ({len(others)}) have other times")
    heard, other_heard = sounds(one), sounds(other)
    if [name for name, _ in heard] != [name for name, _ in other_heard]:
        told.append(f"sound: {[name for name, _ in heard]} and {[name for name, _ in other_heard]}")
    for (name, a), (_, b) in zip(heard, other_heard):
        if name.startswith("pcm"):
            # Samples come in packets of any length.
            continue
        if len(b) == len(a) + 1:
            # GStreamer's qtdemux ends with an edit list, and loses a last packet that is longer.
            b = b[:-1]
        if [digest for _, digest in a] != [digest for _, digest in b]:
            told.append(f"{name}: {len(a)} and {len(b)} packets, or others")
        elif worst := [(str(x), str(y)) for (x, _), (y, _) in zip(a, b) if abs(x - y) > max(tolerance, Fraction(1, 900))]:
            told.append(f"{name}: packets at other times: {worst[:2]} ({len(worst)})")
    if looks(one) != looks(other):
        told.append(f"looks: {looks(one)} and {looks(other)}")
    return told
