"""Step ``train``: trains the network on pictures made on the fly, half of them composites, half from photographs.

The encoder begins with what it learnt on ImageNet and is trained slowly, its normalisations keep their statistics.
The learning rate stays constant, so training can go on for as long as there is time; a cool-down started from any
checkpoint lets it fall to nothing and gives the weights to export. Everything needed to go on is in the checkpoint,
written every few minutes and when the process is asked to stop.
"""
from __future__ import annotations

import argparse
import copy
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
from tqdm import tqdm

from . import paths, weights
from .network import Matte, Network

SIDE = 320         # pixels of a picture as it is made
CAPACITY = 2000    # pictures kept at hand
REUSE = 2.0        # times a picture is used on the average, each time cropped and mirrored anew
PHOTOGRAPHS = 0.5  # of the pictures come from labelled photographs
ENCODER_RATE = 1 / 6  # of the decoder's learning rate
WARM_UP = 200      # steps
CHECKPOINT_SECONDS, VALIDATION_SECONDS = 150, 900
VALIDATION_SIDE = 320  # as it is run for files
AVERAGE = 0.998    # of the running average of the weights
# Until so many pictures were seen: sides that a picture is shrunk to, with how many make a batch; each step draws one.
CURRICULUM = ((16_000, ((160, 20),)), (None, ((192, 14), (192, 14), (256, 8), (320, 5))))
DISTRACTION_FROM, DISTRACTION_FULL = 8_000, 60_000  # pictures seen: clutter starts late


# ----------------------------------------------------------------------------------------------------- pictures

class Sources:
    """Pictures (SIDE, SIDE, 3) uint8 BGR with alpha (SIDE, SIDE) uint8: composites and photographs by turns of chance."""

    def __init__(self) -> None:
        from .compose import Composer
        from .photographs import Photographs

        self.composer = Composer(SIDE)
        self.photographs = Photographs(self.composer)

    def sample(self, rng: np.random.Generator, distraction: float) -> tuple[np.ndarray, np.ndarray]:
        source = self.photographs if rng.random() < PHOTOGRAPHS else self.composer
        return source.sample(rng, distraction)


def _fill(buffer, made, used, distraction, stop, seed: int) -> None:
    """A process that fills the ring of pictures, (SIDE, SIDE, 4) uint8: BGR and alpha."""

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    ring = np.frombuffer(buffer, np.uint8).reshape(CAPACITY, SIDE, SIDE, 4)
    sources, rng = Sources(), np.random.default_rng(seed)
    count = 0
    while not stop.value and os.getppid() == parent:
        if made.value > CAPACITY + used.value / REUSE:
            time.sleep(0.02)
            continue
        photo, alpha = sources.sample(rng, distraction.value)
        with made.get_lock():
            slot = made.value % CAPACITY
            made.value += 1
        ring[slot, ..., :3], ring[slot, ..., 3] = photo, alpha
        count += 1
        if count % 1500 == 0:
            sources.composer.refresh()


class Supply:
    """Pictures from other processes, handed out in batches."""

    def __init__(self, workers: int) -> None:
        context = multiprocessing.get_context("fork")
        self._memory = context.RawArray(ctypes.c_uint8, CAPACITY * SIDE * SIDE * 4)
        self._ring = torch.frombuffer(self._memory, dtype=torch.uint8).view(CAPACITY, SIDE, SIDE, 4)
        self._made, self._used = context.Value("l", 0), context.RawValue("l", 0)
        self.distraction, self._stop = context.RawValue("d", 0.0), context.RawValue("b", 0)
        self._context, self._count = context, workers
        self._workers: list[multiprocessing.process.BaseProcess] = []

    def start(self, distraction: float, seed: int) -> None:
        self.distraction.value = distraction
        self._workers = [self._context.Process(target=_fill, daemon=True, args=(
            self._memory, self._made, self._used, self.distraction, self._stop, seed + index)) for index in range(self._count)]
        for worker in self._workers:
            worker.start()

    def batch(self, count: int, side: int) -> tuple[Tensor, Tensor]:
        """Pictures (count, 3, side, side) and alphas (count, 1, side, side), float32 in [0, 1]."""
        while True:
            if not all(worker.is_alive() for worker in self._workers):
                raise RuntimeError("a process that makes pictures ended; are there renders, backgrounds and photographs?")
            if self._made.value > 400:
                break
            time.sleep(0.2)
        known = min(self._made.value, CAPACITY)
        chosen = self._ring[torch.randint(0, known - 8, (count,))]
        # One crop for the whole batch: cheap, and of another part each time.
        part = SIDE if torch.rand(()) < 0.35 else int(SIDE * (0.62 + 0.38 * torch.rand(())))
        top, left = (int(torch.randint(0, SIDE - part + 1, ())) for _ in range(2))
        planes = chosen[:, top:top + part, left:left + part].permute(0, 3, 1, 2).float().div_(255)
        if torch.rand(()) < 0.5:
            planes = planes.flip(3)
        if part != side:
            shrink = part > side * 1.3
            planes = F.interpolate(planes, size=(side, side), mode="area") if shrink else F.interpolate(planes, size=(side, side), mode="bilinear", align_corners=False)
        self._used.value += count
        return planes[:, :3].contiguous(memory_format=torch.channels_last), planes[:, 3:].contiguous()

    def close(self) -> None:
        self._stop.value = 1
        for worker in self._workers:
            worker.join(5)


# --------------------------------------------------------------------------------------------------------- loss

def _pyramid_loss(alpha: Tensor, truth: Tensor, levels: int = 4) -> Tensor:
    """L1 between Laplacian-like pyramids: edges and wisps of every size count, not only areas.

    Each level is what remains when blocks of 2x2 are replaced by their mean; that is much cheaper than
    interpolating, and the pyramid being linear, it is built of the difference alone.
    """
    difference, loss = alpha - truth, alpha.new_zeros(())
    for level in range(levels):
        blocks = difference.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))  # (N, 1, H/2, 2, W/2, 2)
        coarse = blocks.mean((3, 5), keepdim=True)
        loss = loss + 2 ** level * (blocks - coarse).abs().mean()
        difference = coarse[:, :, :, 0, :, 0]
    return loss


def loss_of(logits: Tensor, coarse: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy, L1, Laplacian pyramid and overlap; and cross entropy at 1/8 of the resolution."""
    alpha = torch.sigmoid(logits)
    overlap = (2 * (alpha * truth).sum((1, 2, 3)) + 20) / (alpha.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 20)
    return (F.binary_cross_entropy_with_logits(logits, truth) + (alpha - truth).abs().mean() + 0.5 * _pyramid_loss(alpha, truth)
            + 0.4 * (1 - overlap.mean()) + 0.3 * F.binary_cross_entropy_with_logits(coarse, F.adaptive_avg_pool2d(truth, coarse.shape[2:])))


# ----------------------------------------------------------------------------------------------------- training

def _parameter_groups(network: Network) -> list[dict]:
    """Encoder and decoder, matrices and all else apart; ``share`` is of the learning rate."""
    encoder = {id(weight) for module in network.encoder() for weight in module.parameters()}
    return [{"params": [weight for weight in network.parameters() if (id(weight) in encoder) == inside and (weight.ndim > 1) == matrix],
             "weight_decay": 0.02 if matrix else 0.0, "share": ENCODER_RATE if inside else 1.0}
            for inside in (True, False) for matrix in (True, False)]


class Trainer:
    """The network, its running average and its optimiser, with what is needed to stop and go on."""

    def __init__(self, rate: float) -> None:
        torch.manual_seed(2026)
        self.network = Network().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(_parameter_groups(self.network), lr=rate)
        self.seen = self.steps = self.since_start = 0
        self.file = paths.work() / "checkpoint.pt"

    def load(self, from_project: bool) -> None:
        """Goes on from the build folder's checkpoint, else, if wanted, from the project's own weights, else from ImageNet's."""
        if self.file.exists():
            state = torch.load(self.file, map_location="cpu", weights_only=True)
            self.network.load_state_dict(state["raw"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.seen, self.steps = state["seen"], state["steps"]
            self.since_start = WARM_UP
        elif from_project and paths.WARM_START.exists():
            state, note = weights.load(paths.WARM_START)
            self.network.load_state_dict(state)
            self.average.load_state_dict(state)
            self.seen, self.steps = int(note.get("seen", 0)), int(note.get("steps", 0))  # the optimiser starts anew
        else:
            encoder = weights.imagenet()
            for network in (self.network, self.average):
                network.load_state_dict(network.state_dict() | encoder)

    def save(self) -> None:
        with paths.replacing(self.file) as partial:
            torch.save({"raw": self.network.state_dict(), "average": self.average.state_dict(),
                        "optimiser": self.optimiser.state_dict(), "seen": self.seen, "steps": self.steps}, partial)

    def step(self, pictures: Tensor, truth: Tensor, rate: float) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"] * min(1.0, (self.since_start + 1) / WARM_UP)
        self.network.train()
        logits, coarse = self.network(pictures)
        loss = loss_of(logits, coarse, truth)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimiser.step()
        self.steps, self.since_start, self.seen = self.steps + 1, self.since_start + 1, self.seen + len(pictures)
        with torch.no_grad():
            keep = min(AVERAGE, self.steps / (self.steps + 20))
            averaged, current = self.average.state_dict(), self.network.state_dict()
            floats = [name for name, value in averaged.items() if value.dtype.is_floating_point]
            torch._foreach_lerp_([averaged[name] for name in floats], [current[name] for name in floats], 1 - keep)
        return float(loss.detach())

    def validate(self, side: int) -> dict[str, float]:
        """Scores of the averaged weights on held-out pictures, see ``evaluate.brief``."""
        from . import evaluate

        matte = Matte(self.average).eval()

        def predict(batch: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return matte(torch.from_numpy(batch)).numpy()

        return evaluate.brief(evaluate.Model("training", predict, side, "pad-square"))


def _plan(seen: int, options: argparse.Namespace) -> tuple[int, int, float]:
    """Side and batch of the coming step, and how much clutter pictures show."""
    choices = next(choices for until, choices in CURRICULUM if until is None or seen < until)
    side, batch = choices[int(torch.randint(len(choices), ()))]
    clutter = min(1.0, max(0.0, (seen - DISTRACTION_FROM) / (DISTRACTION_FULL - DISTRACTION_FROM)))
    return options.size or side, options.batch or batch, clutter if options.distractors is None else options.distractors


def run(options: argparse.Namespace) -> None:
    """Trains until ``--minutes`` are over, the cool-down ends, or the process is asked to stop."""
    (paths.work() / "train.pid").write_text(f"{os.getpid()}\n")
    supply = Supply(options.workers)
    trainer = Trainer(options.learning_rate)
    trainer.load(options.resume)
    supply.start(_plan(trainer.seen, options)[2], seed=2026 + trainer.seen)  # other composites after each resumption
    torch.set_num_threads(options.threads)
    asked_to_stop = False

    def stop(*_) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    minutes = options.cooldown or options.minutes
    spent, saved, validated, losses = 0.0, 0.0, 0.0, []
    bar = tqdm(desc="cool-down" if options.cooldown else "train", unit=" pictures", initial=trainer.seen, mininterval=10, maxinterval=30)
    try:
        while not asked_to_stop and (minutes is None or spent < minutes * 60):
            began = time.monotonic()
            side, batch, supply.distraction.value = _plan(trainer.seen, options)
            rate = options.learning_rate
            if options.cooldown:
                rate *= max(1.0 - spent / (options.cooldown * 60), 0.005)
            losses.append(trainer.step(*supply.batch(batch, side), rate))
            bar.update(batch)
            if len(losses) % 20 == 0:
                bar.set_postfix(side=side, loss=f"{np.mean(losses[-200:]):.3f}", clutter=f"{supply.distraction.value:.2f}", refresh=False)
            # A step that was halted from outside counts as a short one, or a cool-down would be cut short.
            spent += min(time.monotonic() - began, 2.0)
            if not options.cooldown and spent - saved > CHECKPOINT_SECONDS:
                trainer.save()
                saved = spent
            if not options.cooldown and spent - validated > VALIDATION_SECONDS:
                validated = spent
                _log(trainer, losses, options)
    finally:
        bar.close()
        supply.close()
    if not options.cooldown:
        trainer.save()
    scores = _log(trainer, losses, options)
    note = {"seen": trainer.seen, "steps": trainer.steps, "held_out": json.dumps(scores)}
    if options.cooldown and not asked_to_stop:
        cooled = paths.work() / "cooled.safetensors"
        weights.save(trainer.average.state_dict(), note, cooled)
        print(f"wrote {cooled}")


def _log(trainer: Trainer, losses: list[float], options: argparse.Namespace) -> dict[str, float]:
    """Held-out scores, always at one size, so that they can be compared."""
    scores = trainer.validate(VALIDATION_SIDE)
    entry = {"time": time.strftime("%FT%T"), "seen": trainer.seen, "side": VALIDATION_SIDE, "cooldown": bool(options.cooldown),
             "loss": float(np.mean(losses[-300:])) if losses else None, **scores}
    with open(paths.work() / "train-log.jsonl", "a") as file:
        file.write(json.dumps(entry) + "\n")
    tqdm.write(json.dumps(entry))
    return scores
