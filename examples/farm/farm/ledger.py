"""What a run leaves on disk, so that another one goes on from there.

Below `.matte_farm`, beside what is made, each film has a folder named after its content and the settings. In it lie its
plan, the parts that are done, each with a note, and at the end the record of the result. A part counts with its note,
which is written after it; neither has its name before it is complete. So there is nothing to repair: whoever is killed
when, what is there is done.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from . import VERSION, store
from .errors import OUTPUT, Failure
from .media import Film
from .plan import Range
from .settings import Settings

FOLDER = ".matte_farm"
# How names of records end.
_DONE = "done.json"
# Seconds in which a plan that another run has begun to write is there.
_A_MOMENT = 10.0


def film_key(digest: str, settings: Settings, target: str) -> str:
    """What tells a film and what is made of it from all others.

    The result's name alone tells nothing, but libraries hold the same film under several names.
    """
    made = json.dumps([VERSION, digest, settings.key(), store.name(target)], sort_keys=True)
    return hashlib.sha256(made.encode()).hexdigest()[:32]


def _folder(root: str, key: str) -> str:
    return store.join(root, "films", key)


def part_place(root: str, key: str, part: Range, ending: str) -> str:
    return store.join(_folder(root, key), f"{part.name}{ending}")


def note_place(part: str) -> str:
    return f"{part}.json"


def read_note(root: str, key: str, part: Range, ending: str) -> dict[str, Any] | None:
    """What is told of a part that is done."""
    place = part_place(root, key, part, ending)
    note = store.read_json(note_place(place))
    if not isinstance(note, dict) or store.size(place) != note.get("bytes"):
        return None
    return note


def drop_part(root: str, key: str, part: Range, ending: str) -> None:
    """Forgets a part. Its note goes first."""
    place = part_place(root, key, part, ending)
    store.remove(note_place(place))
    store.remove(place)


def _plan_place(root: str, key: str) -> str:
    return store.join(_folder(root, key), "plan.json")


def _plan_as_json(film: Film, parts: list[Range]) -> dict[str, Any]:
    return {"frames": film.frames, "ranges": [[part.first, part.end, part.piece, part.by] for part in parts]}


def write_plan(root: str, key: str, film: Film, parts: list[Range]) -> None:
    """Writes a plan in the place of whatever is there."""
    store.write_json(_plan_place(root, key), _plan_as_json(film, parts))


def agree_on_plan(root: str, key: str, film: Film, parts: list[Range]) -> list[Range]:
    """Writes a plan where there is none, and returns the one that counts: of several runs the first one's."""
    place = _plan_place(root, key)
    if store.create_json(place, _plan_as_json(film, parts)):
        return parts
    end = time.monotonic() + _A_MOMENT
    while (found := read_plan(root, key, film)) is None:
        if time.monotonic() > end:
            raise Failure(OUTPUT, f"{place} is no plan of {film.place}; remove it, and run again")
        time.sleep(0.1)
    return found


def read_plan(root: str, key: str, film: Film) -> list[Range] | None:
    """The ranges that a film was cut into."""
    found = store.read_json(_plan_place(root, key))
    if not isinstance(found, dict) or found.get("frames") != film.frames:
        return None
    return [Range(first, end, tuple(piece) if piece else None, *by) for first, end, piece, *by in found["ranges"]]


def write_done(root: str, key: str, target: str, report: dict[str, Any]) -> None:
    """Writes the record of a result. Of two runs that join the same film, one's result stays: each has its own record."""
    place = store.join(_folder(root, key), f"{report['digest'][:32]}.{_DONE}")
    store.write_json(place, {"target": store.name(target), **report})


def read_done(root: str, key: str, target: str) -> dict[str, Any] | None:
    """The record of a result that is there, and is what it was."""
    folder = _folder(root, key)
    told = [store.read_json(store.join(folder, name)) for name in store.names(folder) if name.endswith(_DONE)]
    told = [each for each in told if isinstance(each, dict) and each.get("target") == store.name(target)]
    size = store.size(target) if told else None
    told = [each for each in told if each.get("bytes") == size]
    digest = store.digest(target) if told else None
    return next((each for each in told if each.get("digest") == digest), None)


def is_begun(root: str, key: str) -> bool:
    """Whether there is anything of a film that is not done."""
    return any(not name.endswith(_DONE) for name in store.names(_folder(root, key)))


def clear(root: str, key: str, *, keeps_record: bool = True) -> None:
    """Removes what a film leaves, but for the records of its result."""
    folder = _folder(root, key)
    # Notes first: a note without its part, and a part without its note, both count for nothing.
    found = sorted(store.names(folder), key=lambda name: not name.endswith(".json"))
    for name in found:
        if not keeps_record or not name.endswith(_DONE):
            store.remove(store.join(folder, name))


def read_costs(root: str) -> dict[str, float]:
    """What was measured in earlier runs."""
    found = store.read_json(store.join(root, "costs.json"))
    return found if isinstance(found, dict) else {}


def write_costs(root: str, costs: dict[str, float]) -> None:
    store.write_json(store.join(root, "costs.json"), costs)
