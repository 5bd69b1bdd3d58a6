"""Where things lie. Assets, photographs and backgrounds are those of the built-in network's making."""
from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
REPO = PACKAGE.parent.parent
MODEL = REPO / "models" / "detail.onnx"
WEIGHTS = PACKAGE / "weights.safetensors"


def work() -> Path:
    """Folder of everything that can be made again (ignored by git)."""
    folder = Path(os.environ.get("DAVIDMATTE_DETAIL_BUILD", REPO / "build" / "detail")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def suffix(held_out: bool) -> str:
    return "held-out" if held_out else "train"
