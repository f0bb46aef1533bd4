"""Observation models p(x | decoder output), a family for each feature."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

LIKELIHOODS = ("normal", "laplace", "student-t", "poisson")
MIN_SCALE = 1e-3
MIN_DEGREES = 2.1  # the variance of a Student t exists above 2


class Likelihoods(nn.Module):
    """One family for each feature; the decoder gives its location (for counts the log of its rate), the scale
    is learned.

    Values are in scaled units except for "poisson", whose features are counts and are never rescaled.

    Args:
        families: (F,) names out of `LIKELIHOODS`.
    """

    def __init__(self, families: tuple[str, ...]) -> None:
        super().__init__()
        self.families = families
        self.raw_scale = nn.Parameter(torch.full((len(families),), -1.0))
        self.raw_degrees = nn.Parameter(torch.full((len(families),), 3.0))

    @property
    def scale(self) -> Tensor:
        """(F,) the scale parameter of each feature."""
        return softplus(self.raw_scale) + MIN_SCALE

    @property
    def degrees(self) -> Tensor:
        """(F,) degrees of freedom, used by "student-t" alone."""
        return softplus(self.raw_degrees) + MIN_DEGREES

    def log_prob(self, location: Tensor, value: Tensor, widened: Tensor | None = None) -> Tensor:
        """(..., F) log density of `value` (its log probability for counts); broadcasts.

        `widened` (..., F) adds to the scales in quadrature; counts have none.
        """
        scale, degrees = self.scale, self.degrees
        if widened is not None:
            scale = (scale.square() + widened.square()).sqrt()
        columns = []
        for index, family in enumerate(self.families):
            x, m, s = value[..., index], location[..., index], scale[..., index]
            if family == "normal":
                column = -0.5 * ((x - m) / s).square() - s.log() - 0.5 * math.log(2.0 * math.pi)
            elif family == "laplace":
                column = -(x - m).abs() / s - s.log() - math.log(2.0)
            elif family == "student-t":
                column = _student_t(((x - m) / s).square(), s, degrees[index])
            else:
                column = x * m - m.exp() - torch.lgamma(x + 1.0)
            columns.append(column)
        return torch.stack(columns, dim=-1)

    def mean(self, location: Tensor) -> Tensor:
        """(..., F) mean of an observation."""
        return torch.where(self._counts(location), location.exp(), location)

    def variance(self, location: Tensor) -> Tensor:
        """(..., F) variance of an observation given its location."""
        scale, degrees = self.scale, self.degrees
        factors = {"normal": torch.ones_like(scale), "laplace": 2.0 * torch.ones_like(scale)}
        factors |= {"student-t": degrees / (degrees - 2.0), "poisson": torch.zeros_like(scale)}
        constant = (
            torch.stack([factors[family][index] for index, family in enumerate(self.families)])
            * scale.square()
        )
        return torch.where(self._counts(location), location.exp(), constant.expand_as(location))

    def sample(self, location: Tensor, generator: torch.Generator) -> Tensor:
        """(..., F) a new observation for each location."""
        scale, degrees = self.scale, self.degrees
        columns = []
        for index, family in enumerate(self.families):
            m, s = location[..., index], scale[index]
            normal = torch.randn(m.shape, generator=generator, dtype=m.dtype, device=m.device)
            if family == "normal":
                column = m + s * normal
            elif family == "laplace":
                uniform = torch.rand(m.shape, generator=generator, dtype=m.dtype, device=m.device)
                column = m - s * normal.sign() * torch.log1p(-uniform)
            elif family == "student-t":
                chi_square = _chi_square(degrees[index], m, generator)
                column = m + s * normal * (degrees[index] / chi_square).sqrt()
            else:
                column = torch.poisson(m.exp(), generator=generator)
            columns.append(column)
        return torch.stack(columns, dim=-1)

    def encoder_values(self, values: Tensor) -> Tensor:
        """Values as a network reads them: counts by log(1 + count)."""
        return torch.where(self._counts(values), torch.log1p(values.clamp_min(0.0)), values)

    def _counts(self, like: Tensor) -> Tensor:
        return torch.tensor([family == "poisson" for family in self.families], device=like.device)


def _student_t(squared: Tensor, scale: Tensor, degrees: Tensor) -> Tensor:
    half = 0.5 * (degrees + 1.0)
    constant = (
        torch.lgamma(half) - torch.lgamma(0.5 * degrees) - 0.5 * torch.log(math.pi * degrees) - scale.log()
    )
    return constant - half * torch.log1p(squared / degrees)


def _chi_square(degrees: Tensor, like: Tensor, generator: torch.Generator) -> Tensor:
    alpha = (0.5 * degrees).expand(like.shape)
    return 2.0 * torch._standard_gamma(alpha.contiguous(), generator=generator)
