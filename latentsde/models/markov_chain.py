"""A Markov chain of normals as one distribution for Pyro: drawn row after row, its density for all rows at
once.
"""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.func import functional_call

from ..nn.markov import Step
from .bound import log_normal


class MarkovChain(TorchDistribution):  # type: ignore[misc, unused-ignore]
    """z_k ~ N(mean, std²)(z_{k-1}, known_k) for k = 1 to T: batch shape (B,), event shape (T, L).

    Args:
        step: the law of a row.
        start: (B, L), z_0.
        known: (B, T, K) what `step` is told of each row.
        rows: (B, T) bool, those that count; the density of the others is left out.
        noise: (B, T, L) standard normals to draw with; by default fresh ones from torch's generator.
        lands: whether the density's gradient is that of its value alone and not of the step's parameters,
            `start` and `known`: sticking the landing (Roeder, Wu & Duvenaud 2017), for a guide.
    """

    has_rsample = True
    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  as torch declares it
    support = constraints.independent(constraints.real, 2)

    def __init__(
        self,
        step: Step,
        start: Tensor,
        known: Tensor,
        rows: Tensor,
        *,
        noise: Tensor | None = None,
        lands: bool = False,
    ) -> None:
        self.step, self.start, self.known = step, start, known
        self.rows, self.noise, self.lands = rows, noise, lands
        shape = torch.Size((known.shape[1], start.shape[-1]))
        super().__init__(torch.Size((len(start),)), shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> MarkovChain:
        if torch.Size(batch_shape) != self.batch_shape:
            raise ValueError(
                f"a chain of {len(self.start)} series cannot be expanded to {tuple(batch_shape)}: "
                "draw more samples from a larger batch, or with num_particles unvectorized"
            )
        return self

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        noise = self.noise
        if noise is None:
            noise = torch.randn(self.batch_shape + self.event_shape, device=self.start.device)
        z, states = self.start, []
        for known, kick in zip(self.step.prepare(self.known).unbind(1), noise.unbind(1), strict=True):
            mean, std = self.step(z, known)
            z = torch.addcmul(mean, std, kick)
            states.append(z)
        return torch.stack(states, dim=1)

    def log_prob(self, value: Tensor) -> Tensor:
        """(B,)."""
        start, prepared = self.start, self.step.prepare(self.known)
        weights: dict[str, Tensor] = dict(self.step.named_parameters())
        if self.lands:
            start, prepared = start.detach(), prepared.detach()
            weights = {name: weight.detach() for name, weight in weights.items()}
        previous = torch.cat([start.unsqueeze(1), value[:, :-1]], dim=1)
        mean, std = functional_call(self.step, weights, (previous, prepared))
        return torch.where(self.rows, log_normal(value, mean, std), 0.0).sum(1)
