"""What the farm costs beside the bare program on the same films: at most 10 %."""

from __future__ import annotations

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


def _timed(action: Any) -> tuple[float, Any]:
    begun = time.monotonic()
    done = action()
    return time.monotonic() - begun, done


def test_the_farm_costs_little(farm: Any, tmp_path: Path) -> None:
    films = _films(tmp_path, 2, 2)
    bare = tmp_path / "bare"
    bare.mkdir()
    asked = [program.find(None), *ALONE, "--", *map(str, films), f"{bare}/{{}}.mov"]
    quiet = {"check": True, "env": program.environment(None), "stdout": subprocess.DEVNULL}
    alone, _ = _timed(lambda: subprocess.run(asked, **quiet))
    # One worker with all cores, as the program has them; two of one core; and two, in ranges that are too short.
    ways = {"one": [], "two": ["--workers", 2, "--cpus", 1]}
    ways["short"] = [*ways["two"], "--range-frames", 150]
    for name, options in ways.items():
        took, run = _timed(lambda: farm(*films, tmp_path / name, *options, *ALONE))
        assert run.code == 0, run.err
        ranges = [row["ranges"] for row in run.table["films"]]
        print(f"\n{name}: bare {alone:.1f} s, farm {took:.1f} s, ranges {ranges}: {100 * took / alone - 100:+.1f} %")
        assert name == "short" or took <= 1.1 * alone
