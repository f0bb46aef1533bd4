"""A set of images, each with its class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from latentsde.errors import InputError


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """N images of equal size and their classes.

    Attributes:
        images: (N, C, H, W), uint8 from 0 to 255, channels first.
        labels: (N,), int64 from 0 to K - 1: positions in `classes`.
        classes: the K names, all different.
        note: what every figure from these data must say, such as "JPEG CIFAR-10"; empty where nothing is.

    Raises:
        InputError: for another shape or type, labels without a class, or names given twice.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    note: str = ""

    def __post_init__(self) -> None:
        _check_type("images", self.images, torch.uint8, "(N, C, H, W)", 4)
        _check_type("labels", self.labels, torch.int64, "(N,)", 1)
        if len(self.images) != len(self.labels):
            raise InputError(
                f"there are {len(self.images)} images and {len(self.labels)} labels; give one for each image"
            )
        if 0 in self.images.shape[1:]:
            raise InputError(
                f"the images have the shape {tuple(self.images.shape)}; give them a channel and a pixel each"
            )
        if not isinstance(self.classes, tuple) or len(set(self.classes)) != len(self.classes):
            raise InputError(
                f"the classes are {self.classes!r}; give a tuple of names that are all different"
            )
        wrong = ((self.labels < 0) | (self.labels >= len(self.classes))).nonzero()
        if len(wrong):
            image, count = int(wrong[0]), len(self.classes)
            raise InputError(
                f"image {image} (from 0) has the label {int(self.labels[image])}, and the labels of {count} "
                f"classes are 0 to {count - 1}; correct the label or name its class"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: Tensor | np.ndarray | Sequence[int]) -> LabelledImages:
        """The images at `indices` (M,), whole numbers from 0 to N - 1, in their order; one may come again."""
        positions = torch.as_tensor(indices)
        if positions.numel() == 0:
            positions = positions.long()
        # A mask is refused with the rest: as numbers its entries would be the images 0 and 1, in silence.
        if positions.ndim != 1 or positions.dtype.is_floating_point or positions.dtype == torch.bool:
            raise InputError(
                f"indices are {positions.dtype} of the shape {tuple(positions.shape)}; "
                "give a list of whole numbers (of a mask, mask.nonzero().flatten())"
            )
        positions = positions.long()
        outside = positions[(positions < 0) | (positions >= len(self))]
        if len(outside):
            raise InputError(
                f"there is no image {int(outside[0])} among {len(self)}; indices are 0 to {len(self) - 1}"
            )
        return replace(self, images=self.images[positions], labels=self.labels[positions])

    def split(self, count: int, *, seed: int) -> tuple[LabelledImages, LabelledImages]:
        """The rest, and `count` images held out: the last of a permutation that is a function of the seed.

        Both keep the permutation's order. Raises `InputError` unless 1 <= count <= N - 1.
        """
        if not 1 <= count < len(self):
            raise InputError(
                f"{count} of {len(self)} images cannot be held out; choose a count from 1 to {len(self) - 1}"
            )
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return self.select(order[:-count]), self.select(order[-count:])


def _check_type(name: str, values: Tensor, dtype: torch.dtype, shape: str, dimensions: int) -> None:
    if not isinstance(values, Tensor):
        raise InputError(
            f"{name} are a {type(values).__name__}; give a tensor (torch.from_numpy of an array)"
        )
    if values.ndim != dimensions:
        raise InputError(f"{name} have the shape {tuple(values.shape)}; give them as {shape}")
    if values.dtype != dtype:
        raise InputError(f"{name} are {values.dtype}; give them as {dtype}")
