"""Where tasks run: threads of this process that start matte_file, or workers of a Ray cluster."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from . import program, work
from .errors import MODEL, USAGE, Failure

# Seconds between looks at a cluster's machines.
_RECOUNT = 15


@dataclass(frozen=True)
class Need:
    """What a task occupies."""

    cpus: float = 1
    gpus: float = 0


class Engine(Protocol):
    """What runs tasks."""

    # How many tasks with the need of a range run at once, and how many are kept at hand.
    slots: int
    at_hand: int
    is_local: bool

    def check(self, task: Callable[..., Any], *arguments: Any) -> list[dict[str, Any]]:
        """Runs a task on every machine."""

    def submit(self, need: Need, task: Callable[..., Any], *arguments: Any) -> object:
        """Lets a task run, and returns what it is told apart by."""

    def finished(self, seconds: float) -> list[tuple[object, dict[str, Any]]]:
        """What has ended, waited for at most so long."""

    def stop(self) -> None:
        """Ends everything that runs."""


class Local:
    """This machine."""

    is_local = True

    def __init__(self, workers: int) -> None:
        self.slots = self.at_hand = workers
        self._pool = futures.ThreadPoolExecutor(workers)
        self._running: set[futures.Future[dict[str, Any]]] = set()

    def check(self, task: Callable[..., Any], *arguments: Any) -> list[dict[str, Any]]:
        return [work.attempt(task, *arguments)]

    def submit(self, need: Need, task: Callable[..., Any], *arguments: Any) -> object:
        future = self._pool.submit(work.attempt, task, *arguments)
        self._running.add(future)
        return future

    def finished(self, seconds: float) -> list[tuple[object, dict[str, Any]]]:
        done, self._running = futures.wait(self._running, seconds, futures.FIRST_COMPLETED)
        return [(future, future.result()) for future in done]

    def stop(self) -> None:
        program.running.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)


class Ray:
    """A cluster."""

    is_local = False

    def __init__(self, address: str, need: Need) -> None:
        _check_address(address)
        try:
            import ray
        except ImportError as error:
            raise Failure(MODEL, "Ray is not installed; run `pip install -r examples/farm/requirements.txt`") from error
        self._ray = ray
        # Workers get this very code, whatever lies on their machines.
        modules = [str(Path(__file__).resolve().parent)]
        try:
            ray.init(
                address, runtime_env={"py_modules": modules}, log_to_driver=False, logging_level=logging.ERROR,
                namespace="davidmatte",
            )  # fmt: skip
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise _no_cluster(address, error) from error
        self._need = need
        # Work is done again by the driver, which counts it, and not by Ray.
        self._attempt = ray.remote(max_retries=0)(work.attempt)
        self._running: dict[Any, object] = {}
        self._count()
        if self.slots == 0:
            ray.shutdown()
            asked = f"{need.cpus:g} cores" + (f" and {need.gpus:g} of a GPU" if need.gpus else "")
            raise Failure(MODEL, f"no machine of the cluster at {address} has {asked}; ask for less with --cpus and --gpus")

    def _count(self) -> None:
        """Counts the machines, which may come and go."""
        ray: Any = self._ray
        nodes = [node for node in ray.nodes() if node["Alive"]]
        self._nodes = [node for node in nodes if _fits(node["Resources"], self._need) > 0]
        self.slots = sum(_fits(node["Resources"], self._need) for node in self._nodes)
        # What waits tells an autoscaler that there is more to do.
        self.at_hand = 2 * max(1, self.slots)
        self._counted = time.monotonic()

    def check(self, task: Callable[..., Any], *arguments: Any) -> list[dict[str, Any]]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        asked = {}
        for node in self._nodes:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            options = self._attempt.options(
                num_cpus=self._need.cpus, num_gpus=self._need.gpus, scheduling_strategy=there
            )
            asked[options.remote(task, *arguments)] = node["NodeManagerHostname"]
        return [self._result(reference, machine) for reference, machine in asked.items()]

    def submit(self, need: Need, task: Callable[..., Any], *arguments: Any) -> object:
        reference = self._attempt.options(num_cpus=need.cpus, num_gpus=need.gpus).remote(task, *arguments)
        self._running[reference] = reference
        return reference

    def finished(self, seconds: float) -> list[tuple[object, dict[str, Any]]]:
        if not self._running:
            return []
        if time.monotonic() - self._counted > _RECOUNT:
            self._count()
        references = list(self._running)
        done, _ = self._ray.wait(references, num_returns=1, timeout=seconds)
        if done:
            # Whatever else has ended meanwhile.
            done, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        for reference in done:
            del self._running[reference]
        return [(reference, self._result(reference, "?")) for reference in done]

    def _result(self, reference: Any, machine: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._ray.get(reference)
            return found
        except self._ray.exceptions.RayTaskError as error:
            reason = str(error).strip().splitlines()[-1]
            failure = Failure(MODEL, f"{machine} cannot run the farm's tasks ({reason}); install its requirements there", "node")
        except self._ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[0]
            failure = Failure(1, f"a worker was lost ({reason})", "lost")
        return {"value": None, "failure": failure, "machine": machine, "seconds": 0.0}

    def stop(self) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()


def _fits(resources: dict[str, float], need: Need) -> int:
    """How often a need fits into what a machine has."""
    counts = [resources.get("CPU", 0) / need.cpus] if need.cpus else []
    counts += [resources.get("GPU", 0) / need.gpus] if need.gpus else []
    return int(min(counts, default=0))


def _no_cluster(address: str, error: BaseException) -> Failure:
    reason = " ".join(str(error).split())
    reason = reason if len(reason) < 160 else reason[:157] + "…"
    told = f"no Ray cluster was found at {address} ({reason}); start one with `ray start --head`, or leave --address out to use this machine"
    return Failure(MODEL, told)


def _check_address(address: str) -> None:
    """Fails soon where nobody listens: Ray itself tries for minutes."""
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise Failure(USAGE, f"{address} is no address of a cluster; give auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
