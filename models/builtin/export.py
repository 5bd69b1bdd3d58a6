"""Step ``export``: the ONNX file that the plugin embeds.

Input ``input`` (1, 3, height, width) float32 BGR in [0, 1], output ``output`` (1, 1, height, width) float32 in [0, 1];
height and width are open, multiples of 32. Weights are stored in half precision behind casts, which ONNX Runtime folds
away when it loads the file: half the size, the same speed.
"""
from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper, shape_inference

from . import paths, weights
from .network import Matte, Network

OPSET = 17
SIDES = {2: "height", 3: "width"}  # open axes


def network_from(state: weights.State) -> Network:
    network = Network()
    network.load_state_dict(state)
    return network.eval()


def to_onnx(network: Network) -> onnx.ModelProto:
    """The network with its normalisations folded into its convolutions, in single precision."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Matte(network).eval(), (torch.rand(1, 3, 64, 96),), buffer, input_names=["input"], output_names=["output"],
                          dynamic_axes={"input": SIDES, "output": SIDES}, opset_version=OPSET, dynamo=False)
    model = onnx.load_model_from_string(buffer.getvalue())
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "height", "width"]))
    return with_shapes(join_padding(model), SIDES)


def join_padding(model: onnx.ModelProto) -> onnx.ModelProto:
    """Lets convolutions of stride 2 pad by themselves, where PyTorch needs a node before each."""
    graph = model.graph
    pads = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Pad"}
    for node in graph.node:
        if node.op_type == "Conv" and node.input[0] in pads:
            attributes = {attribute.name: attribute for attribute in node.attribute}
            sums = [side - stride for side, stride in zip(attributes["kernel_shape"].ints, attributes["strides"].ints)]
            attributes["pads"].ints[:] = [total // 2 for total in sums] + [(total + 1) // 2 for total in sums]
            node.input[0] = pads[node.input[0]]
    return without_unused(model)


def without_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    """Leaves out nodes that no output depends on."""
    graph, needed, kept = model.graph, {result.name for result in model.graph.output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    return model


def halve(model: onnx.ModelProto, smallest: int = 64) -> onnx.ModelProto:
    """Stores every weight tensor of at least ``smallest`` numbers in half precision behind a cast."""
    graph, casts = model.graph, []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < smallest:
            continue
        stored = numpy_helper.from_array(values.astype(np.float16), tensor.name + "_half")
        casts.append(helper.make_node("Cast", [stored.name], [tensor.name], name=tensor.name + "_cast", to=TensorProto.FLOAT))
        graph.initializer.remove(tensor)
        graph.initializer.append(stored)
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    return model


def with_shapes(model: onnx.ModelProto, axes: dict[int, str]) -> onnx.ModelProto:
    """Writes down the shapes of what passes between nodes; along ``axes``, where the input's length is open, by its name.

    Only where ONNX Runtime can see that two tensors have one shape does it add them in a convolution (1.28,
    ``nchwc_transformer.cc``), and it does not follow open lengths through nodes that resize.
    """
    length, known = 32 * 7, onnx.ModelProto()
    known.CopyFrom(model)
    for axis in axes:
        known.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = length
    for value in shape_inference.infer_shapes(known, data_prop=True).graph.value_info:
        shape = [side.dim_value for side in value.type.tensor_type.shape.dim]
        if len(shape) != 4 or not all(shape):
            continue
        for axis, name in axes.items():
            parts, rest = divmod(length, shape[axis])
            if rest == 0 and parts in (1, 2, 4, 8, 16, 32):
                shape[axis] = name if parts == 1 else f"{name}/{parts}"
        model.graph.value_info.append(helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, shape))
    return model


def run(source: str | None, output: str | None, from_checkpoint: bool = False) -> None:
    """Exports the averaged weights of a .safetensors file, by default the project's own.

    from_checkpoint: first bring the project's own up to date with the training that runs.
    """
    path = weights.from_checkpoint() if from_checkpoint else Path(source) if source else paths.WARM_START
    state, note = weights.load(path)
    model = halve(to_onnx(network_from(state)))
    model.producer_name, model.producer_version = "davidmatte models/builtin", ""
    helper.set_model_props(model, {"licence": "MIT; encoder Apache-2.0", "seen": note.get("seen", "")})
    onnx.checker.check_model(model)
    target = Path(output) if output else paths.MODEL
    with paths.replacing(target) as partial:
        onnx.save(model, str(partial))
    print(f"{target.name}: {target.stat().st_size / 1e6:.2f} MB, opset {OPSET}")
