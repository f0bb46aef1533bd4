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
        lower, upper = limits.unbind(-1)
        # Ends that are not there are put at 0 before anything is computed: no gradient is 0 times infinity.
        low, high = lower.isfinite(), upper.isfinite()
        start, end = torch.where(low, lower, 0.0), torch.where(high, upper, 0.0)
        below, above = (start - parameters) / spread.scale, (end - parameters) / spread.scale
        # Not above - below, which is rounded far away from the data.
        width = torch.where(low & high, end - start, 1.0) / spread.scale
        mass = torch.where(low, self.log_cdf(-below), self.log_cdf(above))
        mass = torch.where(low & high, self.log_interval(below, width), mass)
        return torch.where(lower.isnan(), exact, mass)

    @staticmethod
    @abstractmethod
    def log_cdf(z: Tensor) -> Tensor:
        """log F(z) of the standard member."""

    @classmethod
    def log_interval(cls, a: Tensor, width: Tensor) -> Tensor:
        """log(F(a + width) - F(a)) of the standard member: in the tail where F is small and exact."""
        b = torch.where(a + 0.5 * width > 0, -a, a + width)
        wide = width > _NARROW
        ratio = cls.log_ratio(b, torch.where(wide, width, 1.0))
        return torch.where(wide, cls.log_cdf(b) + torch.log(-torch.expm1(ratio)), cls.log_narrow(b, width))

    @staticmethod
    @abstractmethod
    def log_ratio(b: Tensor, width: Tensor) -> Tensor:
        """log(F(b - width) / F(b)) for b - width / 2 <= 0, not as a difference of large numbers."""

    @staticmethod
    @abstractmethod
    def log_narrow(b: Tensor, width: Tensor) -> Tensor:
        """log(F(b) - F(b - width)) of a narrow interval."""

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
        # Far out the gradient of torch's own is wrong in float32: there by erfcx, without a difference.
        far = torch.where(z < -1.0, z, -2.0)
        tail = torch.special.erfcx(-far / math.sqrt(2.0)).log() - 0.5 * far.square() - math.log(2.0)
        return torch.where(z < -1.0, tail, torch.special.log_ndtr(z.clamp_min(-1.0)))

    @staticmethod
    def log_ratio(b: Tensor, width: Tensor) -> Tensor:
        # F(x) = φ(x) erfcx(-x / √2) √(π / 2), and the squares of φ(b - width) / φ(b) are subtracted by hand.
        tail = b < -1.0
        far = torch.where(tail, b, -2.0)
        scaled = torch.special.erfcx((width - far) / math.sqrt(2.0)).log()
        scaled = scaled - torch.special.erfcx(-far / math.sqrt(2.0)).log()
        near = torch.where(tail, 0.0, b)
        difference = torch.special.log_ndtr(near - width) - torch.special.log_ndtr(near)
        return torch.where(tail, width * (far - 0.5 * width) + scaled, difference)

    @staticmethod
    def log_narrow(b: Tensor, width: Tensor) -> Tensor:
        # φ(x) over the interval is φ(m) exp(-m (x - m)) up to a factor 1 + O(width²).
        middle = b - 0.5 * width
        return (
            -0.5 * middle.square() - 0.5 * math.log(2.0 * math.pi) + width.log() + _log_sinhc(middle * width)
        )


class CensoredLaplace(Censored, Laplace):
    name = "censored-laplace"

    @staticmethod
    def log_cdf(z: Tensor) -> Tensor:
        # Both branches are evaluated: each is fed only what it is finite for.
        upper = torch.log1p(-0.5 * torch.exp(-z.clamp_min(0.0)))
        return torch.where(z > 0, upper, z - math.log(2.0))

    @staticmethod
    def log_ratio(b: Tensor, width: Tensor) -> Tensor:
        # log F(b - width) is b - width - log 2, as b - width is below 0.
        return torch.where(b > 0, b - width - math.log(2.0) - CensoredLaplace.log_cdf(b), -width)

    @staticmethod
    def log_narrow(b: Tensor, width: Tensor) -> Tensor:
        # Below 0 exact; across 0 the density is within a width of 1/2.
        middle = b - 0.5 * width
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
