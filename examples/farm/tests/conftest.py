"""What tests run the farm with: $MATTE_FILE, or what was built here, as for the farm itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FARM = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FARM))

import films  # noqa: E402
from farm import program  # noqa: E402

# So that a range is what it is in the unsplit run.
ALONE = ["--temporal", "0", "--region", "frame"]


@dataclass
class Run:
    """How a run of the farm ended."""

    code: int
    out: str
    err: str
    table: dict[str, Any]

    def film(self, name: str) -> dict[str, Any]:
        """The row of a film."""
        return next(row for row in self.table["films"] if Path(row["film"]).name == name)


def command(*arguments: object, report: Path | None = None) -> list[str]:
    told = ["--report", str(report)] if report else []
    return [sys.executable, str(FARM / "matte_farm.py"), *map(str, arguments), *told]


@pytest.fixture
def farm(tmp_path: Path) -> Any:
    """Runs the farm to its end."""

    def run(*arguments: object, env: dict[str, str] | None = None, timeout: float = 600) -> Run:
        report = tmp_path / "report.json"
        report.unlink(missing_ok=True)
        asked = command(*arguments, report=report)
        done = subprocess.run(
            asked, capture_output=True, text=True, timeout=timeout, env={**os.environ, **(env or {})}
        )
        table = json.loads(report.read_text()) if report.exists() else {"films": []}
        return Run(done.returncode, done.stdout, done.stderr, table)

    return run


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The mixed films."""
    return films.make(tmp_path_factory.mktemp("films"))


def unsplit(film: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What matte_file makes of a film by itself."""
    asked = [program.find(None), "--threads=1", *options, "--", str(film), str(out)]
    return subprocess.run(asked, capture_output=True, text=True, env=program.environment(None))


def left(out: Path) -> list[str]:
    """What lies in the folder of results, but for the farm's own."""
    return sorted(path.name for path in out.iterdir() if path.name != ".matte_farm")


def remains(out: Path) -> list[str]:
    """What should not be left: parts, and unfinished files."""
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and (
        path.suffix == ".part" or path.parent.parent.name == "films" and not path.name.endswith("done.json")))


def processes(*words: str) -> list[int]:
    """Running programs whose command line holds all these."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and all(any(word.encode() in part for part in line) for word in words):
            found.append(int(entry.name))
    return found


def matting(out: Path) -> list[int]:
    """The matte_files that write a range below a folder."""
    return processes("--range=", str(out))


def wait_for(what: Any, seconds: float = 120) -> Any:
    """Waits until something is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def notes(out: Path) -> list[Path]:
    """The notes of ranges that are done."""
    return sorted((out / ".matte_farm/films").glob("*/*-*.m*.json"))
