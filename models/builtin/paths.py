"""Where things lie, which assets are held out, and how files are written.

Every place can be moved by an option of ``make.py`` or by an environment variable; nothing here knows
the machine it runs on.
"""
from __future__ import annotations

import contextlib
import fnmatch
import os
from pathlib import Path
from typing import Iterator

PACKAGE = Path(__file__).resolve().parent
REPO = PACKAGE.parent.parent


def _place(variable: str, default: Path) -> Path:
    return Path(os.environ.get(variable, default)).resolve()


def assets() -> Path:
    """Folder with ``rocketbox/NAME.fbx``, ``rocketbox/NAME.png``, ``valid/NAME.glb`` and ``hdri/PLACE.hdr``."""
    return _place("DAVIDMATTE_ASSETS", REPO / ".." / "shared" / "assets")


def evaluation() -> Path:
    """Folder with one folder per set of photographs: ``SET/NAME.jpg`` and its mask ``SET/NAME.png``."""
    return _place("DAVIDMATTE_EVAL", REPO / ".." / "shared" / "eval")


def photographs() -> Path:
    """Folder of photographs to learn from: ``SET/NAME.jpg`` with the alpha ``SET/NAME.png``, where there is a label."""
    return _place("DAVIDMATTE_PHOTOS", REPO / ".." / "shared" / "photos")


def rival() -> Path:
    """MediaPipe's selfie segmentation as ONNX, only measured beside the own network."""
    return _place("DAVIDMATTE_RIVAL", REPO / ".." / "shared" / "models" / "selfie_segmentation.onnx")


def work() -> Path:
    """Folder of everything that can be made again: meshes, renders, checkpoints (ignored by git)."""
    folder = _place("DAVIDMATTE_BUILD", REPO / "build" / "builtin")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


MODEL = REPO / "models" / "builtin.onnx"
WARM_START = PACKAGE / "checkpoint.safetensors"

# Never trained on: they only serve to choose between checkpoints, input sizes and ideas. The avatars cover
# both sexes, a child, several skin colours, long hair, uniforms, helmets and bare limbs; the places one
# bright room, one cluttered room and one street.
HELD_OUT_AVATARS = frozenset({
    "Business_Female_02", "Construction_Male_05", "Female_Adult_05", "Female_Adult_11", "Female_Party_01",
    "Male_Adult_03", "Male_Adult_12", "Male_Adult_18", "Male_Child_02", "Medical_Male_02",
    "Military_Male_04", "Sports_Female_02",
})
HELD_OUT_PLACES = frozenset({"lobby", "workshop", "esplanade"})
# Persons of VALID, a woman and a man of each group, in whatever they wear.
HELD_OUT_PERSONS = frozenset({
    "AIAN_F_2", "AIAN_M_2", "Asian_F_1", "Asian_M_3", "Black_F_3", "Black_M_1", "Hispanic_F_1", "Hispanic_M_2",
    "MENA_F_2", "MENA_M_1", "NHPI_M_2", "X_NHPI_F_2", "White_F_3", "White_M_2",
})

# Libraries of avatars, each a folder of ``assets``, and how their files end.
LIBRARIES = {"rocketbox": "fbx", "valid": "glb"}

PHOTOGRAPH_SETS = ("congress", "18f", "asl", "walking")


def held_out_patterns() -> list[str]:
    """Patterns of ``SET/NAME`` of the photographs that are never trained on."""
    lines = (PACKAGE / "held-out-photographs.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def labelled(name: str, held_out: bool) -> list[Path]:
    """Labels of a set of photographs, only those held out of training or only the others; the photograph lies beside."""
    patterns = held_out_patterns()

    def is_held_out(path: Path) -> bool:
        return any(fnmatch.fnmatchcase(f"{name}/{path.stem}", pattern) for pattern in patterns)

    return [path for path in sorted((photographs() / name).glob("*.png"))
            if path.with_suffix(".jpg").exists() and is_held_out(path) == held_out]


def is_held_out(avatar: str) -> bool:
    """Whether an avatar is never trained on; those of VALID are named ``PERSON_OUTFIT``."""
    return avatar in HELD_OUT_AVATARS or avatar.rpartition("_")[0] in HELD_OUT_PERSONS


def avatar_names(held_out: bool | None = None, library: str = "rocketbox") -> list[str]:
    """Names of all avatars of a library, or only of those (not) held out of training."""
    names = sorted(path.stem for path in (assets() / library).glob(f"*.{LIBRARIES[library]}"))
    return [name for name in names if held_out is None or is_held_out(name) == held_out]


def group_and_sex(avatar: str) -> tuple[str, str]:
    """Ethnic group and ``F`` or ``M`` of an avatar of VALID; people without validated labels have ``X_`` before them."""
    group, sex = avatar.removeprefix("X_").split("_")[:2]
    return group, sex


def avatar_file(name: str) -> Path:
    """The file of an avatar, in whichever library it is."""
    files = [assets() / library / f"{name}.{ending}" for library, ending in LIBRARIES.items()]
    return next((path for path in files if path.exists()), files[0])


def places(held_out: bool | None = None) -> list[Path]:
    """Panoramas, all or only those (not) held out of training."""
    paths = sorted((assets() / "hdri").glob("*.hdr"))
    return [path for path in paths if held_out is None or (path.stem in HELD_OUT_PLACES) == held_out]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name to write to; it takes the place of ``path`` in one step when all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield partial
        partial.chmod(0o644)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
