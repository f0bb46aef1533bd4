"""Gradient variance where the posterior is known: a linear chain seen once, with a normal error.

Prior z0 ~ N(0, v), z_{k+1} = (1 - ah) z_k + σ √h ε, observed at the end: x = z_n + s ε. Its exact posterior
is a chain again, with a contracted noise (`latentsde.girsanov.BridgedPathKL`), and given it every path has
the same ELBO, the log-evidence, and sticking the landing's gradients of single paths are zero up to rounding.
The posterior drift of continuous time is not this chain's: with it the variance is O(h²) of that without
sticking the landing. Parameters are an amount δ (1 + z) added to the drift, and mean and log-deviation of
q(z0).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from latentsde import PathKL, solve
from latentsde.girsanov import BridgedPathKL

RATE, SIGMA, X, ERROR, SPAN, START = 0.7, 0.5, 1.9, 0.3, 1.0, 0.4
STEPS = (16, 32, 64, 128, 256)
PARAMETERS = ("drift", "mean", "log_std")


class Posterior:
    """Of the chain with step h, or of continuous time for `chain=False`; `amount` (batch, 1) is added to the
    drift.
    """

    noise_type, sde_type, additive = "diagonal", "ito", True

    def __init__(self, amount: Tensor, h: float, *, chain: bool) -> None:
        self.amount, self.step, self.chain = amount, h, chain

    def message(self, t: Tensor, ahead: int = 0) -> tuple[Tensor, Tensor]:
        """(A, R) of p(x | z) = N(x; A z, R), `ahead` steps after t."""
        if not self.chain:
            left = SPAN - t
            spread = -torch.expm1(-2.0 * RATE * left) / (2.0 * RATE)
            return torch.exp(-RATE * left), ERROR**2 + SIGMA**2 * spread
        factor = 1.0 - RATE * self.step
        left = torch.round((SPAN - t) / self.step) - ahead
        return factor**left, ERROR**2 + SIGMA**2 * self.step * (1 - factor ** (2 * left)) / (1 - factor**2)

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        slope, variance = self.message(t, ahead=int(self.chain))
        moved = y + self.h(t, y) * self.step if self.chain else y
        if self.chain:  # z1 | z0, x by Bayes, where z1 | z0 has variance σ²h
            variance = variance + slope**2 * SIGMA**2 * self.step
        towards = SIGMA**2 * slope * (X - slope * moved) / variance
        return self.h(t, y) + towards + self.amount * (1.0 + y)

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return -RATE * y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(y, SIGMA)

    def contraction(self, t: Tensor, y: Tensor, h: Any) -> Tensor:
        slope, variance = self.message(t, ahead=1)
        return (1.0 / (1.0 + SIGMA**2 * self.step * slope**2 / variance)).sqrt().expand_as(y)


def evidence(h: float) -> float:
    """log p(x) of the chain."""
    zero = torch.zeros((), dtype=torch.float64)
    slope, variance = Posterior(zero, h, chain=True).message(zero)
    return float(Normal(zero, (variance + slope**2 * START).sqrt()).log_prob(zero + X))


def gradients(
    steps: int, samples: int, *, chain: bool, sticking: bool, sampled_start: bool = True
) -> tuple[Tensor, dict[str, Tensor]]:
    """(samples,) single-path ELBOs at the exact posterior and their gradients; always the same noise.

    With `sticking` but not `sampled_start` KL(q(z0) || p(z0)) is taken in closed form.
    """
    h, double = SPAN / steps, torch.float64
    own = {name: torch.zeros(samples, 1, dtype=double, requires_grad=True) for name in PARAMETERS}
    sde = Posterior(own["drift"], h, chain=chain)
    slope, variance = sde.message(torch.zeros((), dtype=double))
    spread = 1.0 / (1.0 / START + slope**2 / variance)
    mean = spread * slope * X / variance + own["mean"]
    std = spread.sqrt() * own["log_std"].exp()
    noise = torch.randn(samples, 1, dtype=double, generator=torch.Generator().manual_seed(0))
    z0, prior = mean + std * noise, Normal(noise.new_tensor(0.0), noise.new_tensor(START).sqrt())
    if sticking and sampled_start:
        initial = Normal(mean.detach(), std.detach()).log_prob(z0) - prior.log_prob(z0)
    else:
        initial = kl_divergence(Normal(mean, std), prior)
    kind = BridgedPathKL if chain else PathKL
    solution = solve(
        kind(sde, sticking_the_landing=sticking, vectorized=True),
        z0,
        [0.0, SPAN],
        dt=h,
        seed=1,
        method="bridged_euler" if chain else "euler",
    )
    likelihood = Normal(solution.ys[-1], ERROR).log_prob(torch.tensor(X, dtype=double))
    value = (likelihood - initial).sum(-1) - solution.functional[-1]
    found = torch.autograd.grad(value.sum(), list(own.values()))
    return value.detach(), dict(zip(PARAMETERS, (part.squeeze(-1) for part in found), strict=True))


def rows(samples: int) -> list[dict[str, Any]]:
    """For each number of steps the variances of single-path gradients."""

    def variances(steps: int, **how: bool) -> dict[str, float]:
        return {name: float(value.var()) for name, value in gradients(steps, samples, **how)[1].items()}

    return [
        {
            "steps": steps,
            "chain": variances(steps, chain=True, sticking=True),
            "chain, KL of z0 in closed form": variances(
                steps, chain=True, sticking=True, sampled_start=False
            ),
            "continuous": variances(steps, chain=False, sticking=True),
            "plain": variances(steps, chain=False, sticking=False),
        }
        for steps in STEPS
    ]


def table(found: list[dict[str, Any]]) -> list[str]:
    """The variances over dt; the last column is the order in dt between this row and the one before."""
    lines = [
        "| dt | exact posterior of the chain: drift, mean, log-std of z0 | the same, KL(z0) in closed form "
        "| posterior drift of continuous time, relative to no sticking: drift | mean of z0 | order in dt |"
    ]
    lines.append("|---" * 6 + "|")
    before = None
    for row in found:
        exact = ", ".join(f"{row['chain'][name]:.1e}" for name in PARAMETERS)
        closed = ", ".join(f"{row['chain, KL of z0 in closed form'][name]:.2g}" for name in PARAMETERS)
        ratio = row["continuous"]["drift"] / row["plain"]["drift"]
        start = row["continuous"]["mean"] / row["plain"]["mean"]
        order = "" if before is None else f"{math.log2(before / ratio):.2f}"
        lines.append(f"| 1/{row['steps']} | {exact} | {closed} | {ratio:.2e} | {start:.2e} | {order} |")
        before = ratio
    return lines
