"""What a run leaves on disk, so that another one goes on from there.

Below `.matte_farm`, beside what is made, each film has a folder named after its content and the settings. In it lie its
plan, the parts that are done, each with a note, and at the end the record of the result. A part counts with its note,
which is written after it; neither has its name before it is complete. So there is nothing to repair: whoever is killed
when, what is there is done.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from . import VERSION, store
from .media import Film
from .plan import Range
from .settings import Settings

FOLDER = ".matte_farm"


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


def write_plan(root: str, key: str, film: Film, parts: list[Range]) -> None:
    ranges = [[part.first, part.end, part.piece] for part in parts]
    store.write_json(store.join(_folder(root, key), "plan.json"), {"frames": film.frames, "ranges": ranges})


def read_plan(root: str, key: str, film: Film) -> list[Range] | None:
    """The ranges that a film was cut into."""
    found = store.read_json(store.join(_folder(root, key), "plan.json"))
    if not isinstance(found, dict) or found.get("frames") != film.frames:
        return None
    return [Range(first, end, tuple(piece) if piece else None) for first, end, piece in found["ranges"]]


def write_done(root: str, key: str, target: str, report: dict[str, Any]) -> None:
    store.write_json(store.join(_folder(root, key), "done.json"), {"target": store.name(target), **report})


def read_done(root: str, key: str, target: str) -> dict[str, Any] | None:
    """The record of a result that is there, and is what it was."""
    found = store.read_json(store.join(_folder(root, key), "done.json"))
    if not isinstance(found, dict) or found.get("target") != store.name(target):
        return None
    if store.size(target) != found.get("bytes") or store.digest(target) != found.get("digest"):
        return None
    return found


def is_begun(root: str, key: str) -> bool:
    """Whether there is anything of a film."""
    return bool(store.names(_folder(root, key)))


def clear(root: str, key: str, *, keeps_record: bool = True) -> None:
    """Removes what a film leaves, but for the record of its result."""
    folder = _folder(root, key)
    # Notes first: a note without its part, and a part without its note, both count for nothing.
    found = sorted(store.names(folder), key=lambda name: not name.endswith(".json"))
    for name in found:
        if not keeps_record or name != "done.json":
            store.remove(store.join(folder, name))


def read_costs(root: str) -> dict[str, float]:
    """What was measured in earlier runs."""
    found = store.read_json(store.join(root, "costs.json"))
    return found if isinstance(found, dict) else {}


def write_costs(root: str, costs: dict[str, float]) -> None:
    store.write_json(store.join(root, "costs.json"), costs)
