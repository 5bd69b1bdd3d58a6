"""How far a run is, and what came of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


@dataclass
class Row:
    """What came of a film."""

    film: str
    target: str
    result: str = "not begun"
    code: int | None = None
    reason: str = ""
    frames: int = 0
    ranges: int = 0
    # Work on all machines together.
    seconds: float = 0.0
    machines: set[str] = field(default_factory=set)
    retries: int = 0
    # Ranges that an earlier run had done.
    kept: int = 0
    # Ranges that were made of a piece of the film.
    cut: int = 0

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "seconds": round(self.seconds, 3), "machines": sorted(self.machines)}


class Bar:
    """The progress bar, on the standard error where that is a terminal."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"), BarColumn(None),
            TextColumn("{task.completed:.0f} of {task.total:.0f} frames, {task.fields[rate]:.1f} fps, {task.fields[left]} left"),
        )  # fmt: skip
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        self._task = self._progress.add_task("planning", total=0, rate=0.0, left="?")
        self._begun: float | None = None
        self._done = 0
        self._progress.start()

    def begin(self, total: int, kept: int) -> None:
        """Frames that are to be done, of which some are there already."""
        self._begun = time.monotonic()
        self._progress.update(self._task, description="matting", total=total, completed=kept)

    def add(self, frames: int) -> None:
        """So many more are done; fewer where some are to be done again."""
        self._done += frames
        self._progress.advance(self._task, frames)
        self.tick()

    def tick(self) -> None:
        """Tells the rate and the time that is left by what this run has done."""
        if self._begun is None:
            return
        task = self._progress.tasks[0]
        rate = self._done / max(time.monotonic() - self._begun, 1e-3)
        left = "?" if rate <= 0 else _time((task.total or 0) - task.completed, rate)
        self._progress.update(self._task, rate=rate, left=left)

    def say(self, line: str) -> None:
        """A line above the bar."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()


def _time(frames: float, rate: float) -> str:
    seconds = int(frames / rate)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def table(rows: Iterable[Row], seconds: float) -> str:
    """A line a film, and one of all."""
    rows = list(rows)
    lines = [("film", "frames", "ranges", "kept", "seconds", "retries", "machine", "result")]
    for row in rows:
        machines = ",".join(sorted(row.machines)) or "-"
        result = row.result if row.code is None else f"{row.result} ({row.code})"
        counts = (str(row.frames), str(row.ranges), str(row.kept), f"{row.seconds:.1f}", str(row.retries))
        lines.append((row.film, *counts, machines, result))
    widths = [max(len(line[column]) for line in lines) for column in range(8)]
    shown = []
    for line in lines:
        cells = [text.rjust(width) if 0 < at < 6 else text.ljust(width) for at, (text, width) in enumerate(zip(line, widths))]
        shown.append("  ".join(cells).rstrip())
    frames = sum(row.frames for row in rows if row.result == "done")
    shown.append(f"{frames} frames in {seconds:.1f} s, {frames / max(seconds, 1e-3):.1f} a second")
    failures: dict[int, list[str]] = {}
    for row in rows:
        if row.code:
            failures.setdefault(row.code, []).append(row.film)
    shown += [f"exit code {code}: {', '.join(films)}" for code, films in sorted(failures.items())]
    return "\n".join(shown)


def write(path: str, rows: Iterable[Row], seconds: float) -> None:
    """The same for programs."""
    told = {"seconds": round(seconds, 3), "films": [row.as_json() for row in rows]}
    temporary = Path(f"{path}.part")
    # As in the farm's own files, bytes of a name that are no UTF-8 are escaped.
    temporary.write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8", errors="backslashreplace")
    temporary.replace(path)
