"""The same over a Ray cluster: two machines, as far as Ray can tell, on this one."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ALONE, command, left, matting, notes, remains, unsplit, wait_for

import films

# A token of its own: a user's, which Ray keeps once it has started a cluster, is not this one's business.
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
ray = pytest.importorskip("ray")
SPLIT = ["--range-frames", 18, "--preroll", 10, "--cpus", 1, "--ending", "mkv", *ALONE]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _start(
    *arguments: str, env: dict[str, str] | None = None, prefix: list[str] | None = None
) -> subprocess.Popen[bytes]:
    """`--block` keeps a node in a process group of its own, which can be ended without touching other clusters."""
    ray_command = [str(Path(sys.executable).parent / "ray"), "start", "--block", *arguments]
    quiet = {"RAY_DISABLE_IMPORT_WARNING": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.Popen(
        [*(prefix or []), *ray_command], env={**os.environ, **quiet, **(env or {})}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _end(node: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(node.pid, signal.SIGTERM)
        node.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(node.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _connect(address: str) -> None:
    """A head listens some time before it can be joined."""

    def connects() -> bool:
        try:
            ray.init(address, logging_level="ERROR", log_to_driver=False)
        except (ConnectionError, RuntimeError):
            ray.shutdown()
            return False
        return True

    wait_for(connects)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = _free_port()
    # As workers see it: Ray takes localhost for this address as well.
    host = ray.util.get_node_ip_address()
    address = f"{host}:{port}"
    small = ["--num-cpus=1", "--object-store-memory=100000000", "--include-dashboard=false"]
    temporary = tmp_path_factory.mktemp("ray", numbered=False)
    head = _start("--head", f"--port={port}", f"--node-ip-address={host}", f"--temp-dir={temporary}", *small,
                  env={"DAVIDMATTE_MACHINE": "first"})  # fmt: skip
    nodes = [head]

    def listens() -> bool:
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            return False
        return True

    try:
        wait_for(listens)
        _connect(address)
        nodes.append(_start(f"--address={address}", *small[:2], env={"DAVIDMATTE_MACHINE": "second"}))
        wait_for(lambda: sum(node["Alive"] for node in ray.nodes()) == 2)
        ray.shutdown()
        yield address
    finally:
        for node in reversed(nodes):
            _end(node)


@pytest.fixture(scope="module")
def whole(mixed: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "plain.mkv"
    assert unsplit(mixed["plain"], out, *ALONE).returncode == 0
    return out


def test_a_cluster_mattes_films(farm: Any, cluster: str, mixed: dict[str, Path], whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    model = Path(__file__).resolve().parents[3] / "tests/fixtures/keyer.onnx"
    run = farm(mixed["plain"], mixed["broken"], mixed["silent"], out, "--address", cluster, *SPLIT,
               env={"XDG_CACHE_HOME": str(tmp_path / "cache")})  # fmt: skip
    assert run.code == 3 and run.film("broken.mp4")["code"] == 3, run.err
    assert left(out) == ["plain.mkv", "silent.mkv"] and remains(out) == []
    assert films.differences(whole, out / "plain.mkv") == []
    assert {machine for row in run.table["films"] for machine in row["machines"]} == {"first", "second"}, run.table
    # A network that only the driver has is placed on the machines.
    placed = tmp_path / "placed"
    (tmp_path / "models").mkdir()
    mine = tmp_path / "models/mine.onnx"
    mine.write_bytes(model.read_bytes())
    run = farm(mixed["plain"], placed, "--address", cluster, "--model", mine, *SPLIT)
    assert run.code == 0, run.err
    alone = tmp_path / "alone.mkv"
    assert unsplit(mixed["plain"], alone, *ALONE, f"--model={mine}").returncode == 0
    assert films.differences(alone, placed / "plain.mkv") == []


@pytest.mark.parametrize("whom", ["the program", "the worker"])
def test_a_killed_worker_costs_its_range(
    cluster: str, mixed: dict[str, Path], whole: Path, tmp_path: Path, whom: str
) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    asked = command(mixed["plain"], out, "--address", cluster, *SPLIT, report=report)
    with subprocess.Popen(asked, stderr=subprocess.PIPE, text=True) as running:
        program = wait_for(lambda: matting(out))[0]
        stat = Path(f"/proc/{program}/stat").read_text()
        parent = int(stat.rpartition(")")[2].split()[1])
        os.kill(program if whom == "the program" else parent, signal.SIGKILL)
        # What a killed worker had started ends with it.
        wait_for(lambda: program not in matting(out), 5)
        _, err = running.communicate(timeout=300)
    assert running.returncode == 0, err
    told = report.read_text()
    assert '"retries": 1' in told and '"ranges": 4' in told, told
    assert films.differences(whole, out / "plain.mkv") == [] and remains(out) == []


def test_a_killed_driver_costs_nothing_done(
    farm: Any, cluster: str, mixed: dict[str, Path], whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(command(mixed["plain"], out, "--address", cluster, *SPLIT)) as running:
        wait_for(lambda: len(notes(out)) >= 1 and matting(out))
        running.kill()
    wait_for(lambda: not matting(out), 60)
    done = notes(out)
    assert left(out) == []
    run = farm(mixed["plain"], out, "--resume", "--address", cluster, *SPLIT)
    assert run.code == 0 and run.film("plain.mp4")["kept"] == len(done), (run.err, run.table)
    assert films.differences(whole, out / "plain.mkv") == [] and remains(out) == []


@contextmanager
def _third(cluster: str, env: dict[str, str], *prefix: str) -> Iterator[None]:
    """One more machine."""
    small = ["--num-cpus=1", "--object-store-memory=100000000"]
    node = _start(f"--address={cluster}", *small, env={"DAVIDMATTE_MACHINE": "third", **env}, prefix=list(prefix))
    _connect(cluster)

    def machines() -> int:
        return sum(node["Alive"] for node in ray.nodes())

    try:
        wait_for(lambda: machines() == 3)
        yield
    finally:
        _end(node)
        wait_for(lambda: machines() == 2)
        ray.shutdown()


def _is_refused(run: Any, out: Path, *words: str) -> None:
    assert len(run.err.splitlines()) == 1 and all(word in run.err for word in words), run.err
    assert not out.exists() or left(out) == []


def test_a_machine_of_another_version_is_refused(farm: Any, cluster: str, mixed: dict[str, Path], tmp_path: Path) -> None:
    out, old = tmp_path / "out", tmp_path / "old_matte_file"
    old.write_text("#!/bin/sh\necho matte_file 0.0.9\n")
    old.chmod(0o755)
    with _third(cluster, {"MATTE_FILE": str(old)}):
        run = farm(mixed["plain"], out, "--address", cluster, *SPLIT)
    assert run.code == 5
    _is_refused(run, out, "third has matte_file 0.0.9", "1 of 3 machines")


def test_a_model_that_only_some_machines_have(farm: Any, cluster: str, mixed: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    keyer = Path(__file__).resolve().parents[3] / "tests/fixtures/keyer.onnx"
    (tmp_path / "models").mkdir()
    # The keyer has the inputs and outputs of DAViD's networks.
    (tmp_path / "models/foreground-segmentation-model-vitb16_384.onnx").write_bytes(keyer.read_bytes())
    with _third(cluster, {"DAVIDMATTE_MODEL_PATH": str(tmp_path / "models")}):
        run = farm(mixed["plain"], out, "--address", cluster, "--model", "david-base", *SPLIT)
    assert run.code == 5
    _is_refused(run, out, "david-base", "2 of 3 machines")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a machine another view of the folders")
def test_a_folder_that_is_not_shared(farm: Any, cluster: str, mixed: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    elsewhere = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs tmpfs "{out}" && exec "$@"', "sh"]
    with _third(cluster, {}, *elsewhere):
        run = farm(mixed["plain"], out, "--address", cluster, *SPLIT)
    assert run.code == 4
    _is_refused(run, out, "not the same folder on third", "share")


def test_a_cluster_that_is_too_small(farm: Any, cluster: str, mixed: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    for words, options in [("64 cores", ["--cpus", 64]), ("of a GPU", ["--device", "cuda"])]:
        run = farm(mixed["plain"], out, "--address", cluster, *options)
        assert run.code == 5
        _is_refused(run, out, words)
