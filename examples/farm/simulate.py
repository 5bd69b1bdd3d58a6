#!/usr/bin/env python3
"""How the farm scales, by simulation from measured costs: prints the table of docs/farm.md, and draws its plot.

    python examples/farm/simulate.py [--plot docs/farm.svg]

Workers take ranges, longest first, from one driver. Everything that they read and write goes through one store. What
is simulated is the order of events; what a range takes is the sum of what was measured.
"""

from __future__ import annotations

import argparse
import heapq
import random
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Costs:
    """Seconds and megabytes, of one worker; see docs/farm.md for where each comes from."""

    # Starting matte_file and loading the network, and handing a range to a worker and back.
    start: float
    hand: float = 0.005
    # Of the driver alone: planning a range, and taking in its note. Nothing else waits for nothing else.
    driver: float = 0.001
    # Of a frame, and frames that are matted besides.
    frame: float = 0.1
    preroll: int = 30
    # Read and written for a frame; joining reads and writes what was written once more.
    read: float = 0.03
    written: float = 1.4
    # Joining, checking and hashing, in a second.
    join: float = 545.0
    # What the store gives and takes in a second, all workers together, and one worker at most.
    store: float = 1250.0
    link: float = 1250.0


@dataclass(frozen=True)
class Result:
    """What came of a library."""

    seconds: float
    # Of the workers' time, what went into frames that are kept.
    useful: float
    # From the first moment at which a worker has nothing to do.
    tail: float


def simulate(costs: Costs, workers: int, films: list[int], length: int, losses: float = 0.0, seed: int = 1) -> Result:
    """Runs films of so many frames in ranges of `length`; `losses` workers are lost in each hour of a worker's."""
    chance = random.Random(seed)
    tasks: list[tuple[int, int, int]] = []
    open_parts = []
    for film, frames in enumerate(films):
        parts = max(1, round(frames / length))
        bounds = [part * frames // parts for part in range(parts + 1)]
        open_parts.append(parts)
        tasks += [(-(end - first), film, first) for first, end in zip(bounds, bounds[1:])]
    heapq.heapify(tasks)
    joins: list[int] = []
    events: list[tuple[float, int, int, int]] = []
    free, now, driver, store, useful, busy_until, number = workers, 0.0, 0.0, 0.0, 0.0, 0.0, 0
    idle_since: float | None = None
    while tasks or joins or events:
        while free and (joins or tasks):
            free -= 1
            number += 1
            driver = max(driver, now) + costs.driver
            if joins:
                film, kind = joins.pop(), 1
                moved = 2 * films[film] * costs.written
                took = costs.hand + films[film] * costs.written / costs.join
            else:
                size, film, first = heapq.heappop(tasks)
                kind = 0
                frames = -size
                moved = frames * (costs.read + costs.written)
                # Films are read and written while frames are matted.
                took = costs.hand + costs.start + ((costs.preroll if first else 0) + frames) * costs.frame
                took = max(took, moved / costs.link)
                if losses and chance.random() < losses * took / 3600:
                    took *= chance.random()
                    kind = 2
                    heapq.heappush(tasks, (size, film, first))
                else:
                    useful += frames * costs.frame
            # The store serves whoever comes first; who has to wait for it takes longer.
            store = max(store, driver) + moved / costs.store
            heapq.heappush(events, (max(driver + took, store), number, kind, film))
        if free and not tasks and idle_since is None:
            idle_since = now
        now, _, kind, film = heapq.heappop(events)
        free += 1
        busy_until = now
        if kind == 0:
            open_parts[film] -= 1
            if open_parts[film] == 0:
                joins.append(film)
    return Result(busy_until, useful / (workers * busy_until), busy_until - (idle_since or busy_until))


# A network of david-base's size on two cores, and a GPU: docs/farm.md tells what of this is measured.
CORES = Costs(start=3.0, frame=1.9)
GPU = Costs(start=8.0, frame=0.05)
RATE = 25


def library(hours: float, seed: int = 1) -> list[int]:
    """Films from 5 to 150 minutes, as many as make up so many hours; in frames."""
    chance = random.Random(seed)
    films: list[int] = []
    while sum(films) < hours * 3600 * RATE:
        films.append(int(chance.triangular(5, 150, 30) * 60 * RATE))
    return films


def length(costs: Costs, share: float = 0.05, longest: float = 600) -> int:
    """As plan.py chooses it."""
    besides = costs.start + costs.preroll * costs.frame
    return int(max(besides / share, longest if besides / share < longest else 0) / costs.frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    films = library(1000)
    frames = sum(films)
    cases = {
        "cores": (CORES, [1, 3, 10, 30, 100, 300, 1000, 3000]),
        "GPU": (GPU, [1, 3, 10, 30, 100, 300, 1000]),
        "GPU, store of 100 Gbit/s": (replace(GPU, store=12500.0), [1, 3, 10, 30, 100, 300, 1000]),
    }
    points = {}
    print(f"{len(films)} films, {frames} frames")
    print("| worker | how many | frames a second | of ideal | hours | tail, minutes | with a loss in 10 hours |")
    print("|---|---|---|---|---|---|---|")
    for name, (costs, counts) in cases.items():
        points[name] = []
        for workers in counts:
            found = simulate(costs, workers, films, length(costs))
            lossy = simulate(costs, workers, films, length(costs), losses=0.1)
            speed = frames / found.seconds
            points[name].append((workers, speed))
            if workers in (1, 10, 100, 1000):
                print(
                    f"| {name} | {workers:,} | {speed:,.0f} | {100 * speed * costs.frame / workers:.0f} % "
                    f"| {found.seconds / 3600:,.1f} | {found.tail / 60:.0f} | {100 * (lossy.seconds / found.seconds - 1):+.1f} % |"
                )
    if given.plot:
        _plot(points, given.plot)


def _plot(points: dict[str, list[tuple[int, float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "farm"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4))
    for name, found in points.items():
        (line,) = axes.loglog(*zip(*found), marker="o", label=name)
        first = found[0]
        axes.loglog([1, found[-1][0]], [first[1], first[1] * found[-1][0]], ":", color=line.get_color(), linewidth=1)
    axes.set_xlabel("workers")
    axes.set_ylabel("frames a second")
    axes.legend(title="dotted: as one worker, that many times")
    axes.grid(visible=True, which="major", alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
