"""Models whose path is decided by its start: an autoencoder of z0, and something that runs on from there.

z0 ~ q(z0 | x),   z(t) = a function of z0 and t,   x_i ~ p(x | decoder(z(t_i)))
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from ..brownian import derive_seed
from ..data import Batch, Scaler
from .bound import ELBO, sample_ids
from .config import SeriesConfig
from .initial import InitialState, draw
from .paths import Paths
from .rows import without_empty_rows
from .series_model import SeriesModel


class Rows(NamedTuple):
    """Model times (B, T) of the rows of a batch, of which `lengths` (B,) count."""

    times: Tensor
    lengths: Tensor

    def repeat(self, samples: int) -> Rows:
        """Every series `samples` times in a row."""
        return Rows(*(part.repeat_interleave(samples, 0) for part in self))


class InitialValueModel(SeriesModel):
    """Encoding, bound and paths; subclasses have a recognition network and run on from z0.

    The bound's KL is that of z0 alone, at the sample, sticking the landing.

    Args:
        state: size S of the state that is decoded.
    """

    def __init__(self, config: SeriesConfig, scaler: Scaler, *, state: int) -> None:
        super().__init__(config, scaler)
        static = len(config.static)
        self.initial = InitialState(config.encoder + 1 + static, config.latent, static)
        self.decoder = self.make_decoder(state)
        self.intensity_decoder = self.make_intensity(state) if self.can_model_times else None

    @abstractmethod
    def summary(self, batch: Batch) -> Tensor:
        """(B, encoder) of the rows of a batch, none of them empty; of anything for a series without rows."""

    @abstractmethod
    def states(self, z0: Tensor, static: Tensor, rows: Rows, queries: Tensor) -> tuple[Tensor, int]:
        """The states (B, Q, S) at increasing model times (B, Q) from z0 (B, L) at 0, and the solver's steps.

        `rows` are where there are observations.
        """

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (B, L) of q(z0 | x)."""
        batch = without_empty_rows(batch)
        some = (batch.lengths > 0).unsqueeze(-1).to(batch.values.dtype)
        first = self.model_time(batch.times[:, :1]).to(some.dtype)
        return self.initial.posterior(torch.cat([self.summary(batch) * some, first * some, batch.static], -1))

    def elbo(self, batch: Batch, *, seed: int, samples: int = 1, seen: Batch | None = None) -> ELBO:
        mean, std = (x.repeat_interleave(samples, 0) for x in self.encode(batch if seen is None else seen))
        static = batch.static.repeat_interleave(samples, 0)
        z0 = draw(mean, std, seed=derive_seed(seed, 0), ids=sample_ids(batch.ids, samples))
        rows = Rows(self.model_time(batch.times), batch.lengths).repeat(samples)
        asked = self.asked_times(batch)
        path, steps = self.states(z0, static, rows, asked.times.repeat_interleave(samples, 0))
        shape = (len(batch), samples)
        kl_initial = self.initial.divergence(z0, mean, std, static).unflatten(0, shape)
        log_likelihood = self.evidence(path.unflatten(0, shape), asked, batch)
        kl_path = torch.zeros_like(kl_initial)
        return ELBO.of_samples(log_likelihood, kl_initial, kl_path, batch.mask.sum((1, 2)), steps)

    @torch.no_grad()
    def posterior_paths(self, batch: Batch, queries: Tensor, *, samples: int, seed: int) -> Paths:
        rows = Rows(self.model_time(batch.times), batch.lengths)
        return self._paths(*self.encode(batch), batch.static, batch.ids, rows, queries, samples, seed)

    @torch.no_grad()
    def prior_paths(self, static: Tensor, ids: Tensor, queries: Tensor, *, samples: int, seed: int) -> Paths:
        mean, std = (x.expand(len(static), -1) for x in self.initial.prior(static))
        none = Rows(torch.zeros_like(queries[:, :1]), torch.zeros_like(ids))
        return self._paths(mean, std, static, ids, none, queries, samples, seed)

    def _paths(
        self,
        mean: Tensor,
        std: Tensor,
        static: Tensor,
        ids: Tensor,
        rows: Rows,
        queries: Tensor,
        samples: int,
        seed: int,
    ) -> Paths:
        mean, std, static = (x.repeat_interleave(samples, 0) for x in (mean, std, static))
        z0 = draw(mean, std, seed=derive_seed(seed, 10), ids=sample_ids(ids, samples))
        at = self.model_time(queries).repeat_interleave(samples, 0)
        z, steps = self.states(z0, static, rows.repeat(samples), at)
        location = self.decode(z, at.to(z.dtype), static.unsqueeze(1))
        intensity = self.intensity(z, at.to(z.dtype), static.unsqueeze(1))
        return Paths.of_flat(z, location, steps, samples, intensity)
