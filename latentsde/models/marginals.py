"""A posterior that is given by its marginals, and the one SDE that has them.

For q(z_t) = N(μ(t), s(t)²) in every dimension and a diffusion σ(z), the probability flow of the marginals is

    v(z, t) = μ' + (s'/s) (z - μ),          ∂q/∂t = -∂(v q)/∂z.

The Fokker-Planck equation of dz = f dt + σ dW is ∂q/∂t = -∂(f q)/∂z + ½ ∂²(σ² q)/∂z², which is the former for

    f_q = v + ½ σ² ∂log q/∂z + ½ ∂σ²/∂z,    ∂log q/∂z = -(z - μ) / s²

(Bartosh, Vetrov & Naesseth 2025, "SDE matching", whose reverse of this is their equation for the posterior
drift; Itô). μ and s are continuous and may have kinks, where the drift of a true posterior jumps as well.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Marginal(NamedTuple):
    """q(z_t) at times of any shape: independent normals, and how they change.

    Attributes:
        mean, std: (..., L).
        mean_rate: (..., L) dμ/dt, to the right where there is a kink.
        log_std_rate: (..., L) d log s/dt.
    """

    mean: Tensor
    std: Tensor
    mean_rate: Tensor
    log_std_rate: Tensor


def induced_drift(
    z: Tensor, marginal: Marginal, diffusion: Tensor, variance_slope: Tensor | None = None
) -> Tensor:
    """f_q (..., L) at states z (..., L): the drift that gives a path these marginals.

    Args:
        diffusion: (..., L) σ at z.
        variance_slope: (..., L) ∂σ²/∂z at z; None for a diffusion that does not depend on the state.
    """
    away = z - marginal.mean
    pull = marginal.log_std_rate - 0.5 * (diffusion / marginal.std).square()
    drift = marginal.mean_rate + pull * away
    return drift if variance_slope is None else drift + 0.5 * variance_slope
