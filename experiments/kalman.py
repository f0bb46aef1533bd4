"""The exact posterior of an Ornstein-Uhlenbeck process seen at single times: smoother, and as an SDE.

dz = -θ z dt + σ dW from its stationary law, x_i = z(t_i) + s ε (Rauch, Tung & Striebel 1965). By exact
transitions: there is no step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal


@dataclass(frozen=True)
class Smoothed:
    """log p(x) in nats, and mean and standard deviation (times,) of z given every observation."""

    log_likelihood: float
    mean: np.ndarray
    std: np.ndarray


def smooth(times: np.ndarray, observed: np.ndarray, *, theta: float, sigma: float, error: float) -> Smoothed:
    """The posterior at increasing `times` (times,); `observed` (times,) is NaN where nothing was seen."""
    stationary = sigma**2 / (2.0 * theta)
    decay = np.exp(-theta * np.diff(times))
    ahead_mean, ahead_variance, mean, variance = (np.empty(len(times)) for _ in range(4))
    total = 0.0
    for k in range(len(times)):
        ahead_mean[k], ahead_variance[k] = 0.0, stationary
        if k:
            ahead_mean[k] = decay[k - 1] * mean[k - 1]
            ahead_variance[k] = decay[k - 1] ** 2 * variance[k - 1] + stationary * (1.0 - decay[k - 1] ** 2)
        mean[k], variance[k] = ahead_mean[k], ahead_variance[k]
        if np.isfinite(observed[k]):
            spread = ahead_variance[k] + error**2
            surprise = observed[k] - ahead_mean[k]
            total -= 0.5 * (surprise**2 / spread + np.log(2.0 * np.pi * spread))
            gain = ahead_variance[k] / spread
            mean[k], variance[k] = ahead_mean[k] + gain * surprise, (1.0 - gain) * ahead_variance[k]
    for k in reversed(range(len(times) - 1)):
        gain = variance[k] * decay[k] / ahead_variance[k + 1]
        mean[k] += gain * (mean[k + 1] - ahead_mean[k + 1])
        variance[k] += gain**2 * (variance[k + 1] - ahead_variance[k + 1])
    return Smoothed(float(total), mean, np.sqrt(variance))


class ExactPosterior:
    """The posterior as an SDE: f = -θ z + σ² d/dz log p(what is observed later | z), at the times of a grid.

    The message p(later | z) is exp(-½ J z² + H z) up to a factor, J and H by the backward information filter.
    `h` is the prior's drift.
    """

    noise_type, sde_type, additive = "diagonal", "ito", True

    def __init__(
        self, times: np.ndarray, observed: np.ndarray, *, theta: float, sigma: float, error: float
    ) -> None:
        self.theta, self.sigma, self.dt = theta, sigma, float(times[1] - times[0])
        precision, shift = np.zeros(len(times)), np.zeros(len(times))
        decay = np.exp(-theta * self.dt)
        spread = sigma**2 / (2.0 * theta) * (1.0 - decay**2)
        for k in reversed(range(1, len(times))):
            seen = np.isfinite(observed[k])
            ahead = precision[k] + (error**-2 if seen else 0.0)
            towards = shift[k] + (observed[k] / error**2 if seen else 0.0)
            shrink = 1.0 + spread * ahead
            precision[k - 1], shift[k - 1] = decay**2 * ahead / shrink, decay * towards / shrink
        self.precision, self.shift = torch.from_numpy(precision), torch.from_numpy(shift)

    def start(self) -> Normal:
        """q(z0), the time 0 being without an observation of its own."""
        precision = self.precision[:1] + 2.0 * self.theta / self.sigma**2
        return Normal((self.shift[:1] / precision).float(), precision.rsqrt().float())

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        k = torch.round(t / self.dt).long()
        control = self.sigma**2 * (self.shift[k] - self.precision[k] * y)
        return self.h(t, y) + control.to(y.dtype)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(y, self.sigma)

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return -self.theta * y
