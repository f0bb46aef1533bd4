"""Weights and activations as one stochastic differential equation.

    prior       dw = f_p(w) dt + σ dB,          f_p = -w (Ornstein-Uhlenbeck) or 0 (Brownian)
    posterior   dw = (f_p + unit · f_θ((w - w(0)) / unit, t)) dt + σ dB
    network     dh = f_h(h, t, w) dt

(Xu, Chen, Li & Duvenaud 2022, "Infinitely deep Bayesian neural networks with stochastic differential
equations", equations 5 to 8).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...girsanov import PathKL
from .weights import FlatModule

PRIORS = ("ornstein-uhlenbeck", "brownian")


class WeightProcess:
    """The posterior SDE of the weights (samples, count), and the prior drift h.

    Args:
        drift: f_θ(t, x), or None for weights that follow their prior. Its x is (w - start) / unit: the noise
            moves weights by some σ, which a network of hundreds of them would hardly see in w; and it gives
            the drift in the same unit, so that with unit = σ it is the control of the path KL, ½ ∫ |f_θ|² dt.
        sigma: (), above 0.
        prior: one of PRIORS.
        start: (count,) where weights begin, in the mean.
        unit: above 0; of the order of σ.
    """

    noise_type, sde_type, additive = "diagonal", "ito", True

    def __init__(
        self, drift: nn.Module | None, sigma: Tensor, prior: str, start: Tensor, unit: float
    ) -> None:
        if prior not in PRIORS:
            raise InputError(f"prior must be {' or '.join(map(repr, PRIORS))}, got {prior!r}")
        if not (math.isfinite(unit) and unit > 0):
            raise InputError(f"unit must be a positive number, got {unit}")
        self.drift, self.sigma, self.prior = drift, sigma, prior
        self.start, self.unit = start, unit

    def f(self, t: Tensor, w: Tensor) -> Tensor:
        prior = self.h(t, w)
        if self.drift is None:
            return prior
        return prior + self.unit * self.drift(t, (w - self.start) / self.unit)

    def g(self, t: Tensor, w: Tensor) -> Tensor:
        return self.sigma.to(w.dtype).expand_as(w)

    def h(self, t: Tensor, w: Tensor) -> Tensor:
        return -w if self.prior == "ornstein-uhlenbeck" else torch.zeros_like(w)


class NoiselessNetwork:
    """(w, h) with the posterior's drift and no noise: an ODE."""

    def __init__(self, weights: WeightProcess, module: FlatModule) -> None:
        self.weights: Any = weights
        self.module = module

    def f(self, t: Tensor, y: Any) -> tuple[Tensor, Tensor]:
        w, h = y
        return self.weights.f(t, w), self.module(t, w, h)


class NoisyNetwork(NoiselessNetwork):
    """(w, h) as one state, with noise in w alone."""

    noise_type, sde_type, additive = "diagonal", "ito", True

    def g(self, t: Tensor, y: Any) -> tuple[Tensor, None]:
        return self.weights.g(t, y[0]), None


class Network(NoisyNetwork):
    """With the path KL of w as its `functional`.

    The KL is of the weights alone, so that sticking the landing, which evaluates the posterior's drift once
    more, leaves the activations' alone.
    """

    def __init__(self, weights: WeightProcess, module: FlatModule, *, sticking_the_landing: bool) -> None:
        super().__init__(weights, module)
        self.weights = PathKL(weights, sticking_the_landing=sticking_the_landing)

    def watch(self, t: Tensor, y: Any) -> None:
        self.weights.watch(t, y[0])

    def seen(self) -> Any:
        return self.weights.seen()

    def functional(self, t: Tensor, y: Any, h: Any, dW: Any, *fields: Tensor) -> Tensor:
        """(samples,) over one step."""
        length = h[0] if isinstance(h, tuple) else h
        kl: Tensor = self.weights.functional(t, y[0], length, dW[0], *fields)
        return kl
