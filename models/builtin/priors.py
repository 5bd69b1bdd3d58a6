"""Previous mattes to train with, made of the true ones: brought along well, badly, in part, from elsewhere, or missing.

A network that is given the last matte soon believes it. What it is shown here is right often enough to be worth a
look, and wrong in so many ways, none of which the picture bears out, that it has to look at the picture all the same.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MISSING = 0.25  # of the mattes are all zeros, as with the first frame
FOREIGN = 0.10  # are another picture's
TORN = 0.15     # have a part beyond a straight line that is nothing, everything or another picture's
PATCHED = 0.20  # have a spot that is nothing or everything
SMEARED = 0.35  # are coarser than the network would give them
FAR = 0.2       # were brought along badly


def _moved(mattes: Tensor) -> Tensor:
    """Each shifted, turned and scaled a little, and bent: what is left when a matte was carried along."""
    count, device = len(mattes), mattes.device
    strength = torch.where(torch.rand(count, device=device) < FAR, 4.0, 1.0) * torch.rand(count, device=device)
    turn, growth, across, down = torch.randn(4, count, device=device) * torch.tensor([[0.03], [0.02], [0.02], [0.02]], device=device) * strength
    scale = 1 + growth
    matrices = torch.stack([torch.stack([scale, -turn, across], 1), torch.stack([turn, scale, down], 1)], 1)
    grid = F.affine_grid(matrices, list(mattes.shape), align_corners=False)
    bends = F.interpolate(torch.randn(count, 2, 6, 6, device=device) * 0.02 * strength[:, None, None, None], size=mattes.shape[2:], mode="bicubic", align_corners=False)
    return F.grid_sample(mattes, grid + bends.permute(0, 2, 3, 1), mode="bilinear", padding_mode="border", align_corners=False)


def _places(mattes: Tensor) -> tuple[Tensor, Tensor]:
    """Columns and rows (1, 1, 1, W) and (1, 1, H, 1) in [-1, 1]."""
    height, width = mattes.shape[2:]
    return (torch.linspace(-1, 1, width, device=mattes.device).view(1, 1, 1, -1), torch.linspace(-1, 1, height, device=mattes.device).view(1, 1, -1, 1))


def _chance(mattes: Tensor, share: float) -> Tensor:
    """(N, 1, 1, 1) bool: of which pictures something is done."""
    return torch.rand(len(mattes), 1, 1, 1, device=mattes.device) < share


def _random(mattes: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(len(mattes), 1, 1, 1, device=mattes.device)


def _torn(mattes: Tensor, others: Tensor) -> Tensor:
    columns, rows = _places(mattes)
    angle = _random(mattes, 0, 2 * torch.pi)
    beyond = columns * torch.cos(angle) + rows * torch.sin(angle) > _random(mattes, -0.6, 0.6)
    kind = _random(mattes, 0, 3).floor()
    instead = torch.where(kind == 2, others, (kind == 1).float())
    return torch.where(beyond & _chance(mattes, TORN), instead, mattes)


def _patched(mattes: Tensor) -> Tensor:
    columns, rows = _places(mattes)
    wide, high = _random(mattes, 0.04, 0.4), _random(mattes, 0.04, 0.4)
    away = ((columns - _random(mattes, -1, 1)) / wide) ** 2 + ((rows - _random(mattes, -1, 1)) / high) ** 2
    return torch.where((away < 1) & _chance(mattes, PATCHED), (_random(mattes, 0, 1) < 0.5).float(), mattes)


def _smeared(mattes: Tensor) -> Tensor:
    coarse = F.avg_pool2d(mattes, 5, 1, 2, count_include_pad=False)
    hardness = _random(mattes, 0.7, 2.5)
    return torch.where(_chance(mattes, SMEARED), ((coarse - 0.5) * hardness + 0.5).clamp(0, 1), mattes)


def previous(truths: Tensor) -> Tensor:
    """Mattes (N, 1, H, W) in [0, 1] of a frame before, for true ones (N, 1, H, W) of pictures that are strangers to each other."""
    moved = _moved(truths)
    others = moved.roll(1, 0)
    mattes = torch.where(_chance(truths, FOREIGN), others, moved)
    mattes = _patched(_torn(_smeared(mattes), others))
    return mattes.masked_fill(_chance(truths, MISSING), 0.0)
