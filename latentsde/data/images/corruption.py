"""Test sets made from others: what a classifier should be less sure of, or has never seen.

Each is a function of its arguments alone. Labels are kept, the note says what was done. The arithmetic is in
float64 and rounded to whole grey levels, so that the order of a sum does not show.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from latentsde.data.images import cifar10, idx
from latentsde.data.images.labelled import LabelledImages
from latentsde.errors import InputError, quote

CHUNK = 500
"""Images at a time: ten thousand of CIFAR-10 in float64 are a quarter of a gigabyte."""

LUMINANCE = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601)."""


def rotated(images: LabelledImages, degrees: float) -> LabelledImages:
    """Turned counter-clockwise about the centre, black where nothing was; bilinear, the frame stays.

    For square images 90 degrees are `torch.rot90(images, 1, (-2, -1))`.
    """
    if not math.isfinite(degrees):
        raise InputError(f"images cannot be rotated by {degrees} degrees; give a finite number")
    height, width = images.images.shape[-2:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # From a place in the result to where it is taken from, in half widths and half heights; +y is down.
    matrix = [[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]]
    backwards = torch.tensor([matrix], dtype=torch.float64)

    def turn(pixels: Tensor) -> Tensor:
        places = affine_grid(backwards.expand(len(pixels), -1, -1), list(pixels.shape), align_corners=False)
        return grid_sample(pixels, places, mode="bilinear", padding_mode="zeros", align_corners=False)

    return _changed(images, turn, f"rotated by {degrees:g} degrees")


def noisy(images: LabelledImages, std: float, seed: int) -> LabelledImages:
    """With independent normal noise on every value, of standard deviation `std` as a share of 255."""
    _check_severity("std", std)
    generator = torch.Generator().manual_seed(seed)

    def add(pixels: Tensor) -> Tensor:
        return pixels + 255 * std * torch.randn(pixels.shape, generator=generator, dtype=torch.float64)

    return _changed(images, add, f"with noise of standard deviation {std:g} (seed {seed})")


def blurred(images: LabelledImages, width: float) -> LabelledImages:
    """Averaged with Gaussian weights of standard deviation `width` in pixels, over what lies in the frame."""
    _check_severity("width", width)

    def weights(size: int) -> Tensor:
        if width == 0:
            return torch.eye(size, dtype=torch.float64)
        places = torch.arange(size, dtype=torch.float64)
        # A softmax divides the weights within the frame by their sum, and of tiny widths leaves a one.
        return (-0.5 * ((places - places[:, None]) / width).square()).softmax(-1)

    down, across = (weights(size) for size in images.images.shape[-2:])
    return _changed(images, lambda pixels: down @ pixels @ across.T, f"blurred by {width:g} pixels")


def contrast(images: LabelledImages, factor: float) -> LabelledImages:
    """Differences from the mean of an image's channel times `factor`; 1 changes nothing, 0 leaves means."""
    _check_severity("factor", factor)

    def stretch(pixels: Tensor) -> Tensor:
        mean = pixels.mean((-2, -1), keepdim=True)
        return mean + factor * (pixels - mean)

    return _changed(images, stretch, f"contrast times {factor:g}")


def out_of_distribution(
    name: str, root: str | Path, like: LabelledImages, count: int | None = None
) -> LabelledImages:
    """Test images of another world than those called `name`, in the channels and size of the images `like`:
    the first `count`, or all.

    For "mnist" the test images of CIFAR-10, grey if need be; for "cifar10" those of MNIST. Labels and classes
    are those of the images themselves. Raises `InputError` for another name, and as the readers do.
    """
    if name == "mnist":
        other, what = cifar10.read_parts(root, ("test",))[0], "CIFAR-10 test images"
    elif name == "cifar10":
        other, what = idx.read_part(root, "test"), "MNIST test images"
    else:
        raise InputError(f"nothing is known to be unlike {quote(name)}; choose mnist or cifar10")
    if count is not None:
        other = other.select(torch.arange(min(count, len(other))))
    channels, height, width = like.images.shape[1:]
    if channels not in (1, 3):
        raise InputError(f"the images have {channels} channels, {what} come in 1 or 3; give such images")

    def fit(pixels: Tensor) -> Tensor:
        if channels < pixels.shape[1]:
            grey = torch.tensor(LUMINANCE, dtype=torch.float64)
            pixels = (grey.view(1, 3, 1, 1) * pixels).sum(1, keepdim=True)
        pixels = pixels.expand(-1, channels, -1, -1)
        return interpolate(pixels, (height, width), mode="bilinear", antialias=True, align_corners=False)

    how = f"{what} as {channels} x {height} x {width}, out of distribution for {name}"
    return _changed(other, fit, how, (channels, height, width))


def _changed(
    images: LabelledImages,
    change: Callable[[Tensor], Tensor],
    how: str,
    shape: tuple[int, int, int] | None = None,
) -> LabelledImages:
    """`change` applied to float64 pixels (n, C, H, W), whose result has `shape` or that of the images."""
    pixels = images.images.new_empty((len(images), *(shape or images.images.shape[1:])))
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        pixels[part] = change(images.images[part].double()).round().clamp(0, 255).to(torch.uint8)
    note = f"{images.note}; {how}" if images.note else how
    return replace(images, images=pixels, note=note)


def _check_severity(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{name} is {value}; give a finite number, 0 or more")
