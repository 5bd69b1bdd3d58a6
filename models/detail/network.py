"""The network: a tile of a picture and its coarse matte in, for each pixel of the tile's middle a function of both out.

All work is done at a quarter of the resolution and below, where convolutions have enough channels to be quick. Locally
alpha is close to an affine function of colour (Levin, Lischinski and Weiss, "A Closed-Form Solution to Natural Image
Matting", 2008), so what is found there are the coefficients of such functions, one for each pixel, of its colour and
coarse matte. At a quarter of the resolution channels and places are told apart (depthwise convolutions), since full
ones cost most there.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL = 4                            # pixels along a side of what has one place at a quarter of the resolution
MARGIN = 4                          # pixels around a tile's middle that are only seen
FINE, MIDDLE, COARSE = 32, 32, 48   # channels at a quarter, an eighth and a sixteenth of the resolution
HIDDEN = 64                         # channels between the features and the coefficients
PLANES = 4                          # blue, green, red, the coarse matte


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU(inplace=True))


def separable(channels: int, side: int, padding: int) -> nn.Sequential:
    """A convolution of ``side`` places for each channel by itself, then one of channels at each place."""
    around = nn.Conv2d(channels, channels, side, padding=padding, groups=channels)
    return nn.Sequential(around, nn.Conv2d(channels, channels, 1), nn.ReLU(inplace=True))


def middle_of(planes: Tensor) -> Tensor:
    return planes[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Sequential(nn.Conv2d(PLANES, FINE, CELL, CELL), nn.ReLU(inplace=True))
        self.fine = separable(FINE, 3, padding=1)
        self.down = nn.Sequential(block(FINE, MIDDLE, 2), block(MIDDLE, MIDDLE))
        self.around = nn.Sequential(block(MIDDLE, COARSE, 2), block(COARSE, COARSE), block(COARSE, COARSE))
        self.from_around = nn.Conv2d(COARSE, MIDDLE, 1)
        self.up = block(MIDDLE, MIDDLE)
        self.from_middle = nn.Conv2d(MIDDLE, FINE, 1)
        # With less padding than the whole it leaves the margin out.
        self.joined = separable(FINE, 5, padding=2 - MARGIN // CELL)
        self.features = nn.Conv2d(FINE, HIDDEN, 1)
        self.pixels = nn.Conv2d(PLANES, HIDDEN, CELL, CELL, bias=False)
        self.coefficients = nn.Conv2d(HIDDEN, (PLANES + 1) * CELL**2, 1)
        nn.init.zeros_(self.coefficients.weight)
        nn.init.zeros_(self.coefficients.bias)

    def coefficients_of(self, tiles: Tensor) -> Tensor:
        """tiles: (N, 4, H, W), BGR and the coarse matte in [0, 1], sides multiples of 16. Gives (N, 5 CELL², h, w), a place
        for each cell of the middle: four factors and an offset, each for the cell's pixels row by row."""
        fine = self.fine(self.patches(tiles))
        middle = self.down(fine)
        around = F.interpolate(self.from_around(self.around(middle)), scale_factor=2.0, mode="nearest")
        middle = self.up(middle + around)
        joined = self.joined(fine + F.interpolate(self.from_middle(middle), scale_factor=2.0, mode="nearest"))
        return self.coefficients(torch.relu(self.features(joined) + self.pixels(middle_of(tiles))))

    def forward(self, tiles: Tensor) -> Tensor:
        """By how much to change the middle of the coarse matte, (N, 1, H - 2 MARGIN, W - 2 MARGIN), whose sum may leave
        [0, 1]."""
        factors, offset = F.pixel_shuffle(self.coefficients_of(tiles), CELL).split([PLANES, 1], 1)
        return (factors * middle_of(tiles)).sum(1, keepdim=True) + offset


class Coefficients(nn.Module):
    """The network as it is exported. What its functions give is cheaper to work out outside of ONNX Runtime, in which a
    quarter of the time went into bringing coefficients to pixels."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, tiles: Tensor) -> Tensor:
        """(N, 4, H, W), BGR and the coarse matte, to (N, h, w, 5 CELL²)."""
        return self.network.coefficients_of(tiles).permute(0, 2, 3, 1)
