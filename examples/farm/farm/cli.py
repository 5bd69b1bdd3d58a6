"""The command line."""

from __future__ import annotations

import argparse
import fcntl
import glob
import hashlib
import io
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import VERSION, ledger, nodes, place, report, settings, store
from .driver import Choices, Driver, Job
from .engine import Engine, Local, Need, Ray, cores
from .errors import INPUT, INTERRUPTED, OUTPUT, USAGE, Failure
from .plan import Costs
from .report import Bar, Row
from .work import Site

_CODES = """exit codes (of several failures, the first film's):
  0    done
  1    another failure than these
  2    the command line asks for what cannot be
  3    a film, or the background picture, cannot be read
  4    an output cannot be written: its disk is full, or it is there already
  5    the model, the device, matte_file or the cluster cannot be had
  130  interrupted; go on with --resume"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="matte_farm.py",
        description="Mattes a library of films with matte_file: on this machine, or over a Ray cluster.",
        epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("films", nargs="+", metavar="FILM", help="films: paths, or addresses that fsspec opens, which may hold *")
    add("out", metavar="OUT", help="a folder, or a name with {} for the film's; .mov, .mkv, .mp4 or .webm")
    add("--version", action="version", version=f"matte_farm {VERSION}")
    add("--address", metavar="ADDRESS", help="a Ray cluster: auto, HOST:PORT or ray://HOST:PORT; without it this machine works alone")
    add("--resume", action="store_true", help="go on from what an earlier run of the same films and settings left")
    add("--force", action="store_true", help="replace what is there, and start over")
    add("--workers", type=_positive, metavar="N", help="ranges at once on this machine (without --address)")
    add("--cpus", type=_positive, metavar="N", help="cores of a range, and threads of its inference (2, or what there is)")
    add("--gpus", type=float, metavar="SHARE", help="GPUs of a range; 1 where --device is one")
    add("--retries", type=_number, default=3, metavar="N", help="how often a range is tried again (3)")
    add("--range-frames", type=_positive, metavar="N", help="frames of a range; by default chosen by what ranges cost")
    add("--timeout", type=float, metavar="SECONDS", help="give a range up after this time, and try it again")
    add("--ending", choices=[ending[1:] for ending in settings.ENDINGS], help="what a folder is filled with (mov)")
    add("--part", type=_share, metavar="I/N", help="do only every N-th range, from the I-th, as of a batch system; the last one joins")
    add("--report", metavar="FILE", help="write the table as JSON")
    add("--matte-file", metavar="PATH", help="the program, if it is not on the PATH or in $MATTE_FILE")
    add("--scratch", metavar="FOLDER", help="where workers keep what is temporary (the system's)")
    settings.add_options(parser)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _share(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    found = int(number), int(of)
    if not 0 <= found[0] < found[1]:
        raise argparse.ArgumentTypeError("it is I/N, and I counts from 0 to N - 1")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Runs the farm; returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    # What a terminal cannot show of a name is escaped, as on the standard error.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(given)
    except Failure as failure:
        print(f"matte_farm: {failure.sentence}", file=sys.stderr)
        return failure.code
    except OSError as error:
        told = f"{error.filename or 'a file'} could not be used ({error.strerror or error}); check permissions and free space"
        print(f"matte_farm: {told}", file=sys.stderr)
        return OUTPUT
    except KeyboardInterrupt:
        print("matte_farm: interrupted; what is done is kept; go on with --resume", file=sys.stderr)
        return INTERRUPTED


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _run(given: argparse.Namespace) -> int:
    if given.resume and given.force:
        raise Failure(USAGE, "--resume goes on from what --force would replace; leave one of them out")
    if given.part is not None and given.force:
        raise Failure(USAGE, "--force would replace what other parts have done; remove the films first, or leave --part out")
    begun = time.monotonic()
    root, pattern = _target(given.out, given.ending)
    films = list(_films(given.films))
    jobs = _jobs(films, pattern)
    asked = settings.read(given, os.path.splitext(store.name(pattern))[1].lower())
    need = _need(given)
    site = Site(
        ledger=store.join(root, ledger.FOLDER), settings=asked, matte_file=given.matte_file,
        scratch=given.scratch and os.path.abspath(given.scratch), threads=int(need.cpus), timeout=given.timeout,
        is_local=given.address is None,
    )  # fmt: skip
    with _lock(site.ledger, given.part is not None):
        bar = Bar()
        engine: Engine | None = None
        try:
            engine = _engine(given, need)
            if not site.is_local or given.part is not None:
                place.offer(site.ledger, asked)
            start = _check_nodes(engine, site)
            choices = Choices(given.resume, given.force, given.retries, given.range_frames, given.part)
            driver = Driver(site, engine, need, choices, bar)
            costs = _costs(site, start)
            driver.plan(jobs, costs)
            driver.run()
            _keep_costs(site, driver)
        finally:
            bar.close()
            if engine is not None:
                engine.stop()
    seconds = time.monotonic() - begun
    rows = [job.row for job in jobs]
    print(report.table(rows, seconds))
    if given.report:
        report.write(given.report, rows, seconds)
    return next((row.code for row in rows if row.code), 0)


def _target(out: str, ending: str | None) -> tuple[str, str]:
    """The folder of everything, and the pattern of names."""
    out = out if store.is_url(out) else os.path.abspath(out) + ("/" if out.endswith("/") else "")
    path = store.local_path(out)
    suffix = "" if out.endswith("/") else os.path.splitext(store.name(out).replace("{}", "film"))[1].lower()
    if suffix in settings.ENDINGS:
        # Beside names with {} in them lies the folder that they all are in.
        return store.parent(out.split("{}")[0] + "x") if "{}" in out else store.parent(out), out
    if suffix and not (path is not None and path.is_dir()):
        raise Failure(USAGE, f"{out} says nothing of how to write it; let it end in {', '.join(settings.ENDINGS)}, or in / for a folder")
    if "{}" in out:
        return store.parent(out.split("{}")[0] + "x"), store.join(out.rstrip("/"), f"{{}}.{ending or 'mov'}")
    return out.rstrip("/"), store.join(out.rstrip("/"), f"{{}}.{ending or 'mov'}")


def _films(given: list[str]) -> Iterator[str]:
    for film in given:
        if not store.is_url(film):
            # Where no shell has done it: in a manifest, or between quotes.
            found = sorted(glob.glob(film)) if "*" in film and not os.path.lexists(film) else []
            yield from map(os.path.abspath, found or [film])
        elif "*" in film:
            yield from _matching(film)
        else:
            yield film


def _matching(film: str) -> list[str]:
    import fsspec

    try:
        filesystem, inner = fsspec.core.url_to_fs(film)
        found = sorted(filesystem.unstrip_protocol(name) for name in filesystem.glob(inner))
    except Exception as error:
        raise Failure(INPUT, f"{film} could not be listed ({' '.join(str(error).split())}); check the address and its permissions") from error
    if not found:
        raise Failure(INPUT, f"{film} matches no film; check the address")
    return found


def _jobs(films: list[str], pattern: str) -> list[Job]:
    jobs: list[Job] = []
    targets: dict[str, str] = {}
    for film in films:
        target = pattern.replace("{}", store.stem(film))
        if target in targets:
            how = "give OUT the name {} or a folder" if "{}" not in pattern else "rename one of the films"
            raise Failure(USAGE, f"{film} and {targets[target]} would both be written to {target}; {how}")
        targets[target] = film
        jobs.append(Job(film, target, Row(film, target)))
    for film in films:
        if film in targets:
            raise Failure(USAGE, f"{film} would be overwritten by what is made of {targets[film]}; choose another OUT")
    return jobs


def _need(given: argparse.Namespace) -> Need:
    gpus = given.gpus
    if gpus is None:
        gpus = 1.0 if given.device in settings.GPUS else 0.0
    cpus = given.cpus or min(2, cores())
    return Need(cpus, gpus)


def _engine(given: argparse.Namespace, need: Need) -> Engine:
    if given.address is not None:
        if given.workers:
            raise Failure(USAGE, "--workers has no effect with --address, where the cluster's size counts; leave one of them out")
        return Ray(given.address, need)
    workers = given.workers or (1 if need.gpus else max(1, cores() // int(need.cpus)))
    return Local(workers)


def _check_nodes(engine: Engine, site: Site) -> float:
    """Asks every machine; returns how long one starts."""
    token = None
    if not site.is_local:
        token = uuid.uuid4().hex
        store.write_json(store.join(site.ledger, f"token-{token}.json"), token)
    try:
        told = engine.check(nodes.check, site, token)
    finally:
        if token is not None:
            store.remove(store.join(site.ledger, f"token-{token}.json"))
    failures = [answer["failure"] for answer in told if answer["failure"] is not None]
    if failures:
        others = f" ({len(failures)} of {len(told)} machines cannot work)" if len(told) > 1 else ""
        raise Failure(failures[0].code, failures[0].sentence + others)
    return max(float(answer["value"]["seconds"]) for answer in told)


def _cost_key(site: Site) -> str:
    made = json.dumps([site.settings.key(), site.threads], sort_keys=True)
    return hashlib.sha256(made.encode()).hexdigest()[:16]


def _costs(site: Site, start: float) -> Costs:
    found: Any = ledger.read_costs(site.ledger).get(_cost_key(site))
    return Costs(start=start, frame=found[0], megapixel=found[1]) if found else Costs(start=start)


def _keep_costs(site: Site, driver: Driver) -> None:
    costs = driver.measured()
    if costs is not None:
        known: dict[str, Any] = ledger.read_costs(site.ledger)
        known[_cost_key(site)] = [costs.frame, costs.megapixel]
        ledger.write_costs(site.ledger, known)


@contextmanager
def _lock(root: str, shares: bool) -> Iterator[None]:
    """One run at a time in a folder; those that share the work are meant to be several."""
    path = store.local_path(root)
    if path is None:
        yield
        return
    path.mkdir(parents=True, exist_ok=True)
    with (path / "lock").open("w") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shares else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(OUTPUT, f"another matte_farm is working in {path.parent}; wait for it to end") from None
        yield
