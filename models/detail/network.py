"""The network: a tile of a picture and its coarse matte in, the tile's matte out.

Down to a quarter of the resolution at once, where most of the work is done, and to a sixteenth for what lies around.
Locally alpha is close to an affine function of colour (Levin, Lischinski and Weiss, "A Closed-Form Solution to
Natural Image Matting", 2008), so what comes back to the full resolution are the coefficients of such functions; two
small convolutions make one matte of them.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FINE, MIDDLE, COARSE = 32, 32, 48   # channels at a quarter, an eighth and a sixteenth of the resolution
MAPS = 2                            # affine functions of colour to a pixel
LAST = 8                            # channels at the full resolution


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU(inplace=True))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Sequential(nn.Conv2d(4, FINE, 4, 4), nn.ReLU(inplace=True))
        self.fine = block(FINE, FINE)
        self.down = nn.Sequential(block(FINE, MIDDLE, 2), block(MIDDLE, MIDDLE))
        self.around = nn.Sequential(block(MIDDLE, COARSE, 2), block(COARSE, COARSE), block(COARSE, COARSE))
        self.from_around = nn.Conv2d(COARSE, MIDDLE, 1)
        self.up = block(MIDDLE, MIDDLE)
        self.from_middle = nn.Conv2d(MIDDLE, FINE, 1)
        self.joined = block(FINE, FINE)
        self.coefficients = nn.Conv2d(2 * FINE, MAPS * 4 * 16, 1)
        self.last = nn.Sequential(nn.Conv2d(MAPS + 4, LAST, 3, 1, 1), nn.ReLU(inplace=True), nn.Conv2d(LAST, 1, 3, 1, 1))
        nn.init.zeros_(self.last[-1].weight)
        nn.init.zeros_(self.last[-1].bias)

    def forward(self, picture: Tensor, coarse: Tensor) -> Tensor:
        """picture: (N, 3, H, W) BGR and coarse: (N, 1, H, W), both in [0, 1], sides multiples of 16; gives by how much to
        change ``coarse``, (N, 1, H, W), whose sum may leave [0, 1]."""
        seen = torch.cat([picture, coarse], 1) - 0.5
        patches = self.patches(seen)
        fine = self.fine(patches)
        middle = self.down(fine)
        around = F.interpolate(self.from_around(self.around(middle)), scale_factor=2.0, mode="nearest")
        middle = self.up(middle + around)
        joined = self.joined(fine + F.interpolate(self.from_middle(middle), scale_factor=2.0, mode="nearest"))
        maps = F.pixel_shuffle(self.coefficients(torch.cat([joined, patches], 1)), 4)
        affine = [(maps[:, 4 * index:4 * index + 3] * seen[:, :3]).sum(1, keepdim=True) + maps[:, 4 * index + 3:4 * index + 4] for index in range(MAPS)]
        return self.last(torch.cat([*affine, seen], 1))


class Matte(nn.Module):
    """The network as it is exported: a tile's four channels to its matte in [0, 1]."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, tiles: Tensor) -> Tensor:
        """(N, 4, H, W), BGR and the coarse matte, to (N, 1, H, W)."""
        coarse = tiles[:, 3:]
        return (coarse + self.network(tiles[:, :3], coarse)).clamp(0, 1)
