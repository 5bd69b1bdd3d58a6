"""matte_file, the program that does the matting, on whatever machine this runs."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from .errors import MODEL, Failure

_ROOT = Path(__file__).resolve().parents[3]
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def find(given: str | None) -> str:
    """Its path: as given, or $MATTE_FILE, or on the PATH, or as built in this project."""
    candidates = [given, os.environ.get("MATTE_FILE"), shutil.which("matte_file")]
    target = _ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
    candidates.append(str(target / os.environ.get("DAVIDMATTE_PROFILE", "release") / "examples/matte_file"))
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    sentence = "matte_file was not found; build it with `cargo build --release --example matte_file`, or name it with --matte-file"
    raise Failure(MODEL, sentence)


def environment(model_folder: str | None) -> dict[str, str]:
    """What it is run with."""
    found = dict(os.environ)
    library = _ROOT / "build/onnxruntime/libonnxruntime.so"
    if "ORT_DYLIB_PATH" not in found and library.exists():
        found["ORT_DYLIB_PATH"] = str(library)
    if model_folder is not None:
        found["DAVIDMATTE_MODEL_PATH"] = os.pathsep.join(filter(None, [model_folder, found.get("DAVIDMATTE_MODEL_PATH")]))
    return found


def version(program: str) -> str:
    """The version it tells."""
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, env=environment(None))
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(MODEL, f"{program} could not be run ({error}); check --matte-file") from error
    found = re.fullmatch(r"matte_file (\S+)\s*", told.stdout)
    if told.returncode or not found:
        reason = _last_line(told.stderr) or "it tells no version"
        raise Failure(MODEL, f"{program} is no matte_file that runs ({reason}); check --matte-file")
    return found[1]


def _with_parent() -> None:
    # A worker that is killed cannot end its program, which would go on writing what nobody waits for.
    if _libc is not None:
        _libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL)


class Running:
    """Programs that were started here, so that an interruption can end them."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def run(self, arguments: list[str], env: dict[str, str], timeout: float | None) -> tuple[int, str]:
        """The exit code, or the negative number of a signal, and what it said last."""
        process = subprocess.Popen(
            arguments, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, errors="replace", preexec_fn=_with_parent, start_new_session=True,
        )  # fmt: skip
        self._processes.add(process)
        try:
            if self.stopped:
                process.kill()
            _, said = process.communicate(timeout=timeout)
        except BaseException as error:
            process.kill()
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                return -signal.SIGALRM, f"it was still running after {timeout:.0f} s"
            raise
        finally:
            self._processes.discard(process)
        return process.returncode, _last_line(said)

    def stop(self) -> None:
        """Ends all of them."""
        self.stopped = True
        for process in list(self._processes):
            process.kill()


running = Running()


def _last_line(said: str) -> str:
    lines = [line.removeprefix("matte_file: ").strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("note:", "warning:"))]
    return told[-1] if told else ""
