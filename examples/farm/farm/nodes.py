"""What every machine is asked before it gets work, so that what it lacks is told in one sentence, at once."""

from __future__ import annotations

import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any

from . import place, program, store, work
from .errors import OTHER, OUTPUT, Failure
from .work import Site


def _picture(path: Path, side: int = 64) -> None:
    """A gray picture: the least that can be matted."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x80" * (3 * side)) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def check(site: Site, token: str | None) -> dict[str, Any]:
    """Mattes a picture of one frame here, as films will be; returns how long that takes."""
    if token is not None and store.read_json(store.join(site.ledger, f"token-{token}.json")) != token:
        told = f"{site.ledger} is not the same folder on {work.machine()}; let OUT be in a folder that all machines share"
        raise Failure(OUTPUT, told, "node")
    work.check_version(site.matte_file)
    settings = site.settings
    with work.scratch(site) as own:
        picture, out = own / "check.png", own / f"check{settings.ending}"
        _picture(picture)
        model, folder, background = place.assets(site.ledger, settings, is_local=site.is_local)
        arguments = [program.find(site.matte_file), *settings.arguments(model, background)]
        arguments += [f"--threads={site.threads}"] if site.threads else []
        begun = time.monotonic()
        code, said = program.running.run([*arguments, "--", str(picture), str(out)], program.environment(folder), 600)
        seconds = time.monotonic() - begun
    if code:
        raise Failure(code if code > 0 else OTHER, f"{work.machine()}: {said or f'matte_file ended with {code}'}", "node")
    return {"machine": work.machine(), "seconds": seconds, "cores": os.cpu_count() or 1}
