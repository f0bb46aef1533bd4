"""Families of measured values, each with a learned scale: normal, Laplace, Student t."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .family import Family, Spread


class LocationScale(Family):
    """The decoder gives the location."""

    has_scale = True

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters


class Normal(LocationScale):
    name = "normal"

    def log_prob(
        self, parameters: Tensor, value: Tensor, spread: Spread, limits: Tensor | None = None
    ) -> Tensor:
        z = (value - parameters) / spread.scale
        return -0.5 * z.square() - spread.scale.log() - 0.5 * math.log(2.0 * math.pi)

    def variance(self, parameters: Tensor, spread: Spread) -> Tensor:
        return spread.scale.square().expand_as(parameters)

    def sample(self, parameters: Tensor, spread: Spread, generator: Any) -> Tensor:
        return parameters + spread.scale * _normal(parameters, generator)


class Laplace(LocationScale):
    name = "laplace"

    def log_prob(
        self, parameters: Tensor, value: Tensor, spread: Spread, limits: Tensor | None = None
    ) -> Tensor:
        return -(value - parameters).abs() / spread.scale - spread.scale.log() - math.log(2.0)

    def variance(self, parameters: Tensor, spread: Spread) -> Tensor:
        return (2.0 * spread.scale.square()).expand_as(parameters)

    def sample(self, parameters: Tensor, spread: Spread, generator: Any) -> Tensor:
        sign = _normal(parameters, generator).sign()
        return parameters - spread.scale * sign * torch.log1p(-uniform(parameters, generator))


class StudentT(LocationScale):
    """For values with outliers; its degrees of freedom are learned and stay above 2, where it has a
    variance.
    """

    name = "student-t"
    has_degrees = True

    def log_prob(
        self, parameters: Tensor, value: Tensor, spread: Spread, limits: Tensor | None = None
    ) -> Tensor:
        scale, degrees = spread.scale, spread.degrees
        half = 0.5 * (degrees + 1.0)
        normalizer = torch.lgamma(half) - torch.lgamma(0.5 * degrees) - 0.5 * torch.log(math.pi * degrees)
        squared = ((value - parameters) / scale).square()
        return normalizer - scale.log() - half * torch.log1p(squared / degrees)

    def variance(self, parameters: Tensor, spread: Spread) -> Tensor:
        scale, degrees = spread.scale, spread.degrees
        return (degrees / (degrees - 2.0) * scale.square()).expand_as(parameters)

    def sample(self, parameters: Tensor, spread: Spread, generator: Any) -> Tensor:
        normal = _normal(parameters, generator)
        alpha = (0.5 * spread.degrees).expand(parameters.shape).contiguous()
        chi_square = 2.0 * torch._standard_gamma(alpha, generator=generator)
        return parameters + spread.scale * normal * (spread.degrees / chi_square).sqrt()


def uniform(like: Tensor, generator: Any) -> Tensor:
    """Uniform on [0, 1), of the shape, dtype and device of `like`."""
    return torch.rand(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def _normal(like: Tensor, generator: Any) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)
