"""What workers do: each function is one task, and runs wherever the engine puts it.

Tasks get and give plain values. What fails is given back rather than raised, so that the driver can tell a film's
failure from a worker's.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av

from . import VERSION, join, ledger, media, place, program, store
from .errors import INPUT, MODEL, OTHER, OUTPUT, Failure
from .media import Film
from .plan import Range
from .settings import Settings


@dataclass(frozen=True)
class Site:
    """What workers have to know of a run."""

    # The folder of the farm's own files.
    ledger: str
    settings: Settings
    matte_file: str | None = None
    scratch: str | None = None
    threads: int | None = None
    timeout: float | None = None
    # Workers in the same machine use files of networks where they lie.
    is_local: bool = True


def machine() -> str:
    """The name of the machine that a task runs on."""
    return os.environ.get("DAVIDMATTE_MACHINE") or socket.gethostname()


@lru_cache
def check_version(matte_file: str | None) -> None:
    """Refuses a machine whose matte_file is of another version."""
    found = program.version(program.find(matte_file))
    if found != VERSION:
        told = f"{machine()} has matte_file {found}, and {VERSION} is needed; install that on every machine"
        raise Failure(MODEL, told, "node")


def attempt(task: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Runs a task, and tells how it went."""
    begun = time.monotonic()
    try:
        value, failure = task(*arguments), None
    except Failure as error:
        value, failure = None, error
    except OSError as error:
        told = f"{error.filename or 'a file'} could not be used ({error.strerror or error}); check permissions and free space"
        value, failure = None, Failure(OUTPUT, told, "write")
    except Exception as error:
        if program.running.stopped:
            raise
        value, failure = None, Failure(OTHER, f"the farm failed ({type(error).__name__}: {error}); please report this")
    return {"value": value, "failure": failure, "machine": machine(), "seconds": time.monotonic() - begun}


@contextmanager
def scratch(site: Site) -> Iterator[Path]:
    """A folder for one task on this machine, removed at its end; and those of workers that were killed are, too."""
    root = Path(site.scratch or tempfile.gettempdir())
    root.mkdir(parents=True, exist_ok=True)
    # Processes are told apart by their numbers on one machine only, and machines may share the folder.
    ours = f"matte-farm-{socket.gethostname()}"
    for left in root.glob("matte-farm-*-*"):
        name, owner, _ = left.name.rsplit("-", 2)
        if name == ours and owner.isdigit() and not _is_running(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{ours}-{os.getpid()}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def probe(site: Site, film: str) -> dict[str, Any]:
    """What a film holds."""
    return media.probe(film, site.settings.ending, site.settings.audio).as_json()


def matte(site: Site, film: Film, key: str, part: Range, is_whole: bool, made: str) -> dict[str, Any]:
    """Mattes a range of what is to become `made`, and puts it with its note among the farm's files."""
    begun = time.monotonic()
    if store.identity(film.place) != film.identity:
        raise media.changed(film.place)
    target = ledger.part_place(site.ledger, key, part, site.settings.ending)
    folder = store.local_path(store.parent(target))
    with scratch(site) as own:
        # In a folder a part is written where it will lie, so that no disk has to hold it twice.
        out_folder = own if folder is None else folder
        out_folder.mkdir(parents=True, exist_ok=True)
        out = out_folder / f"{part.name}.{uuid.uuid4().hex[:12]}{site.settings.ending}"
        try:
            try:
                was_cut = _run(site, film, part, is_whole, own, out)
            except Failure as failure:
                # The name that the user knows is what the user is told.
                raise Failure(failure.code, failure.sentence.replace(str(out), made), failure.kind) from failure
            frames = media.count(out)
            if not is_whole and frames != part.frames:
                told = f"{film.place}: of frames {part.first} to {part.end - 1} only {frames} came out; it is matted as a whole"
                raise Failure(INPUT, told, "short")
            if store.identity(film.place) != film.identity:
                raise media.changed(film.place)
            note = {
                "first": part.first, "frames": frames, "bytes": out.stat().st_size, "digest": store.digest(str(out)),
                "machine": machine(), "seconds": time.monotonic() - begun, "cut": was_cut,
            }  # fmt: skip
            store.publish(out, target, replaces=True)
        finally:
            out.unlink(missing_ok=True)
            Path(f"{out}.part").unlink(missing_ok=True)
    store.write_json(ledger.note_place(target), note)
    return note


def _run(site: Site, film: Film, part: Range, is_whole: bool, own: Path, out: Path) -> bool:
    """Runs matte_file on a range, of a piece where there is one; tells whether there was."""
    settings = site.settings
    piece = own / f"piece{_container(film)}"
    if part.piece is not None:
        try:
            media.cut(film, *part.piece, piece)
            _matte_file(site, film, piece, part.first - part.piece[0], part, out, sounds=False)
            return True
        except (av.FFmpegError, Failure) as error:
            # A piece that is not read may be the cutting's fault. The film itself tells.
            if isinstance(error, Failure) and (error.kind == "changed" or error.code != INPUT):
                raise
        finally:
            piece.unlink(missing_ok=True)
    source = store.local_path(film.place)
    if source is None:
        source = own / store.name(film.place)
        store.fetch(film.place, source)
    if is_whole:
        _matte_file(site, film, source, None, part, out, sounds=settings.audio)
    else:
        # The first range takes its sound along, so that matte_file says it where the result cannot hold it.
        _matte_file(site, film, source, part.first, part, out, sounds=settings.audio and part.first == 0)
    return False


def _container(film: Film) -> str:
    return os.path.splitext(store.name(film.place))[1].lower() or ".film"


def _matte_file(
    site: Site, film: Film, source: Path, first: int | None, part: Range, out: Path, *, sounds: bool
) -> None:
    settings = site.settings
    # Machines that came to the cluster after the others were asked.
    check_version(site.matte_file)
    model, model_folder, background = place.assets(site.ledger, settings, is_local=site.is_local)
    arguments = [program.find(site.matte_file), *settings.arguments(model, background)]
    if settings.audio and not sounds:
        arguments.append("--no-audio")
    if site.threads:
        arguments.append(f"--threads={site.threads}")
    if first is not None:
        arguments += [f"--range={first}..{first + part.frames - 1}", f"--preroll={settings.preroll}"]
    arguments += ["--", os.path.abspath(source), str(out)]
    code, said = program.running.run(arguments, program.environment(model_folder), site.timeout)
    # What the user named is what the user is told of.
    said = said.replace(os.path.abspath(source), film.place)
    if code == 0:
        return
    if code < 0 or code == 130:
        raise Failure(OTHER, said or f"matte_file was ended by signal {abs(code)}", "lost")
    raise Failure(code, said or f"matte_file ended with {code} and said nothing")


def join_parts(site: Site, film: Film, key: str, parts: list[Range], target: str, replaces: bool) -> dict[str, Any]:
    """Joins what was made of a film, and gives it its name."""
    # Another worker may have done it, and been lost before it could tell.
    done = ledger.read_done(site.ledger, key, target)
    if done is None:
        try:
            done = _join(site, film, key, parts, target, replaces)
        except (Failure, OSError):
            # Another run may have joined it meanwhile, and removed the parts.
            done = ledger.read_done(site.ledger, key, target)
            if done is None:
                raise
    ledger.clear(site.ledger, key)
    return done


def _join(site: Site, film: Film, key: str, parts: list[Range], target: str, replaces: bool) -> dict[str, Any]:
    with scratch(site) as own:
        folder = store.local_path(store.parent(ledger.part_place(site.ledger, key, parts[0], site.settings.ending)))
        out = (folder or own) / f"joined.{uuid.uuid4().hex[:12]}{site.settings.ending}"
        try:
            report = join.join(site.ledger, key, film, parts, site.settings, out, own)
            report["bytes"] = out.stat().st_size
            report["digest"] = store.digest(str(out))
            # The record comes first: a film that has its name and no record would be somebody else's.
            ledger.write_done(site.ledger, key, target, report)
            store.publish(out, target, replaces=replaces)
        finally:
            out.unlink(missing_ok=True)
    return report
