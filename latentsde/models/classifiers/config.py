"""The configuration of a classifier of images: everything but its weights."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch

from ...data.images import LabelledImages
from ...errors import InputError, quote
from ...ranges import whole, within
from ..sde_bnn import Depth
from ..sde_bnn.process import PRIORS
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
MOST_BLOCKS = 1000


@dataclass(frozen=True)
class ClassifierConfig:
    """Raises `InputError` for a value out of range. Noise, prior and depth are by default those of
    docs/results/sde-bnn.md, not the paper's.

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
    sigma: float = 0.01
    prior: str = "brownian"
    hidden: tuple[int, ...] = (2, 64, 2)
    rank: int | None = None
    unit: float | None = None
    initial: str = "point"
    sticking_the_landing: bool = True
    depth: Depth = field(default_factory=lambda: Depth(6))
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
        within("dropout", self.dropout, 0.0, 1.0)
        if self.dropout == 1.0:
            raise InputError("dropout must be below 1: nothing would be left of the network")
        if len(set(self.classes)) != len(self.classes):
            raise InputError("two classes have the same name; give each its own")
        if not all(
            math.isfinite(m) and math.isfinite(s) and s > 0 for m, s in zip(self.mean, self.std, strict=True)
        ):
            raise InputError(f"std must be positive numbers and mean finite, got {self.std} and {self.mean}")
        for name in ("sigma", "unit"):
            value = getattr(self, name)
            if value is not None:
                within(name, value, 0.0, math.inf, above=True)
        if self.prior not in PRIORS:
            raise InputError(f"prior must be {' or '.join(map(repr, PRIORS))}, got {self.prior!r}")
        if self.initial not in ("point", "normal"):
            raise InputError(f"initial must be 'point' or 'normal', got {self.initial!r}")
        for name in ("blocks", "widths", "hidden"):
            if not getattr(self, name):
                raise InputError(f"{name} must be whole numbers, at least one of them")
            for number in getattr(self, name):
                whole(name, number, at_least=1)
        if sum(self.blocks) > MOST_BLOCKS:
            raise InputError(f"blocks are {sum(self.blocks):,}, more than {MOST_BLOCKS:,}; take fewer")
        if len(self.widths) != 3:
            raise InputError(f"a residual network has three widths, got {len(self.widths)}")
        if self.model.startswith("mean-field-") and self.has_depth and self.depth.adjoint != "direct":
            raise InputError(
                f"{self.model} needs adjoint 'direct', got {self.depth.adjoint!r}: the others evaluate a "
                "block again on the way back, when its sampled weights are gone"
            )
        for name, least in (("reduce", 0), ("augment", 0), ("width", 1), ("members", 1)):
            whole(name, getattr(self, name), at_least=least)
        if self.rank is not None:
            whole("rank", self.rank, at_least=1)
        halvings, most = self.reduce + len(self.blocks) - 1, (max(self.image[1:]) - 1).bit_length()
        if self.has_depth and halvings > most:
            raise InputError(
                f"reduce {self.reduce} and {len(self.blocks)} groups of blocks halve images {halvings} times "
                f"and {self.image[1]} by {self.image[2]} are one pixel after {most}; take fewer groups"
            )
        if not isinstance(self.sticking_the_landing, bool):
            raise InputError(
                f"sticking_the_landing must be True or False, got {quote(self.sticking_the_landing)}"
            )

    def uses(self, option: str) -> bool:
        """Whether an attribute of this class, or of its `depth`, changes this model."""
        if option in ("blocks", "reduce", "augment", "width", "depth", "steps", "method", "adjoint"):
            return self.has_depth
        if option == "sigma" and self.model.endswith("hyper-odenet"):
            return self.unit is None  # without noise it is no more than the drift's unit
        if option in ("sigma", "prior", "hidden", "rank", "unit"):
            return self.model.endswith(("sde-bnn", "hyper-odenet"))
        if option in ("initial", "sticking_the_landing"):
            return self.model == "sde-bnn"
        if option == "members":
            return self.model == "deep-ensemble"
        if option == "dropout":
            return self.model == "mc-dropout"
        return option != "widths" or not self.has_depth

    @property
    def has_depth(self) -> bool:
        """Whether blocks are solved, so that steps and tolerance of the solver matter."""
        return self.model.endswith(("sde-bnn", "odenet"))

    @property
    def is_random(self) -> bool:
        """Whether samples of the weights differ."""
        return self.model.startswith("mean-field-") or self.model in (
            "sde-bnn",
            "deep-ensemble",
            "mc-dropout",
        )

    @property
    def has_kl(self) -> bool:
        """Whether the loss has a KL, so that tempering matters."""
        return self.model.startswith("mean-field-") or self.model == "sde-bnn"

    @classmethod
    def for_images(
        cls, images: LabelledImages, *, model: str = "sde-bnn", **options: Any
    ) -> ClassifierConfig:
        """For a data set: size, classes, mean and deviation from its images, the rest by name."""
        # By how often each level occurs: the images as numbers of their own would take gigabytes.
        level = torch.arange(256, dtype=torch.float64) / 255.0
        mean, std = [], []
        for channel in images.images.unbind(1):
            share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
            mean.append(round(float(share @ level), 4))
            std.append(round(float((share @ (level - share @ level).square()).sqrt()), 4))
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
