"""The observation times themselves as data: an inhomogeneous Poisson process whose intensity is a function of
the latent state.

    log p(t_1, ..., t_n | z) = Σ_i log λ(z(t_i)) - ∫ λ(z(t)) dt from the start to the end of follow-up

(Rubanova, Chen & Duvenaud 2019, on Poisson process likelihoods, there for a latent ODE). A row with an
observed value is an event, whatever it holds. A row at the start itself is none: there the clock begins.

The integral is a trapezium sum over the observation times and, beside them, times no further apart than the
solver's largest step: what a path is solved for anyhow, so that any model that gives its path at given times
can have it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AskedTimes:
    """Where a path is asked for, in model time.

    Attributes:
        times: (B, N) float64, increasing from 0, then the last repeated.
        rank: (B, T) int64, where the observations are among them; None for the last T of them.
    """

    times: Tensor
    rank: Tensor | None

    @classmethod
    def of_observations(cls, observed: Tensor) -> AskedTimes:
        """0 and the observations (B, T) alone."""
        return cls(torch.cat([torch.zeros_like(observed[:, :1]), observed], dim=1), None)

    @classmethod
    def with_quadrature(cls, observed: Tensor, end: Tensor, spacing: float) -> AskedTimes:
        """Beside them the multiples of `spacing` up to the end (B,), which is no earlier than any of them."""
        count = int(torch.ceil(end.max() / spacing).item()) if len(end) else 0
        multiples = spacing * torch.arange(count + 2, dtype=observed.dtype, device=observed.device)
        every = torch.minimum(multiples.expand(len(end), -1), end.unsqueeze(1))
        # An observation a rounding error from a multiple of the spacing takes its place.
        nearest = spacing * torch.round(observed / spacing)
        observed = torch.where((observed - nearest).abs() < 1e-9 * spacing, nearest, observed)
        times, order = torch.cat([every, observed], dim=1).sort(dim=1, stable=True)
        return cls(times, order.argsort(dim=1)[:, every.shape[1] :])

    def at_observations(self, path: Tensor) -> Tensor:
        """(B, S, N, L) at all the times -> (B, S, T, L) at the observations."""
        if self.rank is None:
            return path[:, :, 1:]
        index = self.rank[:, None, :, None].expand(-1, path.shape[1], -1, path.shape[3])
        return path.gather(2, index)


def log_likelihood_of_times(log_intensity: Tensor, asked: AskedTimes, events: Tensor) -> Tensor:
    """(B, S) from log λ (B, S, N) at the times asked for, and which observations (B, T) are events."""
    assert asked.rank is not None
    at_events = log_intensity.gather(2, asked.rank.unsqueeze(1).expand(-1, log_intensity.shape[1], -1))
    counted = torch.where(events.unsqueeze(1), at_events, 0.0).sum(2)
    gaps = asked.times.diff(dim=1).to(log_intensity.dtype).unsqueeze(1)
    intensity = log_intensity.exp()
    return counted - (0.5 * gaps * (intensity[..., 1:] + intensity[..., :-1])).sum(2)
