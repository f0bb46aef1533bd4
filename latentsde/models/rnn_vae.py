"""RNN-VAE: an autoencoder of z0 whose decoder is a GRU told the gaps (see Rubanova, Chen & Duvenaud 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..data import Batch, Scaler
from ..nn import Between, Recurrence
from .config import SeriesConfig
from .initial_value import InitialValueModel, Rows
from .rows import chain, pick


class RNNVAE(InitialValueModel):
    """The model; arguments as `SeriesModel`'s. The decoding GRU's state has `config.hidden` units.

    It steps along the rows that have observations. A query between rows is one step from the row before it
    and bears on no other; queries after the last row are stepped along in turn, so a forecast depends on the
    times asked for, as in any model of discrete steps.
    """

    name = "rnn_vae"

    def __init__(self, config: SeriesConfig, scaler: Scaler) -> None:
        super().__init__(config, scaler, state=config.hidden)
        self.encoder = self.make_encoder()
        self.start = nn.Linear(config.latent, config.hidden)
        self.recurrence = Recurrence(2 + self.extra_width, config.hidden, Between())

    def summary(self, batch: Batch) -> Tensor:
        values, times, extra = self.rows(batch)
        return self.encoder(values, batch.mask, times, batch.lengths, extra)[:, 0]

    def states(self, z0: Tensor, static: Tensor, rows: Rows, queries: Tensor) -> tuple[Tensor, int]:
        asked = queries.clamp_min(0.0)
        along = chain(rows.times.clamp_min(0.0), rows.lengths, asked)
        start = torch.tanh(self.start(z0))
        gaps = along.times.diff(dim=1, prepend=torch.zeros_like(along.times[:, :1])).unsqueeze(-1)
        after = self.recurrence(start, self._inputs(along.times, gaps, static), gaps.to(z0.dtype))
        h = pick(torch.cat([start.unsqueeze(1), after], dim=1), along.place)
        if bool(along.aside.any()):
            known = self._inputs(asked, along.gap.unsqueeze(-1), static)
            stepped = self.recurrence.update(h, self.recurrence.from_inputs(known))
            h = torch.where(along.aside.unsqueeze(-1), stepped, h)
        return h, 0

    def _inputs(self, times: Tensor, gaps: Tensor, static: Tensor) -> Tensor:
        """(B, T, I) from times (B, T) and gaps (B, T, 1)."""
        t, gap = times.to(static.dtype), gaps.to(static.dtype)
        return torch.cat([gap, torch.log1p(gap), self.extra(t, static.unsqueeze(1), t.shape)], dim=-1)
