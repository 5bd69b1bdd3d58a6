"""Where films, parts and results lie: a folder that all workers share, or anything fsspec opens.

Nothing has its name before it is complete: in a folder a file is written under another name and renamed, and an object
store shows an object only when all of it was sent.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import posixpath
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from .errors import INPUT, MODEL, OUTPUT, USAGE, Failure

T = TypeVar("T")
# What a file system says that has no links, or not from there to here.
_NO_LINK = (errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.ENOSYS)
# Stores that show an object only when it is complete.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci"}


def is_url(place: str) -> bool:
    """Whether a place is told by an address, and not by a path."""
    return "://" in place


def local_path(place: str) -> Path | None:
    """The path of a place in a folder."""
    if not is_url(place):
        return Path(place)
    parts = urlsplit(place)
    return Path(unquote(parts.path, errors="surrogateescape")) if parts.scheme == "file" else None


def join(place: str, *names: str) -> str:
    """A place below another one."""
    return posixpath.join(place, *names) if is_url(place) else os.path.join(place, *names)


def parent(place: str) -> str:
    """The place above another one."""
    if is_url(place):
        return place.rpartition("/")[0]
    return os.path.dirname(place) or "."


def name(place: str) -> str:
    """The last part of a place."""
    return place.rstrip("/").rpartition("/")[2] if is_url(place) else os.path.basename(place.rstrip(os.sep))


def stem(place: str) -> str:
    """The name without its ending, which `{}` stands for."""
    return os.path.splitext(name(place))[0]


def _filesystem(place: str) -> tuple[Any, str]:
    import fsspec

    try:
        # Others write there as well.
        found: tuple[Any, str] = fsspec.core.url_to_fs(place, use_listings_cache=False)
        return found
    except TypeError:  # it has no such option
        found = fsspec.core.url_to_fs(place)
        return found
    except ValueError as error:
        raise Failure(USAGE, f"{place} cannot be opened ({_reason(error)}); name a folder or an address that fsspec knows") from error
    except ImportError as error:
        raise Failure(MODEL, f"{place} cannot be opened ({_reason(error)}); install what fsspec needs for it on every machine") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _writing(place: str, action: Callable[[], T]) -> T:
    """Does something that writes, and tells what may be done where it fails."""
    try:
        return action()
    except Failure:
        raise
    except Exception as error:  # fsspec's file systems raise whatever their libraries do
        what = "check permissions and free space, or choose another place"
        raise Failure(OUTPUT, f"{place} could not be written ({_reason(error)}); {what}", "write") from error


def identity(place: str) -> dict[str, Any]:
    """What tells one state of a file from another without reading it.

    A failure is the film's own.
    """
    path = local_path(place)
    try:
        if path is not None:
            found = path.stat()
            if path.is_dir():
                raise Failure(INPUT, f"{place} is a folder; name the films in it")
            if not path.is_file():
                raise Failure(INPUT, f"{place} is no regular file; name a film")
            return {"size": found.st_size, "changed": found.st_mtime_ns, "file": found.st_ino}
        filesystem, inner = _filesystem(place)
        found = filesystem.info(inner)
    except Failure:
        raise
    except Exception as error:
        raise Failure(INPUT, f"{place} could not be read ({_reason(error)}); check the path and its permissions") from error
    if found.get("type") == "directory":
        raise Failure(INPUT, f"{place} is a folder; name the films in it")
    changed = found.get("ETag") or found.get("LastModified") or found.get("mtime") or found.get("created")
    return {"size": found["size"], "changed": str(changed)}


def exists(place: str) -> bool:
    """Whether there is something at a place."""
    path = local_path(place)
    if path is not None:
        return os.path.lexists(path)
    filesystem, inner = _filesystem(place)
    return bool(_writing(place, lambda: filesystem.exists(inner)))


def size(place: str) -> int | None:
    """The bytes at a place, if there is something."""
    path = local_path(place)
    if path is not None:
        return path.stat().st_size if path.is_file() else None
    filesystem, inner = _filesystem(place)
    try:
        return int(filesystem.info(inner)["size"])
    except FileNotFoundError:
        return None


def open_read(place: str) -> Any:
    """A file to read and to seek in."""
    path = local_path(place)
    if path is not None:
        return path.open("rb")
    filesystem, inner = _filesystem(place)
    return filesystem.open(inner, "rb", block_size=4 << 20)


def read_json(place: str) -> Any | None:
    """What a small file says, or nothing where there is none, or none that can be read."""
    try:
        with open_read(place) as file:
            return json.loads(file.read())
    except (FileNotFoundError, ValueError):
        return None


def write_json(place: str, value: Any) -> None:
    """Writes a small file in one step."""
    data = _as_json(value)
    path = local_path(place)

    def write() -> None:
        if path is None:
            filesystem, inner = _filesystem(place)
            _publish_remote(filesystem, inner, lambda name: filesystem.pipe_file(name, data))
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _publish_local(path, lambda temporary: _fill(temporary, data))

    _writing(place, write)


def create_json(place: str, value: Any) -> bool:
    """Writes a small file in one step where there is none; tells whether it did. Of several runs one does."""
    data = _as_json(value)
    path = local_path(place)

    def create() -> bool:
        if path is None:
            return _create_remote(*_filesystem(place), data)
        path.parent.mkdir(parents=True, exist_ok=True)
        return _create_local(path, data)

    return _writing(place, create)


def _as_json(value: Any) -> bytes:
    # Bytes of a name that are no UTF-8 are surrogates here, and as such are escaped in JSON.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")


def _fill(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _create_local(path: Path, data: bytes) -> bool:
    temporary = _temporary(path)
    try:
        _fill(temporary, data)
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return _claim(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _claim(file: Path, path: Path) -> bool:
    """Gives a file a name that nothing has, where there are no links: an empty file keeps the name for a moment."""
    try:
        path.open("xb").close()
    except FileExistsError:
        return False
    file.replace(path)
    return True


def _create_remote(filesystem: Any, inner: str, data: bytes) -> bool:
    if not _is_object_store(filesystem):
        if filesystem.exists(inner):
            return False
        _publish_remote(filesystem, inner, lambda name: filesystem.pipe_file(name, data))
        return True
    try:
        filesystem.pipe_file(inner, data, mode="create")
    except Exception:
        # Stores name the reason differently.
        if filesystem.exists(inner):
            return False
        raise
    return True


def _publish_local(path: Path, fill: Callable[[Path], object]) -> None:
    """Fills a file under another name, and gives it its own in one step."""
    temporary = _temporary(path)
    try:
        fill(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")


def _is_object_store(filesystem: Any) -> bool:
    protocols = filesystem.protocol if isinstance(filesystem.protocol, tuple | list) else (filesystem.protocol,)
    return bool(_OBJECT_STORES.intersection(protocols))


def _publish_remote(filesystem: Any, inner: str, send: Callable[[str], object]) -> None:
    if _is_object_store(filesystem):
        send(inner)
        return
    filesystem.makedirs(inner.rpartition("/")[0], exist_ok=True)
    temporary = f"{inner}.{uuid.uuid4().hex}.part"
    try:
        send(temporary)
        filesystem.mv(temporary, inner)
    except BaseException:
        if filesystem.exists(temporary):
            filesystem.rm_file(temporary)
        raise


def publish(file: Path, place: str, *, replaces: bool) -> None:
    """Gives a complete file its place, which it leaves for it; in a folder that is on the same disk in one step."""
    path = local_path(place)

    def give() -> None:
        if path is None:
            filesystem, inner = _filesystem(place)
            if not replaces and filesystem.exists(inner):
                raise _there(place)
            _publish_remote(filesystem, inner, lambda name: filesystem.put_file(str(file), name))
            file.unlink()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as written:
            os.fsync(written.fileno())
        if replaces:
            _move(file, path)
            return
        try:
            # Unlike a rename, a link does not replace what has come there meanwhile.
            os.link(file, path)
            file.unlink()
        except FileExistsError:
            raise _there(place) from None
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            if os.path.lexists(path):
                raise _there(place) from None
            _move(file, path)

    _writing(place, give)


def _there(place: str) -> Failure:
    return Failure(OUTPUT, f"{place} is already there; replace it with --force, or choose another name")


def _move(file: Path, path: Path) -> None:
    try:
        file.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _publish_local(path, lambda temporary: shutil.copyfile(file, temporary))
        file.unlink()


def put(file: str, place: str) -> None:
    """Puts a copy of a file at a place, in one step."""
    path = local_path(place)

    def give() -> None:
        if path is None:
            filesystem, inner = _filesystem(place)
            _publish_remote(filesystem, inner, lambda name: filesystem.put_file(file, name))
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _publish_local(path, lambda temporary: shutil.copyfile(file, temporary))

    _writing(place, give)


def fetch(place: str, file: Path) -> None:
    """Brings a file to this machine."""
    path = local_path(place)
    if path is not None:
        shutil.copyfile(path, file)
        return
    filesystem, inner = _filesystem(place)
    filesystem.get_file(inner, str(file))


def names(place: str) -> list[str]:
    """What lies directly below a place."""
    path = local_path(place)
    if path is not None:
        return sorted(os.listdir(path)) if path.is_dir() else []
    filesystem, inner = _filesystem(place)
    try:
        return sorted(name(found) for found in filesystem.ls(inner, detail=False))
    except FileNotFoundError:
        return []


def remove(place: str) -> None:
    """Removes a file, where there is one."""
    path = local_path(place)
    if path is not None:
        path.unlink(missing_ok=True)
        return
    filesystem, inner = _filesystem(place)
    try:
        filesystem.rm_file(inner)
    except FileNotFoundError:
        pass


def digest(place: str) -> str:
    """The SHA-256 of a file."""
    with open_read(place) as file:
        if local_path(place) is not None:
            return hashlib.file_digest(file, "sha256").hexdigest()
        found = hashlib.sha256()
        while block := file.read(4 << 20):
            found.update(block)
        return found.hexdigest()
