"""What a family of observation models declares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from torch import Tensor


class Spread(NamedTuple):
    """What is learned for each feature beside the decoder's outputs; None where the family has no such thing.

    scale: (..., n), in the units the values are modelled in; degrees: (n,), of freedom.
    """

    scale: Tensor = None  # type: ignore[assignment]
    degrees: Tensor = None  # type: ignore[assignment]


class Family(ABC):
    """p(x | parameters) of n features of one kind at once.

    `parameters` are the decoder's outputs, (..., n) for a family with one output a feature and (..., n, k)
    for one with k. Values (..., n) broadcast against them. A family keeps nothing: what is learned comes as
    `Spread`.
    """

    name: ClassVar[str]
    rescaled: ClassVar[bool] = True
    """Whether values are modelled in standard deviations from the mean, or as they are."""
    has_scale: ClassVar[bool] = False
    has_degrees: ClassVar[bool] = False
    censored: ClassVar[bool] = False
    """Whether a value may be known by its limits alone."""
    classes: ClassVar[bool] = False
    """Whether values are numbers of unordered classes."""
    binary: ClassVar[bool] = False
    """Whether values are 0 or 1."""
    wanted: ClassVar[str] = ""
    """What values have to be, for the sentence about one that is not."""

    def outputs(self, classes: int) -> int:
        """How many decoder outputs a feature takes, with so many classes."""
        return 1

    def inputs(self, classes: int) -> int:
        """How many numbers a recognition network reads of a value."""
        return 1

    @abstractmethod
    def log_prob(
        self, parameters: Tensor, value: Tensor, spread: Spread, limits: Tensor | None = None
    ) -> Tensor:
        """(..., n) log density, or log probability of what is discrete or censored.

        limits: (..., n, 2), the ends of the interval a value lies in, NaN where it is known itself.
        """

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """(..., n); of a class its number."""

    @abstractmethod
    def variance(self, parameters: Tensor, spread: Spread) -> Tensor:
        """(..., n), given the parameters."""

    @abstractmethod
    def sample(self, parameters: Tensor, spread: Spread, generator: object) -> Tensor:
        """(..., n) new values, never censored."""

    def encode(self, value: Tensor, limits: Tensor | None, classes: int) -> Tensor:
        """(..., n, inputs) as a recognition network reads values (..., n)."""
        return value.unsqueeze(-1)

    def wrong(self, values: np.ndarray, classes: int) -> np.ndarray:
        """(R,) bool: which of the values (R,), NaN for none, this family cannot have."""
        return np.zeros(values.shape, dtype=bool)
