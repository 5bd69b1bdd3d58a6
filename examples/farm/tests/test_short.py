"""One short film in two ranges, on this machine: the quick test; and runs that share the work, step by step."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import uuid
from collections.abc import Callable
from concurrent import futures
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy
import pytest
from av.stream import Disposition
from conftest import ALONE, left, remains, unsplit

import films
from farm import errors, join, ledger, media, place, plan, report, settings, store, work
from farm.driver import Choices, Driver, Job
from farm.engine import Need


def _film(path: Path, shape: Fraction = Fraction(1)) -> None:
    """A film of 40 frames with sound in French, of pixels of that shape, made without any other program."""
    with av.open(str(path), "w") as container:
        container.metadata.update(title="The lake", artist="Somebody")
        milliseconds = Fraction(1, 1000)
        container.set_chapters([
            {"id": 1, "start": 0, "end": 800, "time_base": milliseconds, "metadata": {"title": "One"}},
            {"id": 2, "start": 800, "end": 1600, "time_base": milliseconds, "metadata": {"title": "Two"}},
        ])  # fmt: skip
        video = container.add_stream("mpeg4", rate=25, options={"g": "10", "bf": "2"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.codec_context.sample_aspect_ratio = shape
        audio = container.add_stream("aac", rate=48000)
        audio.layout = "mono"
        audio.metadata.update(language="fra", title="As it was heard")
        # Not what a muxer would tell by itself.
        video.disposition, audio.disposition = Disposition.default, Disposition.forced
        for number in range(40):
            picture = numpy.full((64, 96, 3), 60, numpy.uint8)
            picture[10:40, 2 * number : 2 * number + 16] = (200, 150, 120)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
            wave = numpy.sin(numpy.arange(1920) * 0.05 + number).astype(numpy.float32)[None]
            sound = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 48000, 1920 * number, Fraction(1, 48000)
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def test_two_ranges_are_the_unsplit_film(farm: Any, tmp_path: Path) -> None:
    film, out, whole = tmp_path / "a film.mp4", tmp_path / "out", tmp_path / "whole.mkv"
    _film(film)
    run = farm(film, out, "--ending", "mkv", "--range-frames", 20, "--workers", 2, "--cpus", 1, *ALONE)
    assert run.code == 0, run.err
    assert left(out) == ["a film.mkv"] and remains(out) == []
    row = run.film("a film.mp4")
    assert (row["frames"], row["ranges"], row["retries"], row["kept"]) == (40, 2, 0, 0), row
    assert "a film.mp4" in run.out and "40" in run.out
    assert unsplit(film, whole, *ALONE).returncode == 0
    assert films.differences(whole, out / "a film.mkv") == []
    # Again: nothing is there to do, and what is there is not touched.
    made = (out / "a film.mkv").stat()
    again = farm(film, out, "--ending", "mkv", "--resume", *ALONE)
    assert again.code == 0 and again.film("a film.mp4")["kept"] == 2, again.err
    assert (out / "a film.mkv").stat().st_mtime_ns == made.st_mtime_ns
    refused = farm(film, out, "--ending", "mkv", *ALONE)
    assert refused.code == 4 and "--resume" in refused.err and len(refused.err.splitlines()) == 1, refused.err
    # What was taken away is not unfinished.
    (out / "a film.mkv").rename(tmp_path / "taken.mkv")
    anew = farm(film, out, "--ending", "mkv", "--range-frames", 20, "--workers", 2, "--cpus", 1, *ALONE)
    assert anew.code == 0 and anew.film("a film.mp4")["kept"] == 0, anew.err


def test_a_joined_film_tells_the_shape_of_its_pixels_and_its_language(farm: Any, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    _film(film, Fraction(4, 3))
    for ending in ("mov", "mkv"):
        out = tmp_path / ending
        run = farm(film, out, "--ending", ending, "--range-frames", 20, "--workers", 2, "--cpus", 1, *ALONE)
        assert run.code == 0, run.err
        with av.open(str(out / f"film.{ending}")) as made:
            assert made.streams.video[0].sample_aspect_ratio == Fraction(4, 3), ending
            assert made.streams.audio[0].metadata["language"] in ("fra", "fre"), ending


@pytest.mark.parametrize("source", ["mkv", "mov"])
def test_a_joined_film_tells_its_titles_chapters_and_which_tracks_are_played(farm: Any, tmp_path: Path, source: str) -> None:
    film = tmp_path / f"film.{source}"
    _film(film)
    for ending in ("mov", "mkv"):
        out = tmp_path / ending
        run = farm(film, out, "--ending", ending, "--range-frames", 20, "--workers", 2, "--cpus", 1, *ALONE)
        assert run.code == 0 and run.film(film.name)["ranges"] == 2, run.err
        with av.open(str(out / f"film.{ending}")) as made:
            told = {name.lower(): value for name, value in made.metadata.items()}
            assert (told["title"], told["artist"]) == ("The lake", "Somebody"), ending
            chapters = [(each["start"] * each["time_base"], each["metadata"]["title"]) for each in made.chapters()]
            assert chapters == [(0, "One"), (Fraction(4, 5), "Two")], ending
            video, audio = made.streams.video[0], made.streams.audio[0]
            assert "As it was heard" in (audio.metadata.get("title"), audio.metadata.get("name")), ending
            assert video.disposition & Disposition.default, ending
            if ending == source == "mkv":
                assert audio.disposition == Disposition.forced


def test_a_title_in_an_old_encoding_is_no_reason_to_matte_a_film_as_a_whole(tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    _film(film)
    film.write_bytes(film.read_bytes().replace(b"The lake", b"Le lac\xe9 "))
    found = media.probe(str(film), ".mkv", audio=True)
    assert (found.reason, found.frames) == (None, 40)


def test_names_need_not_be_utf8(farm: Any, tmp_path: Path) -> None:
    film, out = tmp_path / os.fsdecode(b"a \xff film.mp4"), tmp_path / os.fsdecode(b"out \xfe")
    _film(film)
    asked = ["--ending", "mkv", "--range-frames", 20, "--workers", 2, "--cpus", 1, *ALONE]
    for more in (["--part", "0/1"], ["--resume"]):
        run = farm(film, out, *asked, *more)
        assert run.code == 0 and run.film(film.name)["frames"] == 40, run.err
    assert left(out) == [f"{film.stem}.mkv"] and remains(out) == []


def test_a_part_replaces_nothing(farm: Any, tmp_path: Path) -> None:
    run = farm(tmp_path / "film.mp4", tmp_path / "out", "--part", "0/2", "--force")
    assert run.code == 2 and "--force" in run.err, run.err


def test_workers_have_the_description_that_is_there(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    network, root = tmp_path / "net.onnx", str(tmp_path / "ledger")
    network.write_bytes(b"the same network")
    description = network.with_suffix(".toml")
    for text in (None, "[output]\nindex = 0\n", "[output]\nindex = 1\n", None):
        description.write_text(text) if text else description.unlink(missing_ok=True)
        run = settings.Settings(".mov", {"--model": str(network)}, model=settings._asset(network))
        place.offer(root, run)
        model, _, _ = place.assets(root, run, is_local=False)
        assert model is not None
        found = Path(model).with_suffix(".toml")
        assert (found.read_text() if found.exists() else None) == text


# -- Runs that share the work ------------------------------------------------------------------------------------------


class _Here:
    """An engine that has done a task when it is asked for it."""

    slots = at_hand = 1
    is_local = True

    def __init__(self) -> None:
        self._done: list[Any] = []

    def check(self, task: Callable[..., Any], *arguments: Any) -> list[dict[str, Any]]:
        return []

    def submit(self, need: Need, task: Callable[..., Any], *arguments: Any) -> object:
        asked = object()
        self._done.append((asked, work.attempt(task, *arguments)))
        return asked

    def finished(self, seconds: float) -> list[tuple[object, dict[str, Any]]]:
        done, self._done = self._done, []
        return done

    def stop(self) -> None:
        pass


class _Run:
    """One of the runs that share a film."""

    def __init__(self, out: Path, number: int, of: int = 2, *, length: int = 2, alone: bool = False) -> None:
        film, target = str(out.parent / "film.mp4"), str(out / "film.mkv")
        self.job = Job(film, target, report.Row(film, target))
        self.site = work.Site(ledger=str(out / ledger.FOLDER), settings=settings.Settings(".mkv"), scratch=str(out.parent))
        choices = Choices(resumes=alone, retries=3, length=length, share=None if alone else (number, of))
        self.driver = Driver(self.site, _Here(), Need(), choices, report.Bar())

    def plan(self) -> None:
        self.driver.plan([self.job], plan.Costs())

    def run(self) -> str:
        self.plan()
        self.driver.run()
        return self.job.row.result


def _matte(site: work.Site, film: media.Film, key: str, part: plan.Range, is_whole: bool, made: str) -> dict[str, Any]:
    """Makes a range of a film that holds but its name, and is another file each time."""
    target = Path(ledger.part_place(site.ledger, key, part, site.settings.ending))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"{part.name} {uuid.uuid4()}\n")
    digest, size = store.digest(str(target)), target.stat().st_size
    note = {"frames": part.frames, "bytes": size, "digest": digest, "seconds": 1.0, "cut": False}
    store.write_json(ledger.note_place(str(target)), note)
    return note


def _join(
    root: str, key: str, film: media.Film, parts: list[plan.Range], asked: settings.Settings, out: Path, own: Path
) -> dict[str, Any]:
    """Joins such ranges; what comes out is another file each time, as of FFmpeg."""
    found = [join._verified(root, key, part, asked.ending, own).read_text() for part in parts]
    out.write_text("".join(found) + str(uuid.uuid4()))
    return {"frames": film.frames, "parts": len(parts), "sounds": 0}


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs make a film of 40 frames, with no matte_file; ranges of any length can be cut."""
    film = tmp_path / "film.mp4"
    film.write_text("a film")

    def probe(site: work.Site, name: str) -> dict[str, Any]:
        found = media.Film(name, store.identity(name), store.digest(name), width=96, height=64, time_base=Fraction(1, 25))
        found.times, found.keys = list(range(40)), list(range(40))
        return found.as_json()

    monkeypatch.setattr(work, "probe", probe)
    monkeypatch.setattr(work, "matte", _matte)
    monkeypatch.setattr(join, "join", _join)
    return tmp_path / "out"


def _between(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, *, before: Any = None, after: Any = None) -> None:
    """Lets something happen right before or after the next call of a function, and only that one."""
    real = getattr(where, name)

    def call(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(where, name, real)
        if before is not None:
            before()
        found = real(*arguments, **named)
        if after is not None:
            after()
        return found

    monkeypatch.setattr(where, name, call)


def _is_one_film(out: Path, ranges: int) -> None:
    """A film of so many ranges, which whoever comes later takes for done; and nothing else."""
    made = (out / "film.mkv").read_bytes()
    assert len(made.splitlines()) == ranges + 1
    late = _Run(out, 0)
    assert late.run() == "done" and late.job.row.kept == ranges
    assert (out / "film.mkv").read_bytes() == made and remains(out) == []


def test_runs_that_begin_at_once_have_one_plan(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _Run(shared, 0, length=1), _Run(shared, 1, length=2)
    results = []
    # The first one has found no plan, and not written its own yet.
    _between(monkeypatch, plan, "ranges", after=lambda: results.append(second.run()))
    results.append(first.run())
    assert results == ["left to others", "done"] and first.job.parts == second.job.parts
    _is_one_film(shared, 20)


@pytest.mark.parametrize("links", [True, False])
def test_of_many_that_write_a_file_at_once_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", link)
    with futures.ThreadPoolExecutor(8) as pool:
        for number in range(20):
            file = tmp_path / f"{number}.json"
            did = list(pool.map(lambda value: store.create_json(str(file), value), range(8)))
            assert did.count(True) == 1 and store.read_json(str(file)) == did.index(True)
    assert len(list(tmp_path.iterdir())) == 20


def test_a_plan_that_is_none_is_told(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_A_MOMENT", 0.0)
    first, second = _Run(shared, 0), _Run(shared, 1)
    first.plan()
    place = Path(ledger._plan_place(first.site.ledger, first.job.key))
    place.write_text("")
    assert second.run() == "failed" and second.job.row.code == errors.OUTPUT
    assert second.job.row.reason == f"{place} is no plan of {second.job.place}; remove it, and run again"


@pytest.mark.parametrize(("where", "name"), [(join, "join"), (ledger, "write_done"), (store, "publish")])
def test_runs_that_join_at_once_make_one_film(shared: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> None:
    assert _Run(shared, 1).run() == "left to others"
    results = []
    # Another one finds all ranges there, too, and is done before the first one has read, recorded or named anything.
    _between(monkeypatch, where, name, before=lambda: results.append(_Run(shared, 1).run()))
    results.append(_Run(shared, 0).run())
    assert results == ["done", "done"]
    _is_one_film(shared, 20)


def test_of_runs_that_end_at_once_one_joins(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _Run(shared, 0), _Run(shared, 1)
    first.plan()
    second.plan()
    results = []
    # The first one has done its last range, and not looked yet.
    _between(monkeypatch, first.driver, "_look_again", before=lambda: (second.driver.run(), results.append(second.job.row.result)))
    first.driver.run()
    assert [*results, first.job.row.result] == ["done", "done"]
    _is_one_film(shared, 20)


def test_a_run_that_begins_when_a_film_is_made_takes_it_for_done(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _Run(shared, 1).run() == "left to others"
    results: list[str] = []
    # It has found no record of the film; then there is one, and the film.
    _between(monkeypatch, ledger, "read_done", after=lambda: results.append(_Run(shared, 0).run()))
    results.append(_Run(shared, 1).run())
    assert results == ["done", "done"]
    _is_one_film(shared, 20)


def test_a_run_that_fails_leaves_what_others_have_done(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise errors.Failure(errors.OUTPUT, "the disk of this machine is full", "write")

    first = _Run(shared, 0)
    first.plan()
    assert _Run(shared, 1).run() == "left to others"
    monkeypatch.setattr(work, "matte", fails)
    first.driver.run()
    assert first.job.row.result == "failed"
    # As its batch system starts it again.
    monkeypatch.setattr(work, "matte", _matte)
    assert _Run(shared, 0, length=1).run() == "done"
    _is_one_film(shared, 20)


@pytest.mark.parametrize("last", range(3))
def test_a_film_that_cannot_be_joined_is_matted_by_whoever_finds_out(
    shared: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    def joins(root: str, key: str, film: media.Film, parts: list[plan.Range], *others: Any) -> dict[str, Any]:
        if len(parts) > 1:
            raise errors.Failure(errors.OTHER, "the parts are not encoded alike; matted as a whole", "short")
        return _join(root, key, film, parts, *others)

    def killed(*arguments: Any) -> dict[str, Any]:
        if arguments[4]:
            raise KeyboardInterrupt
        return _matte(*arguments)

    monkeypatch.setattr(join, "join", joins)
    for number in sorted(range(3), key=lambda number: number == last):
        if number != last:
            assert _Run(shared, number, 3).run() == "left to others"
    monkeypatch.setattr(work, "matte", killed)
    with pytest.raises(KeyboardInterrupt):
        _Run(shared, last, 3).run()
    monkeypatch.setattr(work, "matte", _matte)
    assert _Run(shared, last, 3).run() == "done"
    _is_one_film(shared, 1)


def test_whoever_joins_does_again_what_was_damaged(shared: Path) -> None:
    second = _Run(shared, 1)
    assert second.run() == "left to others"
    part = ledger.part_place(second.site.ledger, second.job.key, next(iter(second.job.notes)), ".mkv")
    Path(part).write_bytes(b"x" * Path(part).stat().st_size)
    assert _Run(shared, 0).run() == "done"
    _is_one_film(shared, 20)


def test_a_folder_that_cannot_be_read_is_not_cleared(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    begun = _Run(shared, 1)
    assert begun.run() == "left to others"
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "read_plan", unreadable)
        assert _Run(shared, 0, alone=True).run() == "failed"
    run = _Run(shared, 0, alone=True)
    assert run.run() == "done" and run.job.row.kept == len(begun.job.notes)


def test_what_other_machines_work_with_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they share a folder for what is temporary: a process of theirs need not be one here."""
    site = work.Site(ledger=str(tmp_path), settings=settings.Settings(".mkv"), scratch=str(tmp_path))
    machines = ["there-1"]
    monkeypatch.setattr(socket, "gethostname", lambda: machines[-1])
    with contextlib.ExitStack() as stack:
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: 1 << 23)  # more than there can be
            folder = stack.enter_context(work.scratch(site))
        for machine, stays in (("here", True), ("there-1", False)):
            machines.append(machine)
            with work.scratch(site):
                assert folder.exists() == stays, machine
