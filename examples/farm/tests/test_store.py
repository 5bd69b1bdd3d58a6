"""Films and results in an object store: moto's server, which speaks S3 over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import fsspec
import pytest
from conftest import ALONE, command, unsplit, wait_for

import films
from farm import store

SPLIT = ["--range-frames", 18, "--preroll", 10, "--cpus", 1, "--ending", "mkv", *ALONE]
_ACCOUNT = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = subprocess.Popen(
        [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    wait_for(listens)
    os.environ.update(_ACCOUNT, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    store = fsspec.filesystem("s3", use_listings_cache=False)
    store.mkdir("films")
    yield store
    server.terminate()
    server.wait(20)


def _objects(bucket: Any, below: str) -> list[str]:
    return sorted(name for name in bucket.find(below) if not name.endswith("done.json") and "costs" not in name)


def test_films_in_an_object_store(farm: Any, bucket: Any, mixed: dict[str, Path], tmp_path: Path) -> None:
    for name in ("plain", "uneven", "broken", "named"):
        bucket.put_file(str(mixed[name]), f"films/in/{mixed[name].name}")
    run = farm("s3://films/in/*.mp4", "s3://films/out", "--workers", 2, *SPLIT)
    assert run.code == 3 and run.film("broken.mp4")["code"] == 3, run.err
    made = ["plain", "uneven", "named"]
    assert _objects(bucket, "films/out") == sorted(f"films/out/{mixed[name].stem}.mkv" for name in made)
    for name in made:
        got, whole = tmp_path / f"got-{name}.mkv", tmp_path / f"whole-{name}.mkv"
        bucket.get_file(f"films/out/{mixed[name].stem}.mkv", str(got))
        assert unsplit(mixed[name], whole, *ALONE).returncode == 0
        assert films.differences(whole, got) == []
    refused = farm("s3://films/in/plain.mp4", "s3://films/out", *SPLIT)
    assert refused.code == 4 and "already there" in refused.err
    again = farm("s3://films/in/plain.mp4", "s3://films/out", "--resume", *SPLIT)
    assert again.code == 0 and again.film("plain.mp4")["kept"] == 4, again.err


def test_a_killed_run_goes_on(farm: Any, bucket: Any, mixed: dict[str, Path], tmp_path: Path) -> None:
    bucket.put_file(str(mixed["silent"]), "films/silent.mp4")

    def notes() -> list[str]:
        return [name for name in bucket.find("films/killed") if name.endswith(".mkv.json")]

    with subprocess.Popen(command("s3://films/silent.mp4", "s3://films/killed", "--workers", 1, *SPLIT)) as running:
        wait_for(lambda: len(notes()) == 2)
        running.send_signal(signal.SIGKILL)
    done = len(notes())
    run = farm("s3://films/silent.mp4", "s3://films/killed", "--resume", "--workers", 2, *SPLIT)
    assert run.code == 0 and run.film("silent.mp4")["kept"] == done, (run.err, run.table)
    got, whole = tmp_path / "got.mkv", tmp_path / "whole.mkv"
    bucket.get_file("films/killed/silent.mkv", str(got))
    assert unsplit(mixed["silent"], whole, *ALONE).returncode == 0
    assert films.differences(whole, got) == [] and _objects(bucket, "films/killed") == ["films/killed/silent.mkv"]


def test_runs_that_share_the_ranges(bucket: Any, mixed: dict[str, Path], tmp_path: Path) -> None:
    """They begin at once, and would plan differently."""
    bucket.put_file(str(mixed["silent"]), "films/shared.mp4")
    runs = [
        subprocess.Popen(command("s3://films/shared.mp4", "s3://films/shares", "--workers", 1, "--part", f"{part}/2", *SPLIT,
                                 "--range-frames", length), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for part, length in enumerate((18, 12))
    ]  # fmt: skip
    told = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    got, whole = tmp_path / "got.mkv", tmp_path / "whole.mkv"
    bucket.get_file("films/shares/shared.mkv", str(got))
    assert unsplit(mixed["silent"], whole, *ALONE).returncode == 0
    assert films.differences(whole, got) == []


def test_of_many_that_write_an_object_at_once_one_does(bucket: Any) -> None:
    with futures.ThreadPoolExecutor(8) as pool:
        did = list(pool.map(lambda value: store.create_json("s3://films/one.json", value), range(8)))
    assert did.count(True) == 1 and store.read_json("s3://films/one.json") == did.index(True)


def test_a_store_that_cannot_be_had(farm: Any, bucket: Any, mixed: dict[str, Path], tmp_path: Path) -> None:
    for code, words, arguments in [
        (3, "could not be read", ["s3://films/missing.mp4", tmp_path / "out"]),
        (3, "matches no film", ["s3://films/none/*.mp4", tmp_path / "out"]),
        (4, "could not be written", [mixed["plain"], "s3://no-such-bucket/out"]),
        (2, "fsspec", [mixed["plain"], "nonsense://out/x"]),
    ]:
        run = farm(*arguments, *SPLIT)
        assert run.code == code and words in run.err and len(run.err.splitlines()) == 1, (arguments, run)
