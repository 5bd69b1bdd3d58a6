"""Step ``time``: milliseconds a frame in ONNX Runtime, multiply-adds and size, own network and rival in one run."""
from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx

from . import evaluate, paths

BLOCKS, ROUNDS, WARM_UP = 6, 40, 5


def multiply_adds(path: Path) -> float:
    """Millions of multiply-adds of all convolutions and matrix products."""
    model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    shapes = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
              for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]}
    shapes |= {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        weight, result = shapes.get(node.input[1] if len(node.input) > 1 else ""), shapes.get(node.output[0])
        if node.op_type == "Conv" and weight and result:
            total += int(np.prod(result)) * int(np.prod(weight[1:]))
    return total / 1e6


def milliseconds(sessions: dict[str, tuple]) -> dict[str, list[float]]:
    """Times of many rounds, in blocks by turns so that the networks meet the same machine.

    Blocks, because a session's idle threads spin for a while and would be in the other's way.
    """
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(BLOCKS):
        for name, (network, given) in sessions.items():
            time.sleep(0.3)
            for index in range(ROUNDS + WARM_UP):
                began = time.perf_counter()
                network.run(None, given)
                if index >= WARM_UP:
                    times[name].append((time.perf_counter() - began) * 1e3)
    return times


def run(model: str | None, threads: int) -> None:
    files = {"builtin": Path(model) if model else paths.MODEL}
    if paths.rival().exists():
        files["selfie"] = paths.rival()
    rng, sessions = np.random.default_rng(0), {}
    for name, path in files.items():
        network = evaluate.session(path, threads)
        given = network.get_inputs()[0]
        shape = [size if isinstance(size, int) else 1 for size in given.shape]
        sessions[name] = network, {given.name: rng.random(shape, dtype=np.float32)}
    for name, times in milliseconds(sessions).items():
        print(f"{name}: {threads} threads, median {np.median(times):.2f} ms, best {min(times):.2f} ms, "
              f"{multiply_adds(files[name]):.0f} million multiply-adds, {files[name].stat().st_size / 1e6:.2f} MB")
