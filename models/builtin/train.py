"""Step ``train``: trains the network on pictures made on the fly, half of them composites, half from photographs.

The encoder begins with what it learnt on ImageNet and is trained slowly, its normalisations keep their statistics.
The learning rate stays constant, so training can go on for as long as there is time; a cool-down started from any
checkpoint lets it fall to nothing and gives the weights to export. Everything needed to go on is in the checkpoint,
written every few minutes and when the process is asked to stop.
"""
from __future__ import annotations

import argparse
import copy
import json
import os
import signal
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from . import contract, paths, priors, weights
from .feeding import Supply
from .network import Matte, Network

CAPACITY, CAPACITY_OF_GPU = 2000, 16_000  # pictures kept at hand
ENCODER_RATE = 1 / 6  # of the decoder's learning rate
WARM_UP = 200      # steps
CHECKPOINT_SECONDS, VALIDATION_SECONDS = 150, 900
VALIDATION_SIDE = 320  # as it is run for files
AVERAGE = 0.998    # of the running average of the weights
# Until so many pictures were seen: sides of the square that a picture shrunk to a step's shape has as many samples as, with
# how many pictures make a batch; each step draws one, and a shape, width to height.
CURRICULUM = ((16_000, ((160, 20),)), (None, ((192, 14), (256, 8), (320, 5), (384, 4))))
SHAPES = (1, 1, 1, 4 / 3, 3 / 4, 16 / 9, 9 / 16)
CURRICULUM_OF_GPU = ((None, ((256, 64), (320, 48), (384, 32))),)
GAP, GAP_WEIGHT = 0.25, 2.0  # of the picture's longer side: how wide gaps may be; and by how much more they count
NARROW, NARROW_WEIGHT = 0.12, 1.0  # likewise, how narrow parts of people are
DISTRACTION_FROM, DISTRACTION_FULL = 8_000, 60_000  # pictures seen: clutter starts late


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


def gaps(truth: Tensor) -> Tensor:
    """(N, 1, H, W) in [0, 1]: what is not the person between parts of one, or between such a part and the picture's edge.

    The matte is closed by half of ``GAP`` at 1/8 of the resolution; what that adds is gaps.
    """
    return _closed(truth, GAP) * (1 - truth)


def narrow(truth: Tensor) -> Tensor:
    """(N, 1, H, W) in [0, 1]: parts of people that are narrow, such as fingers, arms, cables, and whoever is far away.

    The matte is opened by half of ``NARROW`` at 1/8 of the resolution; what that takes away is narrow.
    """
    return _closed(1 - truth, NARROW) * truth


def _closed(planes: Tensor, width: float) -> Tensor:
    """(N, 1, H, W): closed by half of ``width`` times the longer side, at 1/8 of the resolution."""
    small = F.avg_pool2d(planes, 8)
    side = 2 * round(width * max(small.shape[2:]) / 2) + 1
    grown = F.max_pool2d(small, side, 1, side // 2)
    # Beyond the picture's edge there is nothing to shrink from, so what ends there is closed, too.
    return F.interpolate(-F.max_pool2d(-grown, side, 1, side // 2), scale_factor=8.0)


def loss_of(logits: Tensor, coarse: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy, L1, Laplacian pyramid and overlap, in gaps and narrow parts more; and cross entropy at 1/8 of the resolution."""
    alpha = torch.sigmoid(logits)
    overlap = (2 * (alpha * truth).sum((1, 2, 3)) + 20) / (alpha.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 20)
    areas = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") + (alpha - truth).abs()
    return (areas.mean() + GAP_WEIGHT * (areas * gaps(truth)).mean() + NARROW_WEIGHT * (areas * narrow(truth)).mean() + 0.5 * _pyramid_loss(alpha, truth)
            + 0.4 * (1 - overlap.mean()) + 0.3 * F.binary_cross_entropy_with_logits(coarse, F.adaptive_avg_pool2d(truth, coarse.shape[2:])))


# ----------------------------------------------------------------------------------------------------- training

def _parameter_groups(network: Network) -> list[dict]:
    """Encoder and decoder, matrices and all else apart; ``share`` is of the learning rate."""
    encoder = {id(weight) for module in network.encoder() for weight in module.parameters()}
    return [{"params": [weight for weight in network.parameters() if (id(weight) in encoder) == inside and (weight.ndim > 1) == matrix],
             "weight_decay": 0.02 if matrix else 0.0, "share": ENCODER_RATE if inside else 1.0}
            for inside in (True, False) for matrix in (True, False)]


class Trainer:
    """The network, its running average and its optimiser, with what is needed to stop and go on.

    remembers: the network is given previous mattes, and has files of its own.
    """

    def __init__(self, rate: float, remembers: bool = False) -> None:
        torch.manual_seed(2026)
        self.remembers = remembers
        self.network = Network(remembers).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(_parameter_groups(self.network), lr=rate)
        self.seen = self.steps = self.since_start = 0
        self.device = torch.device("cpu")
        self.file, self.cooled = (paths.work() / f"{name}{'-remembers' if remembers else ''}.{kind}"
                                  for name, kind in (("checkpoint", "pt"), ("cooled", "safetensors")))

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
            for network in (self.network, self.average):
                network.load_state_dict(network.state_dict() | state)
            self.seen, self.steps = int(note.get("seen", 0)), int(note.get("steps", 0))  # the optimiser starts anew
        else:
            encoder = weights.imagenet()
            for network in (self.network, self.average):
                network.load_state_dict(network.state_dict() | encoder)

    def move(self, device: torch.device) -> None:
        """Goes on on ``device``."""
        self.device = device
        self.network.to(device)
        self.average.to(device)
        self.optimiser.load_state_dict(self.optimiser.state_dict())  # which takes its state to where the weights are

    def save(self) -> None:
        with paths.replacing(self.file) as partial:
            torch.save({"raw": self.network.state_dict(), "average": self.average.state_dict(),
                        "optimiser": self.optimiser.state_dict(), "seen": self.seen, "steps": self.steps}, partial)

    def step(self, pictures: Tensor, truth: Tensor, rate: float) -> Tensor:
        """Learns from a batch; returns its loss, which stays on the device until somebody wants to know."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"] * min(1.0, (self.since_start + 1) / WARM_UP)
        self.network.train()
        previous = priors.previous(truth) if self.remembers else None
        logits, coarse = self.network(pictures, previous)
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
        return loss.detach()

    def validate(self, side: int) -> dict[str, float]:
        """Scores of the averaged weights on held-out pictures, without memory; see ``evaluate.brief``."""
        from . import evaluate

        matte = Matte(self.average).eval()

        def predict(batch: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return matte(torch.from_numpy(batch).to(self.device)).cpu().numpy()

        return evaluate.brief(evaluate.Model("training", predict, side))


def _plan(seen: int, options: argparse.Namespace) -> tuple[contract.Size, int, float]:
    """Rows and columns and batch of the coming step, and how much clutter pictures show."""
    curriculum = CURRICULUM if options.device == "cpu" else CURRICULUM_OF_GPU
    choices = next(choices for until, choices in curriculum if until is None or seen < until)
    side, batch = choices[int(torch.randint(len(choices), ()))]
    clutter = min(1.0, max(0.0, (seen - DISTRACTION_FROM) / (DISTRACTION_FULL - DISTRACTION_FROM)))
    shape = SHAPES[int(torch.randint(len(SHAPES), ()))]
    size = contract.shaped(1, shape, options.size or side)
    return size, options.batch or batch, clutter if options.distractors is None else options.distractors


def run(options: argparse.Namespace) -> None:
    """Trains until ``--minutes`` are over, the cool-down ends, or the process is asked to stop."""
    (paths.work() / "train.pid").write_text(f"{os.getpid()}\n")
    device = torch.device(options.device)
    trainers = [Trainer(options.learning_rate, remembers) for remembers in ((False, True) if options.remember else (False,))]
    for trainer in trainers:
        trainer.load(options.resume)
    first = trainers[0]
    supply = Supply(options.workers, CAPACITY if device.type == "cpu" else CAPACITY_OF_GPU, device)
    supply.start(_plan(first.seen, options)[2], seed=2026 + first.seen)  # other composites after each resumption
    for trainer in trainers:
        trainer.move(device)
    torch.set_num_threads(options.threads)
    asked_to_stop = False

    def stop(*_) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    minutes = options.cooldown or options.minutes
    spent, saved, validated, losses = 0.0, 0.0, 0.0, []
    bar = tqdm(desc="cool-down" if options.cooldown else "train", unit=" pictures", initial=first.seen, mininterval=10, maxinterval=30)
    try:
        while not asked_to_stop and (minutes is None or spent < minutes * 60):
            began = time.monotonic()
            size, batch, supply.distraction.value = _plan(first.seen, options)
            rate = options.learning_rate
            if options.cooldown:
                rate *= max(1.0 - spent / (options.cooldown * 60), 0.005)
            pictures = supply.batch(batch, *size)
            losses.append([trainer.step(*pictures, rate) for trainer in trainers])
            bar.update(batch)
            if len(losses) % 20 == 0:
                bar.set_postfix(size="{}x{}".format(*reversed(size)), loss=" ".join(f"{loss:.3f}" for loss in _mean(losses[-200:])), made=supply.made,
                                clutter=f"{supply.distraction.value:.2f}", refresh=False)
            # A step that was halted from outside counts as a short one, or a cool-down would be cut short.
            spent += min(time.monotonic() - began, 2.0)
            if not options.cooldown and spent - saved > CHECKPOINT_SECONDS:
                for trainer in trainers:
                    trainer.save()
                saved = spent
            if not options.cooldown and spent - validated > VALIDATION_SECONDS:
                validated = spent
                for index, trainer in enumerate(trainers):
                    _log(trainer, [loss[index] for loss in losses], options)
    finally:
        bar.close()
        supply.close()
    for index, trainer in enumerate(trainers):
        if not options.cooldown:
            trainer.save()
        elif not asked_to_stop:
            weights.save(trainer.average.state_dict(), {"seen": trainer.seen, "steps": trainer.steps}, trainer.cooled)
            print(f"wrote {trainer.cooled}")
        scores = _log(trainer, [loss[index] for loss in losses], options)
        if options.cooldown and not asked_to_stop:
            weights.save(trainer.average.state_dict(), {"seen": trainer.seen, "steps": trainer.steps, "held_out": json.dumps(scores)}, trainer.cooled)


def _mean(losses: list[list[Tensor]]) -> list[float]:
    """Mean losses of each trainer over some steps."""
    return torch.stack([torch.stack(step) for step in losses]).mean(0).tolist()


def _log(trainer: Trainer, losses: list[Tensor], options: argparse.Namespace) -> dict[str, float]:
    """Held-out scores, always at one size, so that they can be compared."""
    scores = trainer.validate(VALIDATION_SIDE)
    entry = {"time": time.strftime("%FT%T"), "seen": trainer.seen, "side": VALIDATION_SIDE, "cooldown": bool(options.cooldown), "remembers": trainer.remembers,
             "loss": float(torch.stack(losses[-300:]).mean()) if losses else None, **scores}
    with open(paths.work() / "train-log.jsonl", "a") as file:
        file.write(json.dumps(entry) + "\n")
    tqdm.write(json.dumps(entry))
    return scores
