"""The exact posterior of an Ornstein-Uhlenbeck process seen at single times: Kalman filter, RTS smoother.

dz = -θ z dt + σ dW from its stationary law, x_i = z(t_i) + s ε (Rauch, Tung & Striebel 1965). All by exact
transitions: there is no step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
