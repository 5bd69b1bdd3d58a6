"""What the farm costs beside the bare program on the same films: at most 10 %."""

from __future__ import annotations

import resource
import subprocess
import time
from pathlib import Path
from typing import Any

import av
from conftest import ALONE, FARM

from farm import program

CLIP = FARM.parent / "media/person.mp4"


def _films(folder: Path, count: int, rounds: int) -> list[Path]:
    """The clip, several times over, without encoding it again; each is another file."""
    made = []
    for number in range(count):
        path = folder / f"film-{number}.mp4"
        with av.open(str(path), "w") as out, av.open(str(CLIP)) as source:
            stream = source.streams.video[0]
            into = out.add_stream_from_template(stream)
            length = stream.duration
            for turn in range(rounds + number):
                source.seek(0)
                for packet in source.demux(stream):
                    if packet.size:
                        packet.pts += turn * length
                        packet.dts += turn * length
                        packet.stream = into
                        out.mux(packet)
        made.append(path)
    return made


def _timed(action: Any) -> tuple[float, float, Any]:
    """Seconds on the clock, and of processors, all programs that are started together."""
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = action()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begun, used, done


def test_the_farm_costs_little(farm: Any, tmp_path: Path) -> None:
    films = _films(tmp_path, 2, 2)
    bare = tmp_path / "bare"
    bare.mkdir()
    asked = [program.find(None), *ALONE, "--", *map(str, films), f"{bare}/{{}}.mov"]
    quiet = {"check": True, "env": program.environment(None), "stdout": subprocess.DEVNULL}
    alone, bare_used, _ = _timed(lambda: subprocess.run(asked, **quiet))
    # One worker with all cores, as the program has them; two of one core; and two, in ranges that are too short.
    ways = {"one": [], "two": ["--workers", 2, "--cpus", 1]}
    ways["short"] = [*ways["two"], "--range-frames", 150]
    for name, options in ways.items():
        took, used, run = _timed(lambda: farm(*films, tmp_path / name, *options, *ALONE))
        assert run.code == 0, run.err
        ranges = [row["ranges"] for row in run.table["films"]]
        print(f"\n{name}: ranges {ranges}; clock {alone:.1f} s bare, {took:.1f} s farm: {100 * took / alone - 100:+.1f} %; "
              f"processors {bare_used:.1f} s bare, {used:.1f} s farm: {100 * used / bare_used - 100:+.1f} %")  # fmt: skip
        # The clock goes by what else the machine does.
        assert name == "short" or used <= 1.1 * bare_used
