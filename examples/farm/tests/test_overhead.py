"""What the farm costs beside the bare program on the same films: at most 10 %."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import av
import pytest
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


@pytest.mark.parametrize("turn", range(2))
def test_the_farm_costs_little(farm: Any, tmp_path: Path, turn: int) -> None:
    films = _films(tmp_path, 3, 4)
    cores = len(os.sched_getaffinity(0))
    bare, made = tmp_path / "bare", tmp_path / "made"
    bare.mkdir()
    begun = time.monotonic()
    asked = [program.find(None), *ALONE, "--", *map(str, films), f"{bare}/{{}}.mov"]
    subprocess.run(asked, check=True, env=program.environment(None), stdout=subprocess.DEVNULL)
    alone = time.monotonic() - begun
    begun = time.monotonic()
    run = farm(*films, made, "--workers", min(2, cores), "--cpus", 1, *ALONE)
    together = time.monotonic() - begun
    assert run.code == 0, run.err
    ranges = [row["ranges"] for row in run.table["films"]]
    print(f"\nbare {alone:.1f} s, farm {together:.1f} s, ranges {ranges}: {100 * together / alone - 100:+.1f} %")
    assert together <= 1.1 * alone
