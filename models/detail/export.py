"""Step ``export``: the ONNX file that the plugin embeds.

Input ``tiles`` (N, 4, 80, 80) float32: blue, green, red and the coarse matte in [0, 1]; output ``coefficients`` (N, 18, 18, 80)
float32, for each cell of 4x4 pixels of their middles 16 factors of blue, as many of green, of red and of the coarse matte,
and 16 offsets, each for the cell's pixels row by row. What they give is added to the coarse matte. Weights are stored in half precision behind casts, as the built-in network's are.
"""
from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file, save_file

from builtin import paths
from builtin.export import halve, with_shapes, without_unused

from . import places
from .network import CELL, MARGIN, PLANES, Coefficients, Network
from .samples import INSIDE, TILE

OPSET = 17
OUTPUT = "coefficients"


def to_onnx(network: Network) -> onnx.ModelProto:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Coefficients(network).eval(), (torch.rand(2, PLANES, TILE, TILE),), buffer, input_names=["tiles"], output_names=[OUTPUT],
                          dynamic_axes={"tiles": {0: "tiles"}, OUTPUT: {0: "tiles"}}, opset_version=OPSET, dynamo=False)
    model = onnx.load_model_from_string(buffer.getvalue())
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["tiles", INSIDE // CELL, INSIDE // CELL, (PLANES + 1) * CELL**2]))
    return with_shapes(with_one_slice(model), {0: "tiles"})


def with_one_slice(model: onnx.ModelProto) -> onnx.ModelProto:
    """Has one node cut the middle out of tiles, where PyTorch writes one for rows and another for columns."""
    graph, made_by = model.graph, {output: node for node in model.graph.node for output in node.output}
    bounds = [np.array([value, value], "i8") for value in (MARGIN, -MARGIN)] + [np.array([2, 3], "i8")]
    names = ["middle_starts", "middle_ends", "middle_axes"]
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in zip(names, bounds))
    axes = {node.output[0]: numpy_helper.to_array(made_by[node.input[3]].attribute[0].t).tolist() for node in graph.node if node.op_type == "Slice"}
    for columns in [node for node in graph.node if axes.get(node.output[0]) == [3]]:
        rows = made_by.get(columns.input[0])
        if rows is not None and axes.get(rows.output[0]) == [2]:
            columns.CopyFrom(helper.make_node("Slice", [rows.input[0], *names], columns.output, name=columns.name))
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
