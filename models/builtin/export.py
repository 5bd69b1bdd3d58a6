"""Step ``export``: the ONNX file that the plugin embeds.

Input ``input`` (1, 3, S, S) float32 BGR in [0, 1], output ``output`` (1, 1, S, S) float32 in [0, 1]. Weights are
stored in half precision behind casts, which ONNX Runtime folds away when it loads the file: half the size, the
same speed.
"""
from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from . import paths, weights
from .network import Matte, Network

OPSET = 17


def network_from(state: weights.State) -> Network:
    network = Network()
    network.load_state_dict(state)
    return network.eval()


def to_onnx(network: Network, side: int) -> onnx.ModelProto:
    """The network with its normalisations folded into its convolutions, in single precision."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Matte(network).eval(), (torch.rand(1, 3, side, side),), buffer, input_names=["input"],
                          output_names=["output"], opset_version=OPSET, dynamo=False)
    return onnx.load_model_from_string(buffer.getvalue())


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


def run(source: str | None, side: int, output: str | None, from_checkpoint: bool = False) -> None:
    """Exports the averaged weights of a .safetensors file, by default the project's own.

    from_checkpoint: first bring the project's own up to date with the training that runs.
    """
    path = weights.from_checkpoint() if from_checkpoint else Path(source) if source else paths.WARM_START
    state, note = weights.load(path)
    model = halve(to_onnx(network_from(state), side))
    model.producer_name, model.producer_version = "davidmatte models/builtin", ""
    helper.set_model_props(model, {"licence": "MIT", "seen": note.get("seen", "")})
    onnx.checker.check_model(model)
    target = Path(output) if output else paths.MODEL
    with paths.replacing(target) as partial:
        onnx.save(model, str(partial))
    print(f"{target.name}: {target.stat().st_size / 1e6:.2f} MB, {side}x{side}, opset {OPSET}")
