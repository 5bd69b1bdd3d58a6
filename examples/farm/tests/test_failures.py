"""What dies, fills, or is replaced: nothing is lost, nothing doubled, and the table is true."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import ALONE, command, left, matting, notes, remains, unsplit, wait_for

import films

SPLIT = ["--range-frames", 18, "--preroll", 10, "--cpus", 1, "--ending", "mkv", *ALONE]


@pytest.fixture(scope="module")
def whole(mixed: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What matte_file makes of the plain film."""
    out = tmp_path_factory.mktemp("whole") / "plain.mkv"
    assert unsplit(mixed["plain"], out, *ALONE).returncode == 0
    return out


def test_a_killed_worker_costs_its_range(farm: Any, mixed: dict[str, Path], whole: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out", tmp_path / "killed.json"
    asked = command(mixed["plain"], out, "--workers", 2, *SPLIT, report=report)
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        os.kill(wait_for(lambda: matting(out))[0], signal.SIGKILL)
        _, err = running.communicate(timeout=300)
    assert running.returncode == 0, err
    told = report.read_text()
    assert '"retries": 1' in told and '"ranges": 4' in told and '"frames": 72' in told, told
    assert films.differences(whole, out / "plain.mkv") == [] and remains(out) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_driver_costs_nothing_done(
    farm: Any, mixed: dict[str, Path], whole: Path, tmp_path: Path, how: signal.Signals
) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(command(mixed["plain"], out, "--workers", 1, *SPLIT), stderr=subprocess.PIPE, text=True) as running:
        wait_for(lambda: len(notes(out)) == 2 and matting(out))
        running.send_signal(how)
        _, err = running.communicate(timeout=60)
    if how != signal.SIGKILL:
        assert running.returncode == 130 and "--resume" in err, err
    # What it had started ends with it.
    wait_for(lambda: not matting(out), 10)
    done = {note: note.stat().st_mtime_ns for note in notes(out)}
    assert left(out) == [] and len(done) >= 2
    refused = farm(mixed["plain"], out, *SPLIT)
    assert refused.code == 4 and "--resume" in refused.err, refused.err
    # By content: another name is the same film, and another film or other settings are not.
    renamed = tmp_path / "plain.mp4"
    shutil.copyfile(mixed["plain"], renamed)
    run = farm(renamed, out, "--resume", "--workers", 2, *SPLIT)
    assert run.code == 0, run.err
    row = run.film("plain.mp4")
    assert (row["kept"], row["ranges"], row["frames"]) == (len(done), 4, 72), row
    assert films.differences(whole, out / "plain.mkv") == [] and remains(out) == []
    other = farm(mixed["plain"], out, "--resume", "--invert", *SPLIT)
    assert other.code == 4 and "other settings" in other.err, other.err


def test_a_damaged_part_is_made_again(farm: Any, mixed: dict[str, Path], whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(command(mixed["plain"], out, "--workers", 1, *SPLIT)) as running:
        wait_for(lambda: len(notes(out)) == 2)
        running.kill()
    part = notes(out)[0].with_suffix("")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 0xFF
    part.write_bytes(data)
    run = farm(mixed["plain"], out, "--resume", "--workers", 2, *SPLIT)
    assert run.code == 0 and run.film("plain.mp4")["retries"] == 1, (run.err, run.table)
    assert films.differences(whole, out / "plain.mkv") == []


def test_a_film_that_is_replaced_fails_alone(farm: Any, mixed: dict[str, Path], whole: Path, tmp_path: Path) -> None:
    out, film, report = tmp_path / "out", tmp_path / "changing.mp4", tmp_path / "replaced.json"
    shutil.copyfile(mixed["silent"], film)
    asked = command(film, mixed["plain"], out, "--workers", 1, *SPLIT, report=report)
    with subprocess.Popen(asked, stderr=subprocess.PIPE, text=True) as running:
        wait_for(lambda: notes(out) and matting(out))
        shutil.copyfile(mixed["late"], tmp_path / "other.mp4")
        os.replace(tmp_path / "other.mp4", film)
        _, err = running.communicate(timeout=300)
    assert running.returncode == 3 and "replaced or changed" in err, err
    assert left(out) == ["plain.mkv"]
    run = farm(film, mixed["plain"], out, "--resume", "--workers", 2, *SPLIT)
    assert run.code == 0 and run.film("changing.mp4")["kept"] == 0, (run.err, run.table)
    expected = tmp_path / "late.mkv"
    assert unsplit(mixed["late"], expected, *ALONE).returncode == 0
    assert films.differences(expected, out / "changing.mkv") == []
    assert films.differences(whole, out / "plain.mkv") == []


def test_a_full_disk_is_told_and_gone_on_from(farm: Any, mixed: dict[str, Path], whole: Path, tmp_path: Path) -> None:
    """A file system of its own, small enough to fill."""
    out = tmp_path / "out"
    out.mkdir()
    # There is place for half of the ranges.
    small = f"size={whole.stat().st_size * 6 // 10 // 1024}k"
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", small, "tmpfs", str(out)]).returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        run = farm(mixed["plain"], out, "--workers", 1, "--retries", 1, *SPLIT)
        assert run.code == 4 and left(out) == [], (run.err, run.table)
        assert "space" in run.err and len(run.err.splitlines()) == 1, run.err
        kept = len(notes(out))
        assert kept > 0
        subprocess.run(["mount", "-o", "remount,size=60m", str(out)], check=True)
        run = farm(mixed["plain"], out, "--resume", "--workers", 1, *SPLIT)
        assert run.code == 0 and run.film("plain.mp4")["kept"] == kept, (run.err, run.table)
        assert films.differences(whole, out / "plain.mkv") == [] and remains(out) == []
    finally:
        subprocess.run(["umount", str(out)])


def test_two_runs_in_a_folder(farm: Any, mixed: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(command(mixed["plain"], out, "--workers", 1, *SPLIT)) as running:
        wait_for(lambda: matting(out))
        run = farm(mixed["silent"], out, *SPLIT)
        running.kill()
    assert run.code == 4 and "another matte_farm" in run.err, run.err


def test_runs_that_share_the_ranges(mixed: dict[str, Path], whole: Path, tmp_path: Path) -> None:
    """As the pods of an Indexed Job: none knows of the others, they would plan differently, and the last one joins."""
    out = tmp_path / "out"
    runs = [
        subprocess.Popen(command(mixed["plain"], mixed["broken"], out, "--workers", 1, "--part", f"{part}/2", *SPLIT,
                                 "--range-frames", length), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for part, length in enumerate((18, 12))
    ]  # fmt: skip
    for run in runs:
        run.communicate(timeout=300)
    # Whoever has the broken film's only range tells of it.
    assert sorted(run.returncode for run in runs) in ([0, 3], [3, 3])
    assert left(out) == ["plain.mkv"] and films.differences(whole, out / "plain.mkv") == []


def test_bad_input_is_told_in_one_sentence(farm: Any, mixed: dict[str, Path], tmp_path: Path) -> None:
    out, folder = tmp_path / "out", tmp_path / "folder.mp4"
    folder.mkdir()
    text = tmp_path / "text.mp4"
    text.write_text("no film")
    old = tmp_path / "old_matte_file"
    old.write_text("#!/bin/sh\necho matte_file 0.0.9\n")
    old.chmod(0o755)
    plain = mixed["plain"]
    for code, words, arguments in [
        (3, ["is a folder"], [folder, out]),
        (3, ["could not be read"], [tmp_path / "missing.mp4", out]),
        (3, ["text.mp4"], [text, out]),
        (5, ["nowhere.onnx"], [plain, out, "--model", "nowhere.onnx"]),
        (5, ["david-base"], [plain, out, "--model", "david-base"]),
        (5, ["0.0.9", "0.1.0"], [plain, out, "--matte-file", old]),
        (5, ["no Ray cluster", "ray start"], [plain, out, "--address", "auto"]),
        (5, ["127.0.0.1:1", "ray start"], [plain, out, "--address", "127.0.0.1:1"]),
        (2, ["HOST:PORT"], [plain, out, "--address", "somewhere"]),
        (2, ["--resume", "--force"], [plain, out, "--resume", "--force"]),
        (2, ["would both be written"], [plain, plain, out]),
        (2, ["would be overwritten"], [plain, plain.parent, "--ending", "mp4"]),
        (2, [".avi"], [plain, tmp_path / "{}.avi"]),
        (2, ["x.avi"], [plain, tmp_path / "x.avi"]),
        (2, ["--temporal"], [plain, out, "--temporal", "7"]),
        (4, ["could not be"], [plain, "/proc/nowhere"]),
    ]:  # fmt: skip
        run = farm(*arguments)
        lines = run.err.splitlines()
        assert run.code == code and len(lines) == 1 and all(word in lines[0] for word in words), (arguments, run)
        assert not out.exists() or left(out) == []
