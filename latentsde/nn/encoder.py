"""Recognition networks: recurrent networks run over the observations of a series, backwards or forwards."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .between import Flow
from .recurrence import Recurrence


class BackwardEncoder(nn.Module):
    """Summarises, at every observation, that observation and all later ones.

    Input at a row: values (0 where missing; `inputs` of them, by default one a feature), mask, the gap to the
    next row, `extra` features of the row (time of day, static covariates). Gaps enter as they are and as
    log(1 + gap), in the model's time unit.
    """

    def __init__(self, features: int, extra: int, hidden: int, inputs: int | None = None) -> None:
        super().__init__()
        self.hidden = hidden
        self.gru = nn.GRU(
            (features if inputs is None else inputs) + features + 2 + extra, hidden, batch_first=True
        )

    def forward(self, values: Tensor, mask: Tensor, times: Tensor, lengths: Tensor, extra: Tensor) -> Tensor:
        """(B, T, inputs) values, (B, T, F) mask, (B, T) times, (B,) lengths and (B, T, E) extra to
        (B, T, hidden).
        """
        gaps = torch.diff(times, dim=1, append=times[:, -1:]).unsqueeze(-1)
        rows = torch.cat([values, mask.to(values.dtype), gaps, torch.log1p(gaps), extra], dim=-1)
        index = backwards(lengths, times.shape[1])
        states, _ = self.gru(rows.gather(1, index.expand_as(rows)))
        return states.gather(1, index.expand_as(states))

    def earlier(self, state: Tensor, gap: Tensor, extra: Tensor) -> Tensor:
        """The summary (..., hidden) at a time where nothing is observed, from that of the next row, which
        comes after `gap` (...,): as of a row without values.
        """
        nothing = gap.new_zeros(*gap.shape, self.gru.input_size - 2 - extra.shape[-1])
        gap = gap.unsqueeze(-1)
        row = torch.cat([nothing, gap, torch.log1p(gap), extra], dim=-1)
        _, flat = self.gru(row.flatten(0, -2).unsqueeze(1), state.flatten(0, -2).unsqueeze(0))
        return flat.view_as(state)


class ODEEncoder(nn.Module):
    """The ODE-RNN run backwards (Rubanova, Chen & Duvenaud 2019): between the rows the state follows an ODE,
    so that no gap need be told. Arguments and result as `BackwardEncoder`'s.

    Args:
        step: the longest step of the ODE's solver, in model time.
    """

    def __init__(
        self, features: int, extra: int, hidden: int, inputs: int | None = None, *, width: int, step: float
    ) -> None:
        super().__init__()
        self.hidden = hidden
        read = (features if inputs is None else inputs) + features + extra
        self.recurrence = Recurrence(read, hidden, Flow(hidden, width, step))

    def forward(self, values: Tensor, mask: Tensor, times: Tensor, lengths: Tensor, extra: Tensor) -> Tensor:
        gaps = torch.diff(times, dim=1, append=times[:, -1:]).unsqueeze(-1)
        rows = torch.cat([values, mask.to(values.dtype), extra], dim=-1)
        index = backwards(lengths, times.shape[1])
        start = values.new_zeros(len(values), self.hidden)
        states = self.recurrence(start, rows.gather(1, index.expand_as(rows)), gaps.gather(1, index))
        return states.gather(1, index.expand_as(states))

    def earlier(self, state: Tensor, gap: Tensor) -> Tensor:
        """The state (B, H) a time `gap` (B, 1) before its observation."""
        return self.recurrence.between(state, self.recurrence.between.prepare(gap))


def backwards(lengths: Tensor, rows: int) -> Tensor:
    """(B, rows, 1) indices that reverse each series within its own length: padding stays last, so that no
    state passes through it.
    """
    columns = torch.arange(rows, device=lengths.device)
    order = lengths.unsqueeze(1) - 1 - columns
    return torch.where(order >= 0, order, columns).unsqueeze(-1)


class ForwardEncoder(nn.Module):
    """Summarises, at every observation, that observation and all earlier ones.

    Input at a row as the `BackwardEncoder`'s, with the gap from the previous row, for the first from time 0.
    """

    def __init__(self, features: int, extra: int, hidden: int, inputs: int | None = None) -> None:
        super().__init__()
        self.hidden = hidden
        self.gru = nn.GRU(
            (features if inputs is None else inputs) + features + 2 + extra, hidden, batch_first=True
        )

    def forward(self, values: Tensor, mask: Tensor, times: Tensor, extra: Tensor) -> Tensor:
        """(B, T, inputs) values, (B, T, F) mask, (B, T) times and (B, T, E) extra to (B, T, hidden).

        Padding comes last in a series, so that no state before it has seen it.
        """
        gaps = torch.diff(times, dim=1, prepend=torch.zeros_like(times[:, :1])).unsqueeze(-1).clamp_min(0.0)
        rows = torch.cat([values, mask.to(values.dtype), gaps, torch.log1p(gaps), extra], dim=-1)
        states: Tensor = self.gru(rows)[0]
        return states
