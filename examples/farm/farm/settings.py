"""What is asked of matte_file: its options that are passed on, and what they say of a result."""

from __future__ import annotations

import argparse
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from . import store
from .errors import INPUT, MODEL, USAGE, Failure

ENDINGS = (".mov", ".mkv", ".mp4", ".webm")
INTRA = (".mov", ".mkv")
# Options with a value that matte_file checks itself.
_VALUES = (
    "--output", "--background", "--background-color", "--background-image", "--blur-radius", "--threshold",
    "--edge-shift", "--feather", "--temporal", "--decontaminate", "--model", "--device", "--device-id", "--region",
    "--refine", "--inference-interval",
)  # fmt: skip
# Devices of which a worker needs one to itself. `auto` may find one, and a cluster is told of it by --gpus.
GPUS = ("cuda", "tensorrt", "migraphx", "directml", "webgpu")
# Where the element looks for networks, after $DAVIDMATTE_MODEL_PATH.
_FOLDERS = ("/usr/local/share/davidmatte/models", "/usr/share/davidmatte/models")


@dataclass(frozen=True)
class Asset:
    """A file that every worker needs, under its name and its content's."""

    path: str
    digest: str
    # What must lie beside it: a network's description.
    beside: tuple[str, ...] = ()
    # Whether it is found by a name that matte_file knows, in a folder of networks.
    by_name: bool = False


@dataclass(frozen=True)
class Settings:
    """How films are matted."""

    ending: str
    options: dict[str, str] = field(default_factory=dict)
    invert: bool = False
    audio: bool = True
    preroll: int = 30
    model: Asset | None = None
    background: Asset | None = None

    def arguments(self, model: str | None, background: str | None) -> list[str]:
        """For matte_file, with the files as they lie on a worker. `=` keeps negative numbers from being options."""
        options = dict(self.options)
        if model is not None:
            options["--model"] = model
        if background is not None:
            options["--background-image"] = background
        found = [f"{option}={value}" for option, value in options.items()]
        found += ["--invert"] if self.invert else []
        return found + ([] if self.audio else ["--no-audio"])

    def key(self) -> dict[str, object]:
        """What makes a difference to the result. Files count by their content."""
        options = dict(self.options)
        for option, asset in (("--model", self.model), ("--background-image", self.background)):
            if asset is not None:
                options[option] = asset.digest
        return {
            "ending": self.ending,
            "options": dict(sorted(options.items())),
            "invert": self.invert,
            "audio": self.audio,
            "preroll": self.preroll,
        }


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that are matte_file's."""
    group = parser.add_argument_group("as of matte_file (see its --help)")
    for option in _VALUES:
        group.add_argument(option, metavar="VALUE")
    group.add_argument("--preroll", type=_count, default=30, metavar="FRAMES")
    group.add_argument("--invert", action="store_true")
    group.add_argument("--no-audio", action="store_true")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def read(arguments: argparse.Namespace, ending: str) -> Settings:
    """The settings of a command line; files that it names are looked for on this machine."""
    if ending not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise Failure(USAGE, f"a film cannot be written into a {ending or 'nameless'} file; let OUT be a folder, or end in {known}")
    options: dict[str, str] = {}
    for option in _VALUES:
        value = getattr(arguments, option[2:].replace("-", "_"))
        if value is not None:
            options[option] = value
    model = _model(options["--model"]) if "--model" in options else None
    background = None
    if "--background-image" in options:
        path = options["--background-image"]
        if not Path(path).is_file():
            raise Failure(INPUT, f"{path} could not be read (there is no such file); check --background-image")
        background = Asset(os.path.abspath(path), store.digest(path))
    return Settings(
        ending, options, arguments.invert, not arguments.no_audio, arguments.preroll, model, background
    )


def _model(model: str) -> Asset | None:
    """A network's file on this machine; nothing where workers have to have it: it is built in, or only they do."""
    if model == "builtin":
        return None
    path = Path(model)
    if path.suffix == ".onnx" or os.sep in model:
        if not path.is_file():
            raise Failure(MODEL, f"model {model} was not found; check --model")
        return _asset(path)
    file = known_files().get(model)
    if file is None:
        return None
    for folder in model_folders():
        if (folder / file).is_file():
            return _asset(folder / file, by_name=True)
    return None


def known_files() -> dict[str, str]:
    """The files of the networks that have a name, as the project's list has them."""
    try:
        with (Path(__file__).resolve().parents[3] / "models/known.toml").open("rb") as file:
            return {model["name"]: model["file"] for model in tomllib.load(file)["model"]}
    except (OSError, ValueError, KeyError):
        return {}


def model_folders() -> list[Path]:
    """Where networks are looked for by their names."""
    own = [Path(folder) for folder in os.environ.get("DAVIDMATTE_MODEL_PATH", "").split(os.pathsep) if folder]
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return [*own, Path(data) / "davidmatte/models", *map(Path, _FOLDERS)]


def _asset(path: Path, *, by_name: bool = False) -> Asset:
    path = Path(os.path.abspath(path))  # a link's own name is the one that counts
    description = path.with_suffix(".toml")
    beside = (str(description),) if description.is_file() else ()
    digests = [store.digest(str(path)), *map(store.digest, beside)]
    return Asset(str(path), "-".join(digests), beside, by_name)
