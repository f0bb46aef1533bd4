"""A GRU over irregular rows: what its state does between them is a part of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .between import Between


class Recurrence(nn.Module):
    """h' = between(h, time gone by), then h = GRU(h', input), row after row.

    Args:
        inputs: size of a row's input.
        hidden: size H of the state.
        between: what the state does from one row to the next.
    """

    def __init__(self, inputs: int, hidden: int, between: Between) -> None:
        super().__init__()
        self.cell, self.between = nn.GRUCell(inputs, hidden), between

    def forward(self, start: Tensor, inputs: Tensor, since: Tensor) -> Tensor:
        """The states after each row, (B, T, H).

        Args:
            start: (B, H), before the first row.
            inputs: (B, T, inputs).
            since: (B, T, K), the times gone by when the row comes, as `Between.prepare` reads them.
        """
        from_inputs = self.from_inputs(inputs).unbind(1)
        moves = self.between.by_row(self.between.prepare(since)) or [()] * len(from_inputs)
        state, states = start, []
        for known, move in zip(from_inputs, moves, strict=True):
            state = self.update(self.between(state, move), known)
            states.append(state)
        return torch.stack(states, dim=1)

    def from_inputs(self, inputs: Tensor) -> Tensor:
        """What the gates get from the inputs (..., inputs), for all rows at once: (..., 3 H)."""
        return linear(inputs, self.cell.weight_ih, self.cell.bias_ih)

    def update(self, state: Tensor, from_inputs: Tensor) -> Tensor:
        """The state (..., H) after a row, by torch's GRU cell."""
        hidden = state.shape[-1]
        from_state = linear(state, self.cell.weight_hh, self.cell.bias_hh)
        gates = torch.sigmoid(from_inputs[..., : 2 * hidden] + from_state[..., : 2 * hidden])
        reset, kept = gates.chunk(2, dim=-1)
        new = torch.tanh(torch.addcmul(from_inputs[..., 2 * hidden :], reset, from_state[..., 2 * hidden :]))
        return torch.lerp(new, state, kept)
