"""Measured values of which some are known by their limits alone: "<0.3", ">40", "5-10".

The log-likelihood of such a value is the log probability of its interval (Tobin 1958; Kalbfleisch & Prentice
2002, chapter 3). Its mean, variance and samples are those of the value behind the limits.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from .continuous import Laplace, LocationScale, Normal
from .family import Spread

_NARROW = 1e-2  # standard deviations: below, the density in the middle is more exact than a difference


class Censored(LocationScale):
    """A symmetric location-scale family that also takes limits.

    A recognition network reads the value, or the limit that is finite (of an interval the middle), and a sign
    beside it: -1 for a value below its limit, 1 for one above, 0 otherwise.
    """

    censored = True

    def inputs(self, classes: int) -> int:
        return 2

    def log_prob(
        self, parameters: Tensor, value: Tensor, spread: Spread, limits: Tensor | None = None
    ) -> Tensor:
        exact = super().log_prob(parameters, value, spread)  # type: ignore[safe-super]
        if limits is None:
            return exact
        assert spread.scale is not None
        lower, upper = limits.unbind(-1)
        # Ends that are not there are put at 0 before anything is computed: no gradient is 0 times infinity.
        below = (torch.where(lower.isfinite(), lower, 0.0) - parameters) / spread.scale
        above = (torch.where(upper.isfinite(), upper, 0.0) - parameters) / spread.scale
        both = lower.isfinite() & upper.isfinite()
        mass = torch.where(lower.isfinite(), self.log_cdf(-below), self.log_cdf(above))
        mass = torch.where(both, self.log_interval(below, torch.where(both, above, below + 1.0)), mass)
        return torch.where(lower.isnan(), exact, mass)

    @staticmethod
    @abstractmethod
    def log_cdf(z: Tensor) -> Tensor:
        """log F(z) of the standard member."""

    @classmethod
    def log_interval(cls, a: Tensor, b: Tensor) -> Tensor:
        """log(F(b) - F(a)) for a < b of the standard member: in the lower tail, where F is small and exact."""
        flip = a + b > 0
        a, b = torch.where(flip, -b, a), torch.where(flip, -a, b)
        wide = b - a > _NARROW
        high, low = cls.log_cdf(b), cls.log_cdf(torch.where(wide, a, b - _NARROW))
        difference = high + torch.log(-torch.expm1(low - high))
        return torch.where(wide, difference, cls.log_narrow(a, b))

    @staticmethod
    @abstractmethod
    def log_narrow(a: Tensor, b: Tensor) -> Tensor:
        """`log_interval` of a narrow interval, a + b <= 0."""

    def encode(self, value: Tensor, limits: Tensor | None, classes: int) -> Tensor:
        if limits is None:
            return torch.stack([value, torch.zeros_like(value)], dim=-1)
        lower, upper = limits.unbind(-1)
        sign = torch.isposinf(upper).to(value.dtype) - torch.isneginf(lower).to(value.dtype)
        return torch.stack([value, sign.expand_as(value)], dim=-1)


class CensoredNormal(Censored, Normal):
    name = "censored-normal"

    @staticmethod
    def log_cdf(z: Tensor) -> Tensor:
        return torch.special.log_ndtr(z)

    @staticmethod
    def log_narrow(a: Tensor, b: Tensor) -> Tensor:
        # φ(x) over the interval is φ(m) exp(-m (x - m)) up to a factor 1 + O(width²).
        middle, width = 0.5 * (a + b), b - a
        return -0.5 * middle.square() - 0.5 * math.log(2.0 * math.pi) + width.log() + _log_sinhc(middle * width)


class CensoredLaplace(Censored, Laplace):
    name = "censored-laplace"

    @staticmethod
    def log_cdf(z: Tensor) -> Tensor:
        # Both branches are evaluated: each is fed only what it is finite for.
        upper = torch.log1p(-0.5 * torch.exp(-z.clamp_min(0.0)))
        return torch.where(z > 0, upper, z - math.log(2.0))

    @staticmethod
    def log_narrow(a: Tensor, b: Tensor) -> Tensor:
        # Below 0 exact; across 0 the density is within a width of 1/2.
        middle, width = 0.5 * (a + b), b - a
        return -middle.abs() - math.log(2.0) + width.log() + _log_sinhc(width)


def _log_sinhc(x: Tensor) -> Tensor:
    """log(sinh(x/2) / (x/2)) for any x, without a division by 0."""
    half = 0.5 * x.abs()
    small = half < 0.1
    safe = torch.where(small, 1.0, half)
    return torch.where(
        small, half.square() / 6.0 - half.pow(4) / 180.0, safe + _log1mexp(2.0 * safe) - (2.0 * safe).log()
    )


def _log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(-x)) for x > 0."""
    return torch.log(-torch.expm1(-x))
