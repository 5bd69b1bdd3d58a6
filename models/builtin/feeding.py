"""Pictures to train on, made by other processes while the network learns: half composites, half from photographs."""
from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 384         # pixels of a picture as it is made
REUSE = 2.0        # times a picture is used on the average, each time cropped and mirrored anew
PHOTOGRAPHS = 0.5  # of the pictures come from labelled photographs
ENOUGH = 400       # pictures to begin with
UNFINISHED = 64    # of the newest pictures some may still be written, and of the oldest overwritten: at least one for each process
WHOLE, SMALLEST = 0.35, 0.62  # of the pictures are shown whole; the least part of a side that others show


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


def _fill(buffer, capacity: int, made, used, distraction, stop, seed: int) -> None:
    """A process that fills the ring of pictures, (SIDE, SIDE, 4) uint8: BGR and alpha."""

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    ring = np.frombuffer(buffer, np.uint8).reshape(capacity, SIDE, SIDE, 4)
    sources, rng = Sources(), np.random.default_rng(seed)
    count = 0
    while not stop.value and os.getppid() == parent:
        if made.value > capacity + used.value / REUSE:
            time.sleep(0.02)
            continue
        photo, alpha = sources.sample(rng, distraction.value)
        with made.get_lock():
            slot = made.value % capacity
            made.value += 1
        ring[slot, ..., :3], ring[slot, ..., 3] = photo, alpha
        count += 1
        if count % 1500 == 0:
            sources.composer.refresh()


def cropped(planes: Tensor, rows: int, columns: int) -> Tensor:
    """Parts of pictures (N, C, S, S), each of its own place and size and perhaps mirrored, as (N, C, rows, columns).

    Parts are of that shape; what ``WHOLE`` and ``SMALLEST`` say holds for their longer side.
    """
    count, device, longer = len(planes), planes.device, max(rows, columns)
    part = torch.where(torch.rand(count, device=device) < WHOLE, 1.0, SMALLEST + (1 - SMALLEST) * torch.rand(count, device=device))
    width, height = part * columns / longer, part * rows / longer
    across, down = (torch.rand(2, count, device=device) * 2 - 1) * (1 - torch.stack([width, height]))
    mirrored = torch.where(torch.rand(count, device=device) < 0.5, -1.0, 1.0)
    nothing = torch.zeros_like(part)
    matrices = torch.stack([torch.stack([width * mirrored, nothing, across], 1), torch.stack([nothing, height, down], 1)], 1)
    finer = 2 if planes.shape[3] > 1.3 * longer else 1  # sampled twice as densely where points alone would flicker
    grid = F.affine_grid(matrices, [count, planes.shape[1], rows * finer, columns * finer], align_corners=False)
    parts = F.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return F.avg_pool2d(parts, finer) if finer > 1 else parts


class Supply:
    """Pictures from other processes, handed out in batches on ``device``."""

    def __init__(self, workers: int, capacity: int, device: torch.device) -> None:
        context = multiprocessing.get_context("fork")
        self.capacity = capacity  # pictures kept at hand
        self._memory = context.RawArray(ctypes.c_uint8, capacity * SIDE * SIDE * 4)
        self._ring = torch.frombuffer(self._memory, dtype=torch.uint8).view(capacity, SIDE, SIDE, 4)
        self._made, self._used = context.Value("l", 0), context.RawValue("l", 0)
        self.distraction, self._stop = context.RawValue("d", 0.0), context.RawValue("b", 0)
        self._context, self._count = context, workers
        self._workers: list[multiprocessing.process.BaseProcess] = []
        self._device, self._brought = device, 0
        self._held = self._ring  # where batches are taken from; a device of its own gets a copy, see `_bring`

    def start(self, distraction: float, seed: int) -> None:
        """Starts the processes; to be called before the device is used, since they are forks."""
        self.distraction.value = distraction
        self._workers = [self._context.Process(target=_fill, daemon=True, args=(
            self._memory, self.capacity, self._made, self._used, self.distraction, self._stop, seed + index)) for index in range(self._count)]
        for worker in self._workers:
            worker.start()
        if self._device.type != "cpu":
            self._held = torch.empty(self._ring.shape, dtype=torch.uint8, device=self._device)

    def _bring(self) -> tuple[int, int]:
        """Copies what was made meanwhile to the device; returns how many were made, and how many of the newest are whole."""
        made = max(self._made.value - UNFINISHED, 0)
        if self._device.type == "cpu":
            return made, min(made, self.capacity - 2 * UNFINISHED)
        while self._brought < made:
            first = self._brought % self.capacity
            count = min(made - self._brought, self.capacity - first)
            self._held[first:first + count].copy_(self._ring[first:first + count])
            self._brought += count
        return made, min(made, self.capacity)

    def batch(self, count: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Pictures (count, 3, rows, columns) and alphas (count, 1, rows, columns), float32 in [0, 1]."""
        while True:
            if not all(worker.is_alive() for worker in self._workers):
                raise RuntimeError("a process that makes pictures ended; are there renders, backgrounds and photographs?")
            made, whole = self._bring()
            if whole >= ENOUGH:
                break
            time.sleep(0.2)
        ages = torch.randint(0, whole, (count,), device=self._device)
        chosen = self._held[(made - 1 - ages) % self.capacity]
        planes = cropped(chosen.permute(0, 3, 1, 2).float().div_(255), rows, columns)
        self._used.value += count
        return planes[:, :3].contiguous(memory_format=torch.channels_last), planes[:, 3:].contiguous()

    @property
    def made(self) -> int:
        """Pictures made so far."""
        return self._made.value

    def close(self) -> None:
        self._stop.value = 1
        for worker in self._workers:
            worker.join(5)
