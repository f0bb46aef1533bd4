"""The recognition networks: a GRU run backwards, or forwards, over (values, mask, time gaps)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BackwardEncoder(nn.Module):
    """Summarises, at every observation, that observation and all later ones.

    Input at a row: values (0 where missing), mask, the gap to the next row, `extra` features of the row (time
    of day, static covariates). Gaps enter as they are and as log(1 + gap), in the model's time unit.
    """

    def __init__(self, features: int, extra: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.gru = nn.GRU(2 * features + 2 + extra, hidden, batch_first=True)

    def forward(self, values: Tensor, mask: Tensor, times: Tensor, lengths: Tensor, extra: Tensor) -> Tensor:
        """(B, T, F) values and mask, (B, T) times, (B,) lengths, (B, T, E) extra -> (B, T, hidden)."""
        gaps = torch.diff(times, dim=1, append=times[:, -1:]).unsqueeze(-1)
        rows = torch.cat([values, mask.to(values.dtype), gaps, torch.log1p(gaps), extra], dim=-1)
        # Reversed within each series' own length, so that padding comes last and no state passes through it.
        order = lengths.unsqueeze(1) - 1 - torch.arange(times.shape[1], device=times.device)
        order = torch.where(order >= 0, order, torch.arange(times.shape[1], device=times.device))
        index = order.unsqueeze(-1)
        backwards = rows.gather(1, index.expand_as(rows))
        states, _ = self.gru(backwards)
        return states.gather(1, index.expand_as(states))


class ForwardEncoder(nn.Module):
    """Summarises, at every observation, that observation and all earlier ones.

    Input at a row as the `BackwardEncoder`'s, with the gap from the previous row, for the first from time 0.
    """

    def __init__(self, features: int, extra: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.gru = nn.GRU(2 * features + 2 + extra, hidden, batch_first=True)

    def forward(self, values: Tensor, mask: Tensor, times: Tensor, extra: Tensor) -> Tensor:
        """(B, T, F) values and mask, (B, T) times, (B, T, E) extra -> (B, T, hidden).

        Padding comes last in a series, so that no state before it has seen it.
        """
        gaps = torch.diff(times, dim=1, prepend=torch.zeros_like(times[:, :1])).unsqueeze(-1).clamp_min(0.0)
        rows = torch.cat([values, mask.to(values.dtype), gaps, torch.log1p(gaps), extra], dim=-1)
        states: Tensor = self.gru(rows)[0]
        return states
