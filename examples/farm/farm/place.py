"""Files that every worker needs, networks and background pictures: brought to each machine once.

They lie among the farm's files under their content's name. A machine that needs one copies it into its cache, which
one process does while the others wait.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

from . import store
from .settings import Asset, Settings


def _assets_of(settings: Settings) -> list[Asset]:
    return [asset for asset in (settings.model, settings.background) if asset is not None]


def _folder(asset: Asset) -> str:
    """The name of a folder with an asset and all that lies beside it: another one where any of these is another."""
    return hashlib.sha256(asset.digest.encode()).hexdigest()[:32]


def _place(root: str, asset: Asset, file: str) -> str:
    return store.join(root, "assets", _folder(asset), os.path.basename(file))


def offer(root: str, settings: Settings) -> None:
    """Puts what a run needs among the farm's files, where it is not yet."""
    for asset in _assets_of(settings):
        for file in (asset.path, *asset.beside):
            place = _place(root, asset, file)
            if store.size(place) != os.path.getsize(file):
                store.put(file, place)


def cache() -> Path:
    """Where a machine keeps them."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "davidmatte/farm"


def assets(root: str, settings: Settings, *, is_local: bool) -> tuple[str | None, str | None, str | None]:
    """What to say of the network, the folder it is in where it has a name, and the background picture; as they lie here."""
    model = folder = background = None
    if settings.model is not None:
        path = settings.model.path if is_local else _here(root, settings.model)
        if settings.model.by_name:
            folder = os.path.dirname(path)
        else:
            model = path
    if settings.background is not None:
        background = settings.background.path if is_local else _here(root, settings.background)
    return model, folder, background


def _here(root: str, asset: Asset) -> str:
    folder = cache() / _folder(asset)
    found = folder / os.path.basename(asset.path)
    if found.exists():
        return str(found)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # What lies beside a network comes first: a network that is there has all it needs.
        for file in (*asset.beside, asset.path):
            path = folder / os.path.basename(file)
            if path.exists():
                continue
            temporary = folder / f".{path.name}.part"
            store.fetch(_place(root, asset, file), temporary)
            if file == asset.path and store.digest(str(temporary)) != asset.digest.partition("-")[0]:
                temporary.unlink()
                raise OSError(5, "it is not what was placed there", str(path))
            temporary.replace(path)
    return str(found)
