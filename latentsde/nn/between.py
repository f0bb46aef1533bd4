"""What the hidden state of a recurrent network does between two observations."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from .fields import MLP

Moves = tuple[Tensor, ...]
"""What `Between.prepare` makes of the times gone by: the moves of the state, in order, (..., any) each."""


class Between(nn.Module):
    """The state stays as it is; subclasses let it move.

    Whatever does not depend on the state is worked out for all rows of a batch at once by `prepare`.
    """

    def prepare(self, since: Tensor) -> Moves:
        """The moves for the times (..., K) gone by since the last observation, of anything (K = 1) or of each
        feature, in model time.
        """
        return ()

    def forward(self, state: Tensor, moves: Moves) -> Tensor:
        """The state (..., H) after the moves."""
        return state

    def by_row(self, moves: Moves) -> list[Moves]:
        """The moves (B, T, any) as T lists of moves (B, any); what leaves every state alone may be left
        out.
        """
        return list(zip(*(move.unbind(1) for move in moves), strict=True))


class Decay(Between):
    """h exp(-r Δt) with a rate r > 0 for each unit, learned (Mozer, Kazakov & Lindsey 2017; the RNN-Decay of
    Rubanova et al. 2019).
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.raw_rate = nn.Parameter(torch.full((hidden,), -1.5))

    def prepare(self, since: Tensor) -> Moves:
        return (torch.exp(-softplus(self.raw_rate) * since),)

    def forward(self, state: Tensor, moves: Moves) -> Tensor:
        return state * moves[0]


class FeatureDecay(Between):
    """h exp(-max(0, W δ + b)) with δ the time since each feature was last observed (Che et al. 2018, equation
    10).
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.rate = nn.Linear(features, hidden)
        nn.init.constant_(self.rate.bias, 0.1)  # above the corner, where there is a gradient

    def prepare(self, since: Tensor) -> Moves:
        return (torch.exp(-relu(self.rate(since))),)

    def forward(self, state: Tensor, moves: Moves) -> Tensor:
        return state * moves[0]


class Flow(Between):
    """dh = f(h) dt by midpoint steps of at most `step` (Rubanova, Chen & Duvenaud 2019, algorithm 1).

    Every state takes the steps of its own gap, so that it does not depend on its company; those that need
    fewer stand still meanwhile.
    """

    def __init__(self, hidden: int, width: int, step: float) -> None:
        super().__init__()
        self.field, self.step = MLP(hidden, width, hidden, layers=1, zero_output=True), step

    def prepare(self, since: Tensor) -> Moves:
        counts = torch.ceil(since.detach() / self.step * (1.0 - 1e-6))
        length = since / counts.clamp_min(1.0)
        most = int(counts.max()) if counts.numel() else 0
        return tuple(torch.where(counts > k, length, 0.0) for k in range(most))

    def forward(self, state: Tensor, moves: Moves) -> Tensor:
        for length in moves:
            middle = torch.addcmul(state, 0.5 * length, self.field(state))
            state = torch.addcmul(state, length, self.field(middle))
        return state

    def by_row(self, moves: Moves) -> list[Moves]:
        if not moves:
            return []
        rows = super().by_row(moves)
        needed = torch.stack([(move > 0).any(0).squeeze(-1) for move in moves]).sum(0).tolist()
        return [row[:count] for row, count in zip(rows, needed, strict=True)]
