"""The steps of a deep Markov model (Krishnan, Shalit & Sontag 2017): transition and posterior."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from .fields import MLP

MIN_STD = 1e-3


class Step(nn.Module, ABC):
    """z_k ~ N(mean, std²), both functions of z_{k-1} and of what is known of row k."""

    @abstractmethod
    def prepare(self, known: Tensor) -> Tensor:
        """What is known, (..., K), as `forward` takes it: for all rows at once, ahead of the states."""

    @abstractmethod
    def forward(self, previous: Tensor, prepared: Tensor) -> tuple[Tensor, Tensor]:
        """z_{k-1} (..., L) -> mean and standard deviation (..., L) of z_k."""


class GatedTransition(Step):
    """Between a linear map and a network, by a gate for each dimension (section 5 of the paper), told the gap
    among what is known.
    """

    def __init__(self, latent: int, known: int, hidden: int) -> None:
        super().__init__()
        self.gate = MLP(latent + known, hidden, latent, layers=1)
        self.proposal = MLP(latent + known, hidden, latent, layers=1)
        self.linear = nn.Linear(latent, latent)
        self.raw_std = nn.Linear(latent + known, latent)
        with torch.no_grad():  # the identity to begin with, as in the paper
            self.linear.weight.copy_(torch.eye(latent))
            self.linear.bias.zero_()

    def prepare(self, known: Tensor) -> Tensor:
        return known

    def forward(self, previous: Tensor, prepared: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat([previous, prepared], dim=-1)
        proposed = self.proposal(both)
        mean = torch.lerp(self.linear(previous), proposed, torch.sigmoid(self.gate(both)))
        raw_std = self.raw_std(torch.cat([torch.relu(proposed), prepared], dim=-1))
        return mean, softplus(raw_std) + MIN_STD


class Combiner(Step):
    """½ (tanh(W z_{k-1} + V known) + h_k), h_k the summary of row k and all later ones, made a mean and a
    standard deviation (the paper's DKS, equation 8).

    What is known ends with h_k.
    """

    def __init__(self, latent: int, known: int, summary: int) -> None:
        super().__init__()
        self.from_state = nn.Linear(latent, summary)
        self.from_known = nn.Linear(known, summary, bias=False)
        self.output = nn.Linear(summary, 2 * latent)

    def prepare(self, known: Tensor) -> Tensor:
        width = self.from_known.out_features
        return torch.cat([self.from_known(known[..., :-width]), known[..., -width:]], dim=-1)

    def forward(self, previous: Tensor, prepared: Tensor) -> tuple[Tensor, Tensor]:
        from_known, summary = prepared.chunk(2, dim=-1)
        combined = 0.5 * (torch.tanh(self.from_state(previous) + from_known) + summary)
        mean, raw_std = self.output(combined).chunk(2, dim=-1)
        return mean, softplus(raw_std) + MIN_STD
