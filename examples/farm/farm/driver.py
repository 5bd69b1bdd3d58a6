"""The order of things: which task goes when, and what is done about those that fail.

| what fails | what is done |
|---|---|
| a worker, or matte_file by a signal or with 1 | that range again, up to `--retries` times |
| a disk, or the model or device on one machine (4, 5) | the same: another machine may have it |
| the film or a setting (2, 3) | the film fails, and no other |
| the film's content is another one | the film fails; the next run plans it anew |
| a range that comes out short | the film is matted as a whole |
| a part that was damaged on disk | that range again |
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from . import ledger, plan, store, work
from .engine import Engine, Need
from .errors import INPUT, OTHER, OUTPUT, Failure
from .media import Film
from .plan import Costs, Range
from .report import Bar, Row
from .work import Site


@dataclass
class Job:
    """A film and what is to be made of it."""

    place: str
    target: str
    row: Row
    film: Film | None = None
    key: str = ""
    parts: list[Range] = field(default_factory=list)
    # Parts that this run has to make, and those that it knows to be there.
    waiting: set[Range] = field(default_factory=set)
    notes: dict[Range, dict[str, Any]] = field(default_factory=dict)
    attempts: Counter[Range | None] = field(default_factory=Counter)
    # Whether all that there is of it is this run's.
    is_new: bool = False
    is_over: bool = False

    @property
    def is_whole(self) -> bool:
        return len(self.parts) == 1


@dataclass(frozen=True)
class Choices:
    """How a run deals with what is there, and with what fails."""

    resumes: bool = False
    replaces: bool = False
    retries: int = 3
    length: int | None = None
    # This run's number, and of how many that share the ranges.
    share: tuple[int, int] | None = None


class Driver:
    """One run."""

    def __init__(self, site: Site, engine: Engine, need: Need, choices: Choices, bar: Bar) -> None:
        self.site, self.engine, self.need, self.choices, self.bar = site, engine, need, choices, bar
        self._queue: list[tuple[tuple[int, float], int, Job, Range | None]] = []
        self._number = itertools.count()
        self._running: dict[object, tuple[Job, Range | None]] = {}
        self._measured: list[tuple[float, float]] = []
        self.costs = Costs()

    # -- Planning ------------------------------------------------------------------------------------------------

    def plan(self, jobs: list[Job], costs: Costs) -> None:
        """Looks at all films, and cuts them into ranges."""
        self.costs = costs
        self._probe(jobs)
        known = [job for job in jobs if job.film is not None and not job.is_over]
        for job in known:
            self._key(job)
        todo = [job for job in known if not job.is_over]
        seconds = sum(job.film.frames * costs.of_frame(job.film) for job in todo if job.film)
        for job in todo:
            self._guarded(job, lambda job=job: self._cut(job, seconds))
        todo = [job for job in todo if not job.is_over]
        total = sum(job.film.frames for job in todo if job.film)
        kept = sum(note["frames"] for job in todo for note in job.notes.values())
        self.bar.begin(total, kept)
        for job in todo:
            self._begin(job)

    def _probe(self, jobs: list[Job]) -> None:
        light = Need(1 if self.need.cpus else 0)
        waiting = [job for job in jobs if not job.is_over]
        asked: dict[object, Job] = {}
        while waiting or asked:
            while waiting and len(asked) < self.engine.at_hand:
                job = waiting.pop(0)
                try:
                    job.film = self._known(job)
                except Failure as failure:
                    self._fail(job, failure)
                    continue
                if job.film is None:
                    asked[self.engine.submit(light, work.probe, self.site, job.place)] = job
            for task, told in self.engine.finished(0.5) if asked else ():
                job, problem = asked.pop(task), told["failure"]
                if problem is None:
                    job.film = Film.from_json(told["value"])
                    if self.choices.share is not None:
                        store.write_json(self._probe_place(job), told["value"])
                elif problem.kind == "lost" and job.attempts[None] < self.choices.retries:
                    job.attempts[None] += 1
                    waiting.append(job)
                else:
                    self._fail(job, problem)

    def _known(self, job: Job) -> Film | None:
        """What another of the runs that share the work has found out of the film in this very state."""
        if self.choices.share is None:
            return None
        found = store.read_json(self._probe_place(job))
        return Film.from_json(found) if found and found["identity"] == store.identity(job.place) else None

    def _probe_place(self, job: Job) -> str:
        # Names of files are bytes, which need not be UTF-8.
        name = hashlib.sha256(job.place.encode(errors="surrogateescape")).hexdigest()[:32]
        return store.join(self.site.ledger, "probes", f"{name}.json")

    def _key(self, job: Job) -> None:
        """Finds out what there is of a film already."""
        assert job.film is not None
        job.key = ledger.film_key(job.film.digest, self.site.settings, job.target)
        self._guarded(job, lambda: self._earlier(job))

    def _earlier(self, job: Job) -> None:
        choices, root = self.choices, self.site.ledger
        goes_on = choices.resumes or choices.share is not None
        if choices.replaces:
            ledger.clear(root, job.key, keeps_record=False)
            return
        # Before its record is read, which is there before the film is: another run may be joining it.
        is_there = store.exists(job.target)
        if goes_on and (done := self._made(job)) is not None:
            job.row.kept = done["parts"]
            return
        if is_there:
            what = "made of another film or with other settings" if goes_on else "already there"
            how = "replace it with --force" if goes_on else "go on with --resume, replace it with --force"
            raise Failure(OUTPUT, f"{job.target} is {what}; {how}, or choose another name", "there")
        if not goes_on and ledger.is_begun(root, job.key):
            raise Failure(OUTPUT, f"{job.target} is unfinished; go on with --resume, or start over with --force", "there")

    def _cut(self, job: Job, seconds: float) -> None:
        film, root = job.film, self.site.ledger
        assert film is not None
        found = ledger.read_plan(root, job.key, film)
        if found is None:
            workers = self.engine.slots * (self.choices.share[1] if self.choices.share else 1)
            found = plan.ranges(
                film, self.costs, workers=workers, all_seconds=seconds, preroll=self.site.settings.preroll,
                is_intra=self.site.settings.ending in (".mov", ".mkv"), length=self.choices.length,
            )  # fmt: skip
            if self.choices.share is None:
                ledger.write_plan(root, job.key, film, found)
            else:
                found = ledger.agree_on_plan(root, job.key, film, found)
                # There may be no plan because another run has just made the film.
                if self._is_made_meanwhile(job):
                    return
        self._take(job, found)
        job.row.kept = len(job.notes)
        job.is_new = not job.notes and self.choices.share is None

    def _take(self, job: Job, parts: list[Range]) -> None:
        """Takes over a plan, and what is there of it."""
        ending, root = self.site.settings.ending, self.site.ledger
        job.parts = parts
        notes = {part: ledger.read_note(root, job.key, part, ending) for part in parts}
        job.notes = {part: note for part, note in notes.items() if note is not None}
        job.waiting = {part for part in parts if part not in job.notes and self._is_ours(job, part)}
        job.row.ranges = len(parts)

    def _begin(self, job: Job) -> None:
        """Does what there is to do of a plan that was taken over."""
        for part in job.waiting:
            self._enqueue(job, part)
        self._advance(job)

    def _is_ours(self, job: Job, part: Range) -> bool:
        if self.choices.share is None:
            return True
        number, of = self.choices.share
        if part.by is not None:
            return part.by % of == number
        return int(hashlib.sha256(f"{job.key}{part.name}".encode()).hexdigest(), 16) % of == number

    # -- Running -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Does all there is to do."""
        while self._queue or self._running:
            while self._queue and len(self._running) < self.engine.at_hand:
                *_, job, part = heapq.heappop(self._queue)
                if not job.is_over and (part is None or part in job.waiting):
                    self._running[self._submit(job, part)] = (job, part)
            for task, told in self.engine.finished(0.5):
                job, part = self._running.pop(task)
                # What belongs to a plan that was given up counts no more.
                if not job.is_over and (part is None or part in job.parts):
                    self._guarded(job, lambda job=job, part=part, told=told: self._take_in(job, part, told))
            self.bar.tick()

    def _enqueue(self, job: Job, part: Range | None) -> None:
        # What completes a film goes first, then what takes longest: the last ones to end are short.
        frames = part.frames if part else 0
        heapq.heappush(self._queue, ((0 if part is None else 1, -frames), next(self._number), job, part))

    def _submit(self, job: Job, part: Range | None) -> object:
        if part is None:
            light = Need(1 if self.need.cpus else 0)
            what = (job.film, job.key, job.parts, job.target, self.choices.replaces)
            return self.engine.submit(light, work.join_parts, self.site, *what)
        return self.engine.submit(self.need, work.matte, self.site, job.film, job.key, part, job.is_whole, job.target)

    def _take_in(self, job: Job, part: Range | None, told: dict[str, Any]) -> None:
        row, failure = job.row, told["failure"]
        row.seconds += told["seconds"]
        row.machines.add(told["machine"])
        if failure is not None:
            self._failed(job, part, failure)
        elif part is None:
            row.result, row.code, row.frames, job.is_over = "done", 0, told["value"]["frames"], True
            self.bar.say(f"{job.target}: {row.frames} frames in {row.ranges} ranges")
        else:
            note = told["value"]
            job.notes[part] = note
            job.waiting.discard(part)
            row.cut += note["cut"]
            if job.film is not None and job.film.frames:
                self._measured.append((note["seconds"] - self.costs.start, note["frames"] * self.costs.of_frame(job.film)))
            self.bar.add(note["frames"])
            self._advance(job)

    def _advance(self, job: Job) -> None:
        """Joins a film whose parts are all there."""
        if job.is_over or job.waiting:
            return
        if self.choices.share is not None:
            self._guarded(job, lambda: self._look_again(job))
        elif len(job.notes) == len(job.parts):
            self._enqueue(job, None)

    def _look_again(self, job: Job) -> None:
        """Joins a film where other runs have done the rest. Whoever ends last finds all of it."""
        parts = self._agreed(job)
        if self._is_made_meanwhile(job):
            return
        if parts is None:
            raise Failure(OTHER, f"the plan of {job.place} is gone from {self.site.ledger}; run again")
        is_another = parts != job.parts
        self._take(job, parts)
        if job.waiting and is_another:
            self._begin(job)
        elif job.waiting:
            self._again(job)
        elif len(job.notes) == len(parts):
            self._enqueue(job, None)
        else:
            job.row.result, job.row.code, job.is_over = "left to others", 0, True

    def _agreed(self, job: Job) -> list[Range] | None:
        """The plan as it is now: of the runs that share the work another may have changed it, or made the film."""
        assert job.film is not None
        return ledger.read_plan(self.site.ledger, job.key, job.film)

    def _made(self, job: Job) -> dict[str, Any] | None:
        """The record of a film that is there, with which the film is over."""
        done = ledger.read_done(self.site.ledger, job.key, job.target)
        if done is not None:
            job.row.result, job.row.code, job.is_over = "done", 0, True
            job.row.frames, job.row.ranges = done["frames"], done["parts"]
        return done

    def _is_made_meanwhile(self, job: Job) -> bool:
        """Whether another run has made the film; what this one has done besides is removed then."""
        is_made = self._made(job) is not None
        if is_made:
            ledger.clear(self.site.ledger, job.key)
        return is_made

    def _failed(self, job: Job, part: Range | None, failure: Failure) -> None:
        if failure.kind == "short" and not job.is_whole:
            self.bar.say(f"matte_farm: {failure.sentence}")
            self._whole(job)
            return
        if failure.kind == "part":
            self._again(job)
            return
        is_the_films = failure.code in (2, INPUT) or failure.kind == "changed"
        if is_the_films or job.attempts[part] >= self.choices.retries:
            tries = job.attempts[part] + 1
            told = failure.sentence if tries == 1 else f"{failure.sentence} (after {tries} tries)"
            self._fail(job, Failure(failure.code, told))
            return
        job.attempts[part] += 1
        job.row.retries += 1
        self._enqueue(job, part)

    def _whole(self, job: Job) -> None:
        """Mattes a film at once, whose ranges do not make it up."""
        assert job.film is not None
        self.bar.add(-sum(note["frames"] for note in job.notes.values()))
        job.row.kept = 0
        job.row.retries += 1
        if self._follows(job):
            return
        parts, former = plan.whole(job.film, self._number_of_run), job.parts
        # The plan comes first: what is left of the former one counts for nothing, and goes with the film's folder.
        ledger.write_plan(self.site.ledger, job.key, job.film, parts)
        for part in former:
            ledger.drop_part(self.site.ledger, job.key, part, self.site.settings.ending)
        self._take(job, parts)
        self._begin(job)

    def _again(self, job: Job) -> None:
        """Does the parts again that are not there any more."""
        assert job.film is not None
        job.attempts[None] += 1
        if job.attempts[None] > self.choices.retries:
            raise Failure(OTHER, f"parts of {job.place} are damaged again and again; check the disk that OUT is on")
        if self._follows(job):
            return
        self._take(job, job.parts)
        if self.choices.share is not None:
            # Whoever did them may have ended, so they are this run's from now on.
            parts = [part if part in job.notes else replace(part, by=self._number_of_run) for part in job.parts]
            ledger.write_plan(self.site.ledger, job.key, job.film, parts)
            self._take(job, parts)
        job.row.retries += len(job.waiting)
        self._begin(job)

    def _follows(self, job: Job) -> bool:
        """Goes on with another plan, where another of the runs that share the work has made one."""
        parts = self._agreed(job) if self.choices.share is not None else None
        if parts is None or parts == job.parts:
            return False
        self._take(job, parts)
        self._begin(job)
        return True

    @property
    def _number_of_run(self) -> int | None:
        return self.choices.share[0] if self.choices.share else None

    def _guarded(self, job: Job, action: Any) -> None:
        """A film's failure is its own."""
        try:
            action()
        except Failure as failure:
            self._fail(job, failure)
        except OSError as error:
            told = f"{error.filename or self.site.ledger} could not be used ({error.strerror or error}); check permissions and free space"
            self._fail(job, Failure(OUTPUT, told))

    def _fail(self, job: Job, failure: Failure) -> None:
        job.is_over = True
        if job.is_new and not job.notes:
            ledger.clear(self.site.ledger, job.key)
        job.row.result, job.row.code, job.row.reason = "failed", failure.code, failure.sentence
        self.bar.say(f"matte_farm: {failure.sentence}")

    def measured(self) -> Costs | None:
        """Costs as they turned out, where enough was done to tell."""
        seconds = sum(seconds for seconds, _ in self._measured)
        expected = sum(expected for _, expected in self._measured)
        if expected <= 0 or seconds < 10:
            return None
        factor = seconds / expected
        costs = self.costs
        return Costs(costs.start, costs.frame * factor, costs.megapixel * factor, costs.decode)
