"""Step ``time``: milliseconds a frame in ONNX Runtime, multiply-adds and size, own network and rival in one run."""
from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx

from . import evaluate, paths

BLOCKS, ROUNDS, WARM_UP = 6, 40, 5


def multiply_adds(path: Path, shape: list[int]) -> float:
    """Millions of multiply-adds of all convolutions, with an input of ``shape``."""
    model = onnx.load(str(path))
    for size, given in zip(model.graph.input[0].type.tensor_type.shape.dim, shape):
        size.dim_value = given
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
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


def run(model: str | None, sides: list[int], threads: int) -> None:
    """Times the own network at several sizes and the rival; the last number is relative to the rival's median."""
    path = Path(model) if model else paths.MODEL
    files = {f"builtin {side}": (path, [1, 3, side, side]) for side in sides}
    if paths.rival().exists():
        files["selfie"] = (paths.rival(), [1, 256, 256, 3])
    rng, sessions = np.random.default_rng(0), {}
    for name, (file, shape) in files.items():
        network = evaluate.session(file, threads)
        sessions[name] = network, {network.get_inputs()[0].name: rng.random(shape, dtype=np.float32)}
    times = milliseconds(sessions)
    unit = np.median(times["selfie"]) if "selfie" in times else None
    for name, (file, shape) in files.items():
        ratio = f", {np.median(times[name]) / unit:.2f} times the rival's" if unit else ""
        print(f"{name}: {threads} threads, median {np.median(times[name]):.2f} ms, best {min(times[name]):.2f} ms{ratio}, "
              f"{multiply_adds(file, shape):.0f} million multiply-adds, {file.stat().st_size / 1e6:.2f} MB")
