"""Step ``train``: learns until stopped, or for some minutes, and goes on from its checkpoint."""
from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import signal
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import places
from .export import load
from .network import Network, middle_of
from .samples import SIDE, TILE, Sample, Samples

BATCH = 48
ENOUGH = 400         # samples to begin with
CAPACITY = 4000      # samples kept at hand
REUSE = 5            # tiles that are cut out of a sample on the average
SQUARED = 4.0        # how much squared errors count beside absolute ones
AVERAGE = 0.999      # of the weights, a step
CHECKPOINT = 120     # seconds
MEASURE = 400        # held-out tiles of each kind
MIDDLE = slice((SIDE - TILE) // 2, (SIDE + TILE) // 2)


def _pack(sample: Sample) -> np.ndarray:
    """(SIDE, SIDE, 7) uint16, 65535 for 1: BGR, coarse, gate, truth, alike."""
    planes = [sample.picture.astype("f4") / 255, sample.coarse[..., None], sample.gate[..., None], sample.truth[..., None], sample.alike[..., None]]
    return np.round(np.concatenate(planes, 2) * 65535).astype("u2")


def _fill(buffer, made, used, stop, seed: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    ring = np.frombuffer(buffer, np.uint16).reshape(CAPACITY, SIDE, SIDE, 7)
    samples, rng = Samples(held_out=False), np.random.default_rng(seed)
    while not stop.value and os.getppid() == parent:
        if made.value > CAPACITY + used.value / REUSE:
            time.sleep(0.02)
            continue
        packed = _pack(samples.sample(rng))
        with made.get_lock():
            slot = made.value % CAPACITY
            made.value += 1
        ring[slot] = packed


def loss_of(change: Tensor, coarse: Tensor, gate: Tensor, truth: Tensor, alike: Tensor) -> Tensor:
    """Error of the middle's matte, of its differences between pixels and of its means, where the matte may change.

    Absolute errors alone make all or nothing of what is between, and a sharp edge at a place that is only guessed; squared
    ones keep it soft, and those of means keep how much there is of it.
    """
    coarse, gate, truth, alike = map(middle_of, (coarse, gate, truth, alike))
    target = coarse + alike * (truth - coarse)
    free = coarse + gate * change
    matte = free.clamp(0, 1)
    weight = gate * (0.2 + 0.8 * alike)
    error = matte - target
    cost = lambda error: error.abs() + SQUARED * error**2
    loss = (weight * cost(error)).sum() + 0.1 * (weight * (free - matte).abs()).sum()
    for reach in (1, 2, 4):
        across = cost(error[..., reach:] - error[..., :-reach]) * weight[..., reach:]
        down = cost(error[..., reach:, :] - error[..., :-reach, :]) * weight[..., reach:, :]
        loss = loss + 0.35 * (across.sum() + down.sum())
    for side in (4, 8):
        mean = F.avg_pool2d(error * weight, side)
        loss = loss + side**2 * mean.abs().sum()
    return loss / (weight.sum() + 1)


def split(planes: Tensor) -> tuple[Tensor, ...]:
    """(N, 7, S, S) to what the network is shown, the picture and the coarse matte, and to coarse, gate, truth, alike."""
    return planes[:, :4], planes[:, 3:4], planes[:, 4:5], planes[:, 5:6], planes[:, 6:7]


def cut(samples: list[np.ndarray]) -> np.ndarray:
    """A tile of each sample, from anywhere in it: (N, TILE, TILE, 7)."""
    corners = np.random.randint(0, SIDE - TILE + 1, (len(samples), 2))
    return np.stack([sample[top:top + TILE, left:left + TILE] for sample, (top, left) in zip(samples, corners)])


def held_out_tiles(count: int) -> dict[str, Tensor]:
    """For each kind (count, 7, TILE, TILE), always the same."""
    path = places.work() / f"validation-{count}.npz"
    if not path.exists():
        kinds = {}
        for number, (kind, spoilt) in enumerate([*((kind, 1.0) for kind in Samples.KINDS), ("heads", 0.0), ("shapes", 0.0)]):
            samples, rng = Samples(held_out=True, spoilt=spoilt), np.random.default_rng([2043, number])
            tiles = [_pack(samples.sample(rng, kind))[MIDDLE, MIDDLE] for _ in range(count)]
            kinds[kind if spoilt else f"{kind}, true"] = np.stack(tiles)
        np.savez(path, **kinds)
    with np.load(path) as data:
        return {kind: torch.from_numpy(data[kind].astype("f4") / 65535).permute(0, 3, 1, 2) for kind in data.files}


@torch.no_grad()
def measure(network: Network, tiles: dict[str, Tensor]) -> dict[str, float]:
    """For each kind the error within the gate beside bicubic's: of alpha (SAD), its square and its differences."""
    network.eval()
    scores = {}
    for kind, planes in tiles.items():
        sums = np.zeros((3, 2))
        for part in planes.split(50):
            shown, coarse, gate, truth, _ = split(part)
            change = network(shown)
            coarse, gate, truth = map(middle_of, (coarse, gate, truth))
            for which, matte in enumerate(((coarse + gate * change).clamp(0, 1), coarse)):
                error = matte - truth
                sums[0, which] += error.abs().sum()
                sums[1, which] += (error**2).sum()
                sums[2, which] += ((error[..., 1:] - error[..., :-1]) ** 2).sum() + ((error[..., 1:, :] - error[..., :-1, :]) ** 2).sum()
        for name, (ours, bicubic) in zip(("sad", "mse", "gradient"), sums):
            scores[f"{kind} {name}"] = round(float(ours / bicubic), 4)
    network.train()
    return scores


def run(minutes: float | None, cooldown: float | None, rate: float, threads: int, workers: int) -> None:
    """Trains; with ``cooldown`` the rate falls to nothing over as many minutes, and ``cooled.pt`` is written."""
    os.nice(10)
    torch.set_num_threads(threads)
    torch.manual_seed(int(time.time()))
    context = multiprocessing.get_context("fork")
    memory = context.RawArray(ctypes.c_uint16, CAPACITY * SIDE * SIDE * 7)
    ring = np.frombuffer(memory, np.uint16).reshape(CAPACITY, SIDE, SIDE, 7)
    made, used, stop = context.Value("l", 0), context.RawValue("l", 0), context.RawValue("b", 0)
    processes = [context.Process(target=_fill, args=(memory, made, used, stop, int(time.time()) + number), daemon=True) for number in range(workers)]
    for process in processes:
        process.start()

    checkpoint = places.work() / "checkpoint.pt"
    network = load(places.WEIGHTS).train() if places.WEIGHTS.exists() and not checkpoint.exists() else Network()
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4)
    seen, average = 0, None
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        seen, average = state["seen"], state["average"]
    average = average or {name: value.clone() for name, value in network.state_dict().items()}
    network = network.to(memory_format=torch.channels_last)
    tiles = held_out_tiles(MEASURE)
    (places.work() / "train.pid").write_text(str(os.getpid()))
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    signal.signal(signal.SIGINT, lambda *_: asked.append(1))
    while made.value < ENOUGH and not asked:
        time.sleep(0.1)

    def save() -> None:
        partial = checkpoint.with_suffix(".partial")
        torch.save({"network": network.state_dict(), "optimiser": optimiser.state_dict(), "average": average, "seen": seen}, partial)
        os.replace(partial, checkpoint)

    def log() -> None:
        mean = Network()
        mean.load_state_dict(average)
        entry = {"time": time.strftime("%FT%T"), "seen": seen, "loss": round(total / max(steps, 1), 5), "rate": optimiser.param_groups[0]["lr"], **measure(mean, tiles)}
        with (places.work() / "train-log.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        print(json.dumps(entry), flush=True)

    begun = saved = measured = time.monotonic()
    total, steps = 0.0, 0
    length = cooldown or minutes
    while not asked and (length is None or time.monotonic() - begun < 60 * length):
        if cooldown:
            part = (time.monotonic() - begun) / (60 * cooldown)
            for group in optimiser.param_groups:
                group["lr"] = rate * max(1 - part, 0.01)
        else:
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1.0, (seen + BATCH) / 20000)
        whole = min(made.value - workers, CAPACITY - 2 * workers)
        ages = np.random.randint(0, whole, BATCH)
        chosen = [ring[(made.value - 1 - workers - age) % CAPACITY] for age in ages]
        planes = torch.from_numpy(cut(chosen).astype("f4")).div_(65535).permute(0, 3, 1, 2)
        if np.random.random() < 0.1:
            planes[:, :3] = planes[:, :3].flip(1)
        if np.random.random() < 0.5:
            planes = planes.flip(2)
        shown, coarse, gate, truth, alike = split(planes)
        loss = loss_of(network(shown.contiguous(memory_format=torch.channels_last)), coarse, gate, truth, alike)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        used.value += BATCH
        seen += BATCH
        total, steps = total + float(loss.detach()), steps + 1
        keep = min(AVERAGE, seen / BATCH / (seen / BATCH + 10))
        for name, value in network.state_dict().items():
            average[name].lerp_(value, 1 - keep)
        now = time.monotonic()
        if now - saved > CHECKPOINT and not cooldown:
            save()
            saved = now
        if now - measured > 180:
            log()
            total, steps, measured = 0.0, 0, now
    log()
    if cooldown:
        torch.save({"average": average, "seen": seen}, places.work() / "cooled.pt")
    else:
        save()
    stop.value = 1
    print(f"{seen} tiles, {made.value} made", flush=True)


def evaluate(source: str | None) -> None:
    """Prints the errors on held-out tiles as shares of bicubic enlargement's."""
    if source:
        network = Network()
        network.load_state_dict(torch.load(source, weights_only=True)["average"])
    else:
        network = load(places.WEIGHTS)
    for name, share in measure(network, held_out_tiles(MEASURE)).items():
        print(f"{name:24}{share:8.3f}")
