"""Step ``export``: the ONNX file that the plugin embeds.

Input ``tiles`` (N, 4, 80, 80) float32: blue, green, red and the coarse matte in [0, 1]; output ``mattes`` (N, 1, 80, 80) float32
in [0, 1]. Weights are stored in half precision behind casts, as the built-in network's are.
"""
from __future__ import annotations

import io
import warnings
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper
from safetensors.torch import load_file, save_file

from builtin import paths
from builtin.export import halve, without_unused

from . import places
from .network import CELL, Matte, Network
from .samples import TILE

OPSET = 17


def to_onnx(network: Network) -> onnx.ModelProto:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Matte(network).eval(), (torch.rand(2, 4, TILE, TILE),), buffer, input_names=["tiles"], output_names=["mattes"],
                          dynamic_axes={"tiles": {0: "tiles"}, "mattes": {0: "tiles"}}, opset_version=OPSET, dynamo=False)
    model = onnx.load_model_from_string(buffer.getvalue())
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("mattes", TensorProto.FLOAT, ["tiles", 1, TILE, TILE]))
    return with_space_to_depth(model)


def with_space_to_depth(model: onnx.ModelProto) -> onnx.ModelProto:
    """Has one node take cells apart, where PyTorch writes three of which one is slow."""
    graph = model.graph
    made_by = {output: node for node in graph.node for output in node.output}
    used_by = {name: node for node in graph.node for name in node.input}
    transpose, = [node for node in graph.node if node.op_type == "Transpose"]
    before, after = made_by[transpose.input[0]], used_by[transpose.output[0]]
    assert before.op_type == after.op_type == "Reshape"
    cells = helper.make_node("SpaceToDepth", [before.input[0]], [after.output[0]], name="cells", blocksize=CELL)
    nodes = [cells if node is transpose else node for node in graph.node if node is not before and node is not after]
    del graph.node[:]
    graph.node.extend(nodes)
    return without_unused(model)


def weights(source: str | None) -> Path:
    """The project's own weights; with ``source``, a ``.pt`` of the training, they are replaced by its mean weights first."""
    if source:
        state = torch.load(source, weights_only=True)
        tensors = {name: value.to(torch.float16 if value.ndim > 1 else torch.float32).contiguous() for name, value in state["average"].items()}
        with paths.replacing(places.WEIGHTS) as partial:
            save_file(tensors, str(partial), metadata={"seen": str(state["seen"])})
    return places.WEIGHTS


def load(path: Path) -> Network:
    network = Network()
    network.load_state_dict({name: value.float() for name, value in load_file(str(path)).items()})
    return network.eval()


def write(network: Network, target: Path) -> None:
    model = halve(to_onnx(network))
    model.producer_name, model.producer_version = "davidmatte models/detail", ""
    helper.set_model_props(model, {"licence": "MIT"})
    onnx.checker.check_model(model)
    with paths.replacing(target) as partial:
        onnx.save(model, str(partial))
    print(f"{target.name}: {target.stat().st_size / 1e6:.2f} MB, opset {OPSET}")


def run(source: str | None, output: str | None) -> None:
    """Exports the project's weights, or those of a checkpoint, which become the project's."""
    write(load(weights(source)), Path(output) if output else places.MODEL)
