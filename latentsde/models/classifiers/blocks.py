"""What networks of images are made of: the block solved over depth, and what stands between blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, pad, pixel_unshuffle, softplus

from ...errors import InputError


class ConcatSquash(nn.Module):
    """A convolution that is told the time: conv(h) · sigmoid(a t + b) + c t, for each channel it gives
    (Grathwohl, Chen, Bettencourt, Sutskever & Duvenaud 2019, "FFJORD", appendix).
    """

    def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.gate = nn.Linear(1, convolution.out_channels)
        self.shift = nn.Linear(1, convolution.out_channels, bias=False)

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        # Gate and shift are the same at all places, so they go into the convolution's weights: the images,
        # which are larger, are passed over once.
        convolution = self.convolution
        assert convolution.bias is not None
        gate = torch.sigmoid(self.gate.weight.squeeze(-1) * t + self.gate.bias)
        bias = convolution.bias * gate + self.shift.weight.squeeze(-1) * t
        stride, padding = convolution.stride, convolution.padding
        if isinstance(convolution, nn.ConvTranspose2d):
            weight, more = convolution.weight * gate.view(1, -1, 1, 1), convolution.output_padding
            return conv_transpose2d(h, weight, bias, stride, padding, more)  # type: ignore[arg-type]
        return conv2d(h, convolution.weight * gate.view(-1, 1, 1, 1), bias, stride, padding)


class ConvolutionBlock(nn.Module):
    """f_h(h, t) of (batch, channels, height, width): 3×3 to `width` channels, 3×3 with stride 2, its
    transpose, 3×3 back, softplus between (Xu, Chen, Li & Duvenaud 2022, appendix).
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConcatSquash(layer)
            for layer in (
                nn.Conv2d(channels, width, 3, padding=1),
                nn.Conv2d(width, width, 3, stride=2, padding=1),
                nn.ConvTranspose2d(width, width, 3, stride=2, padding=1, output_padding=1),
                nn.Conv2d(width, channels, 3, padding=1),
            )
        )

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        height, width = h.shape[-2:]
        for k, layer in enumerate(self.layers):
            h = layer(t, softplus(h) if k else h)
        return h[..., :height, :width]  # one row and one column more, where it was odd


class Standardise(nn.Module):
    """Bytes (batch, channels, height, width) to numbers of about unit size, channels last in memory.

    Args:
        shape: (channels, height, width) of the images; others are refused with `InputError`.
        mean, std: of each channel, of bytes as numbers from 0 to 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, shape: Sequence[int], mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[1:] != self.shape:  # else grey ones would do for three channels, in silence
            raise InputError(
                f"images of shape {tuple(images.shape[1:])} are not those of this network, {self.shape}; "
                "give it images of its own data set"
            )
        x = (images.to(self.mean.dtype) / 255.0 - self.mean) / self.std
        return x.contiguous(memory_format=torch.channels_last)


class AugmentChannels(nn.Module):
    """Zeros for channels that a block may use as it likes (Dupont, Doucet & Teh 2019)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, h: Tensor) -> Tensor:
        return pad(h, (0, 0, 0, 0, 0, self.count)) if self.count else h


class SpaceToDepth(nn.Module):
    """Squares of 2 by 2 to four channels; an odd height or width gets a row or column of zeros first."""

    def forward(self, h: Tensor) -> Tensor:
        odd = (h.shape[-1] % 2, h.shape[-2] % 2)
        return pixel_unshuffle(pad(h, (0, odd[0], 0, odd[1])) if any(odd) else h, 2)


class Head(nn.Module):
    """(batch, channels, height, width) to logits: a linear map of all numbers, in full precision."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, classes)

    def forward(self, h: Tensor) -> Tensor:
        with torch.autocast(h.device.type, enabled=False):
            out: Tensor = self.linear(h.flatten(1))
        return out


def check_images(shape: Sequence[int]) -> None:
    """InputError for images (channels, height, width) that no network of this room takes."""
    if len(shape) != 3 or min(shape) < 1 or min(shape[1:]) < 8:
        raise InputError(
            f"images of shape {tuple(shape)} cannot be classified here; they must be "
            "(channels, height, width) with at least 8 by 8 pixels"
        )
