"""ResNet32, pre-activation and without normalisation: what a user would otherwise train.

He, Zhang, Ren & Sun 2016, "Identity mappings in deep residual networks"; the last convolution of every block
starts at 0, so that without normalisation the signal keeps its size (Zhang, Dauphin & Ma 2019, "Fixup").
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad


class ResidualBlock(nn.Module):
    """h + conv(relu(conv(relu(h)))); with a stride the shortcut is a mean over 2 by 2, new channels zeros.

    Args:
        dropout: share of channels' numbers dropped before the second convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]
        self.dropout = nn.Dropout(dropout)
        self.stride, self.added = stride, outputs - inputs

    def forward(self, h: Tensor) -> Tensor:
        out = self.second(self.dropout(torch.relu(self.first(torch.relu(h)))))
        short = avg_pool2d(h, self.stride, ceil_mode=True) if self.stride > 1 else h
        return out + (pad(short, (0, 0, 0, 0, 0, self.added)) if self.added else short)


class ResNet(nn.Sequential):
    """A convolution, stages of `blocks` residual blocks, means over places and a linear map.

    With blocks (5, 5, 5) it has 32 layers.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        widths: Sequence[int] = (16, 32, 64),
        blocks: Sequence[int] = (5, 5, 5),
        dropout: float = 0.0,
    ) -> None:
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 3, padding=1)]
        inputs = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for k in range(count):
                layers.append(ResidualBlock(inputs, width, 2 if stage and k == 0 else 1, dropout))
                inputs = width
        layers += [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]
        super().__init__(*layers)
