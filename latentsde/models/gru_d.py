"""GRU-D (Che, Purushotham, Cho, Sontag & Liu 2018): missing values decay to a mean, the state to 0."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from ..data import Batch, Scaler
from ..nn import Between, FeatureDecay
from .autoregressive import Autoregressive
from .config import SeriesConfig


class GRUD(Autoregressive):
    """The model, equations 10 to 13 of the paper, on scaled values, with δ in model time.

    The mean of a feature is learned, from 0 on, which is that of scaled training values. A feature not
    observed yet has it for its last value, and δ since the first row.
    """

    name = "gru_d"

    def __init__(self, config: SeriesConfig, scaler: Scaler) -> None:
        super().__init__(config, scaler)
        features = self.likelihoods.inputs
        self.mean = nn.Parameter(torch.zeros(features))
        self.input_rate = nn.Parameter(torch.full((features,), 0.5))
        self.input_rate_at_once = nn.Parameter(torch.full((features,), 0.1))

    def make_between(self) -> Between:
        return FeatureDecay(self.likelihoods.inputs, self.config.hidden)

    def last_seen(self, batch: Batch, times: Tensor) -> Tensor:
        """As the base's, for each number that is read of a row: K of them."""
        mask = self.likelihoods.encoder_mask(batch.mask)
        first = times[:, :1, None].expand(-1, -1, mask.shape[-1])
        return torch.cat([first, torch.where(mask, times.unsqueeze(-1), first)], dim=1).cummax(1).values

    def inputs(self, batch: Batch, since: Tensor) -> Tensor:
        values, _, extra = self.rows(batch)
        imputed = self.imputed(values, self.likelihoods.encoder_mask(batch.mask), since)
        return torch.cat([imputed, batch.mask.to(values.dtype), extra], -1)

    def imputed(self, values: Tensor, mask: Tensor, since: Tensor) -> Tensor:
        """Values (B, T, K) with each missing one replaced by γ x_last + (1 - γ) mean, γ = exp(-max(0, w δ +
        b)) (equation 11).
        """
        row = torch.arange(1, mask.shape[1] + 1, device=mask.device).view(1, -1, 1)
        latest = torch.where(mask, row, 0).cummax(1).values  # 0 where there is none yet
        mean = self.mean.expand(len(values), 1, -1)
        last = torch.cat([mean, values], dim=1).gather(1, latest)
        kept = torch.exp(-relu(self.input_rate * since + self.input_rate_at_once))
        return torch.where(mask, values, self.mean + kept * (last - self.mean))
