"""The configuration of a classifier of images: everything but its weights."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ...data.images import LabelledImages
from ...errors import InputError
from ..sde_bnn import Depth
from .blocks import check_images

NAMES = (
    "sde-bnn",
    "odenet",
    "hyper-odenet",
    "resnet32",
    "mean-field-resnet32",
    "mean-field-odenet",
    "mean-field-hyper-odenet",
    "deep-ensemble",
    "mc-dropout",
)


@dataclass(frozen=True)
class ClassifierConfig:
    """Raises `InputError` for a value out of range.

    Attributes:
        model: one of NAMES.
        image: (channels, height, width).
        classes: their names.
        mean, std: of the training images' channels, from 0 to 1.
        blocks: of continuous depth, in each group; between groups, and before the first where `reduce` says
            so, space goes to depth.
        reduce: times that space goes to depth before the first group.
        augment: channels of zeros added before the first group.
        width: F, channels within a block.
        sigma, prior, hidden, rank, unit, initial, sticking_the_landing: of `SDEBNN`.
        depth: how blocks are solved.
        members: of a deep ensemble.
        dropout: the share that MC dropout drops.
        widths: channels of a residual network's stages.
    """

    model: str
    image: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    blocks: tuple[int, ...] = (1, 1)
    reduce: int = 1
    augment: int = 4
    width: int = 32
    sigma: float = 0.1
    prior: str = "ornstein-uhlenbeck"
    hidden: tuple[int, ...] = (2, 64, 2)
    rank: int | None = None
    unit: float | None = None
    initial: str = "point"
    sticking_the_landing: bool = True
    depth: Depth = field(default_factory=Depth)
    members: int = 5
    dropout: float = 0.1
    widths: tuple[int, ...] = (16, 32, 64)

    def __post_init__(self) -> None:
        if self.model not in NAMES:
            raise InputError(f"unknown model {self.model!r}; choose from {', '.join(NAMES)}")
        check_images(self.image)
        if len(self.classes) < 2:
            raise InputError(f"a classifier needs two classes or more, got {len(self.classes)}")
        if not len(self.mean) == len(self.std) == self.image[0]:
            raise InputError(f"mean and std are needed for each of the {self.image[0]} channels")
        if not 0.0 <= self.dropout < 1.0:
            raise InputError(f"dropout must be from 0 to below 1, got {self.dropout}")
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise InputError(f"sigma must be a positive number, got {self.sigma}")
        for name in ("blocks", "widths"):
            if not getattr(self, name) or min(getattr(self, name)) < 1:
                raise InputError(f"{name} must be whole numbers of at least 1, got {getattr(self, name)}")
        for name, least in (("reduce", 0), ("augment", 0), ("width", 1), ("members", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")

    @classmethod
    def for_images(
        cls, images: LabelledImages, *, model: str = "sde-bnn", **options: Any
    ) -> ClassifierConfig:
        """For a data set: size, classes, mean and deviation from its images, the rest by name."""
        pixels = images.images.transpose(0, 1).flatten(1).double() / 255.0
        mean, std = ([round(float(x), 4) for x in of] for of in (pixels.mean(1), pixels.std(1)))
        if not min(std) > 0:
            raise InputError("a channel of the images has one value everywhere; leave it out")
        channels, height, width = images.images.shape[1:]
        return cls(model, (channels, height, width), images.classes, tuple(mean), tuple(std), **options)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> ClassifierConfig:
        lists = {
            entry.name: tuple(state[entry.name])
            for entry in fields(cls)
            if isinstance(state.get(entry.name), list)
        }
        return cls(**(state | lists | {"depth": Depth(**state["depth"])}))
