"""The network: a tile of a picture and its coarse matte in, the tile's matte out.

All work is done at a quarter of the resolution and below, where convolutions have enough channels to be quick: a cell of
4x4 pixels there has the values of all of them. Locally alpha is close to an affine function of colour (Levin, Lischinski
and Weiss, "A Closed-Form Solution to Natural Image Matting", 2008), so what the cells give are the coefficients of such
functions, one for each pixel, of its colour and coarse matte.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL = 4                            # pixels along a side of a cell
FINE, MIDDLE, COARSE = 32, 32, 48   # channels at a quarter, an eighth and a sixteenth of the resolution
HIDDEN = 64                         # channels between the features and the coefficients
PLANES = 4                          # blue, green, red, the coarse matte


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU(inplace=True))


def to_cells(planes: Tensor) -> Tensor:
    """(N, C, H, W) to (N, 16 C, H / 4, W / 4): row by row of a cell its pixels, and of each its planes, as ONNX's SpaceToDepth."""
    count, depth, height, width = planes.shape
    apart = planes.reshape(count, depth, height // CELL, CELL, width // CELL, CELL)
    return apart.permute(0, 3, 5, 1, 2, 4).reshape(count, CELL**2 * depth, height // CELL, width // CELL)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        values = PLANES * CELL**2
        self.patches = nn.Sequential(nn.Conv2d(values, FINE, 1), nn.ReLU(inplace=True))
        self.fine = block(FINE, FINE)
        self.down = nn.Sequential(block(FINE, MIDDLE, 2), block(MIDDLE, MIDDLE))
        self.around = nn.Sequential(block(MIDDLE, COARSE, 2), block(COARSE, COARSE), block(COARSE, COARSE))
        self.from_around = nn.Conv2d(COARSE, MIDDLE, 1)
        self.up = block(MIDDLE, MIDDLE)
        self.from_middle = nn.Conv2d(MIDDLE, FINE, 1)
        self.joined = block(FINE, FINE)
        self.hidden = nn.Sequential(nn.Conv2d(FINE + values, HIDDEN, 1), nn.ReLU(inplace=True))
        self.coefficients = nn.Conv2d(HIDDEN, (PLANES + 1) * CELL**2, 1)
        nn.init.zeros_(self.coefficients.weight)
        nn.init.zeros_(self.coefficients.bias)

    def forward(self, picture: Tensor, coarse: Tensor) -> Tensor:
        """picture: (N, 3, H, W) BGR and coarse: (N, 1, H, W), both in [0, 1], sides multiples of 16; gives by how much to
        change ``coarse``, (N, 1, H, W), whose sum may leave [0, 1]."""
        values = to_cells(torch.cat([picture, coarse], 1) - 0.5)
        fine = self.fine(self.patches(values))
        middle = self.down(fine)
        around = F.interpolate(self.from_around(self.around(middle)), scale_factor=2.0, mode="nearest")
        middle = self.up(middle + around)
        joined = self.joined(fine + F.interpolate(self.from_middle(middle), scale_factor=2.0, mode="nearest"))
        coefficients = self.coefficients(self.hidden(torch.cat([joined, values], 1)))
        factors, offsets = coefficients.split([PLANES * CELL**2, CELL**2], 1)
        products = (factors * values).unflatten(1, (CELL**2, PLANES))
        return F.pixel_shuffle(products.sum(2) + offsets, CELL)


class Matte(nn.Module):
    """The network as it is exported: a tile's four channels to its matte in [0, 1]."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, tiles: Tensor) -> Tensor:
        """(N, 4, H, W), BGR and the coarse matte, to (N, 1, H, W)."""
        coarse = tiles[:, 3:]
        return (coarse + self.network(tiles[:, :3], coarse)).clamp(0, 1)
