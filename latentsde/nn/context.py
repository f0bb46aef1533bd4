"""Context: what the posterior drift knows at any time of the observations still to come."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Ahead(NamedTuple):
    """At a time: the summary of the observations ahead, the time to the next one, and 1 or 0 for whether
    there is one.
    """

    summary: Tensor
    gap: Tensor
    exists: Tensor


class Context:
    """A function of continuous time: at t, the summary made at the first observation after t.

    Args:
        times: (B, T) observation times, padded by repeating the last.
        summaries: (B, T, C), at each observation the summary of it and all later ones.
        lengths: (B,) observations of each series.
    """

    def __init__(self, times: Tensor, summaries: Tensor, lengths: Tensor) -> None:
        self.times, self.summaries, self.lengths = times.contiguous(), summaries, lengths

    def repeat(self, samples: int) -> Context:
        """Every series `samples` times in a row."""
        parts = (self.times, self.summaries, self.lengths)
        return Context(*(part.repeat_interleave(samples, 0) for part in parts))

    def at(self, t: Tensor) -> Ahead:
        """Times () for all, or (..., B): summary (..., B, C), gap and exists (..., B, 1)."""
        batch, last = self.times.shape[0], self.times.shape[1] - 1
        if t.dim() == 0:
            t = t.expand(batch)
        leading = t.shape[:-1]
        by_series = t.reshape(-1, batch).t().contiguous()
        index = torch.searchsorted(self.times, by_series, right=True)
        exists = index < self.lengths.unsqueeze(1)
        index = index.clamp_max(last)
        gap = torch.where(exists, self.times.gather(1, index) - by_series, 0.0)
        rows = index + torch.arange(batch, device=t.device).unsqueeze(1) * (last + 1)
        # One index_select on flattened rows: its backward is an index_add, faster and as deterministic as
        # gather's scatter.
        flat = self.summaries.flatten(0, 1)
        summary = flat.index_select(0, rows.t().reshape(-1)).view(*leading, batch, -1)
        shape = (*leading, batch, 1)
        return Ahead(summary, gap.t().reshape(shape), exists.t().reshape(shape).to(summary.dtype))
