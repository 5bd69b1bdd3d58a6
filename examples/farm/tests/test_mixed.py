"""Mixed films, in ranges, beside what matte_file makes of each by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import ALONE, left, remains, unsplit

import films

# Films that are matted as a whole, and the codes of those that fail.
WHOLE = {"one.mp4", "stream.ts"}


@pytest.mark.parametrize("ending", ["mov", "mkv"])
def test_ranges_make_up_the_unsplit_films(farm: Any, mixed: dict[str, Path], tmp_path: Path, ending: str) -> None:
    out = tmp_path / "out"
    split = ["--range-frames", 25, "--workers", 2, "--cpus", 1]
    run = farm(*mixed.values(), out, "--ending", ending, *split, *ALONE)
    assert run.code == 3, run.err
    broken = run.film("broken.mp4")
    assert (broken["code"], broken["frames"]) == (3, 0) and "cut off" in broken["reason"]
    assert remains(out) == []
    expected = {f"{film.stem}.{ending}" for film in mixed.values() if film.stem != "broken"}
    assert set(left(out)) == expected
    for film in mixed.values():
        if film.stem == "broken":
            continue
        whole, made = tmp_path / f"{film.stem}.{ending}", out / f"{film.stem}.{ending}"
        assert unsplit(film, whole, *ALONE).returncode == 0, film
        row = run.film(film.name)
        is_whole = film.name in WHOLE or (ending == "mov" and film.suffix == ".mkv" and "opus" in str(films.sounds(film)))
        assert (row["ranges"] == 1) == is_whole, row
        assert row["frames"] == len(films.frames(made)), row
        told = films.differences(whole, made)
        assert told == [], f"{film.name}: {told}"
        # Packets are the source's; what lies before time 0 only where edit lists can say so.
        for (name, heard), (_, source) in zip(films.sounds(made), films.sounds(film)):
            if row["ranges"] > 1 and not name.startswith("pcm"):
                is_kept = film.suffix == ".mkv" or ending in ("mov", "mp4")
                kept = [digest for time, digest in source if time >= 0 or is_kept]
                assert [digest for _, digest in heard] == kept, film


def test_pieces_are_what_ranges_are_made_of(farm: Any, mixed: dict[str, Path], tmp_path: Path) -> None:
    """Each codec that is cut: the pieces' frames are those of the whole."""
    out = tmp_path / "out"
    # The first range needs no piece, and the second's would begin where the film does, unless every frame is a key frame.
    cuts = {"plain": 4, "rotated": 4, "surround": 5, "deep": 4, "hevc": 4, "pictures": 5}
    run = farm(*(mixed[name] for name in cuts), out, "--range-frames", 12, "--preroll", 5, "--workers", 2, "--cpus", 1,
               *ALONE)  # fmt: skip
    assert run.code == 0, run.err
    for row, (name, cut) in zip(run.table["films"], cuts.items()):
        assert (row["ranges"], row["cut"]) == (6, cut), row
        whole = tmp_path / f"{name}.mov"
        assert unsplit(mixed[name], whole, *ALONE).returncode == 0
        assert films.differences(whole, out / f"{name}.mov") == []


def test_lossy_ranges_are_joined_as_they_are(farm: Any, mixed: dict[str, Path], tmp_path: Path) -> None:
    """x264 sees no further than its range, so samples differ from the unsplit run's; times and sound do not."""
    out = tmp_path / "out"
    run = farm(mixed["plain"], mixed["uneven"], mixed["late"], out, "--ending", "mp4", "--range-frames", 25,
               "--workers", 2, "--cpus", 1, *ALONE)  # fmt: skip
    assert run.code == 0, run.err
    for name in ("plain", "uneven", "late"):
        whole, made = tmp_path / f"{name}.mp4", out / mixed[name].name
        assert unsplit(mixed[name], whole, *ALONE).returncode == 0
        told = [each for each in films.differences(whole, made) if "other samples" not in each]
        assert told == [], f"{name}: {told}"
