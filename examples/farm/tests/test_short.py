"""One short film in two ranges, on this machine: the quick test."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy
from conftest import ALONE, left, remains, unsplit

import films
from farm import place, settings


def _film(path: Path, shape: Fraction = Fraction(1)) -> None:
    """A film of 40 frames with sound in French, of pixels of that shape, made without any other program."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25, options={"g": "10", "bf": "2"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.codec_context.sample_aspect_ratio = shape
        audio = container.add_stream("aac", rate=48000)
        audio.layout = "mono"
        audio.metadata["language"] = "fra"
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
