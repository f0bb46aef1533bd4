"""What the statistical tests share: thresholds from a stated rate of false alarms.

All seeds are fixed, so a test that passes once passes always; the rate says how likely a correct
implementation was to fail on the day its seed was chosen, and so what a failure after a change of the stream
is worth.
"""

from __future__ import annotations

import torch
from scipy import stats  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor

FALSE_ALARM = 1e-5
"""Of one test function, whatever the number of figures it looks at."""


def bound(figures: int = 1, false_alarm: float = FALSE_ALARM) -> float:
    """The |z| that any of so many normal figures exceeds at no more than the given rate (Bonferroni)."""
    return float(stats.norm.isf(false_alarm / (2 * figures)))


def normality(draws: Tensor) -> float:
    """The p-value of Kolmogorov and Smirnov for standard normal draws."""
    return float(stats.kstest(draws.flatten().double().numpy(), "norm").pvalue)


def correlation_z(first: Tensor, second: Tensor) -> Tensor:
    """z of the correlation of standardised columns: (draws, m) and (draws, n) -> (m, n)."""
    first, second = first.double(), second.double()
    first = (first - first.mean(0)) / first.std(0)
    second = (second - second.mean(0)) / second.std(0)
    return first.t() @ second / len(first) ** 0.5


def mean_z(draws: Tensor, mean: Tensor | float, variance: Tensor | float) -> Tensor:
    """z of the mean over the first axis, whose variance is known."""
    deviation = (torch.as_tensor(variance) / len(draws)) ** 0.5
    return (draws.double().mean(0) - mean) / deviation


def variance_z(draws: Tensor, variance: Tensor | float) -> Tensor:
    """z of the second moment over the first axis, for normal draws of known mean 0 and the given variance."""
    return (draws.double().square().mean(0) / variance - 1.0) * (len(draws) / 2) ** 0.5


def covariance_z(
    first: Tensor,
    second: Tensor,
    covariance: Tensor | float,
    variances: tuple[Tensor | float, Tensor | float],
) -> Tensor:
    """z of the mixed moment over the first axis, for normal draws of mean 0 with the given second moments."""
    deviation = ((variances[0] * variances[1] + covariance**2) / len(first)) ** 0.5
    return ((first * second).double().mean(0) - covariance) / deviation
