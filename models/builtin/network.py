"""The matting network: a small encoder and decoder with skip connections, for (N, 3, H, W) BGR in [0, 1].

Plain 3x3 convolutions carry the high resolutions, where they train and run faster on a CPU than depthwise ones of
equal cost; at 1/32 of the picture many layers and a global average let every place see the whole picture.
H and W must be multiples of 32.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 32, 64, 96, 128)  # channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture
# What a sigmoid can hardly reach is taken for reached: it leaves a haze of a few percent where nobody is. Chosen by
# held-out composites; a wider margin lessens the mean absolute difference further, but at the cost of soft edges.
HAZE = 0.06


def convolution(inputs: int, outputs: int, side: int = 3, stride: int = 1, groups: int = 1, active: bool = True) -> nn.Sequential:
    """Convolution, batch normalisation and, if ``active``, ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    if active:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """Two 3x3 convolutions through ``middle`` channels, added to their input."""

    def __init__(self, channels: int, middle: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(convolution(channels, middle), convolution(middle, channels, active=False))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.branch(x))


class Wide(nn.Module):
    """An inverted residual: many channels, mixed over space one by one."""

    def __init__(self, channels: int, expansion: int = 3) -> None:
        super().__init__()
        inner = channels * expansion
        self.branch = nn.Sequential(convolution(channels, inner, 1), convolution(inner, inner, 3, groups=inner),
                                    convolution(inner, channels, 1, active=False))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Climb(nn.Module):
    """One step up in resolution, joined by what the encoder saw there."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.from_low = convolution(low, high, 1, active=False)
        self.from_high = convolution(high, high, 1, active=False)
        self.mix = convolution(high, high)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        raised = F.interpolate(self.from_low(low), scale_factor=2, mode="bilinear", align_corners=False)
        return self.mix(F.relu(raised + self.from_high(high)))


class Network(nn.Module):
    """Returns logits (N, 1, H, W) of alpha, and in training those at 1/8 of the resolution too."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth, coarse = WIDTHS
        self.to_half = convolution(3, half, 3, 2)
        self.to_quarter = nn.Sequential(convolution(half, quarter, 3, 2), Residual(quarter, quarter))
        self.to_eighth = nn.Sequential(convolution(quarter, eighth, 3, 2), Residual(eighth, eighth // 2), Residual(eighth, eighth // 2))
        self.to_sixteenth = nn.Sequential(convolution(eighth, sixteenth, 3, 2), *[Residual(sixteenth, sixteenth // 2) for _ in range(3)])
        self.to_coarse = nn.Sequential(convolution(sixteenth, coarse, 3, 2), Residual(coarse, coarse // 2), Residual(coarse, coarse // 2),
                                       Wide(coarse), Wide(coarse))
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(coarse, coarse, 1))
        self.up_sixteenth, self.up_eighth = Climb(coarse, sixteenth), Climb(sixteenth, eighth)
        self.up_quarter, self.up_half = Climb(eighth, quarter), Climb(quarter, half)
        self.out = nn.Conv2d(half, 4, 3, 1, 1)  # four pixels of the full resolution per place
        self.shuffle = nn.PixelShuffle(2)
        self.coarse_out = nn.Conv2d(eighth, 1, 1)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        half = self.to_half((x - 0.5) * 4)
        quarter = self.to_quarter(half)
        eighth = self.to_eighth(quarter)
        sixteenth = self.to_sixteenth(eighth)
        coarse = self.to_coarse(sixteenth)
        coarse = coarse + self.whole(coarse)
        eighth = self.up_eighth(self.up_sixteenth(coarse, sixteenth), eighth)
        logits = self.shuffle(self.out(self.up_half(self.up_quarter(eighth, quarter), half)))
        return (logits, self.coarse_out(eighth)) if self.training else logits


class Matte(nn.Module):
    """The network as it is exported: alpha in [0, 1] instead of logits, without the haze."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return torch.clamp((torch.sigmoid(self.network(x)) - HAZE) * (1 / (1 - 2 * HAZE)), 0.0, 1.0)
