"""Models that predict every observation from those before it: a recurrent state and a decoder.

    h(t) = between(h_k, t - t_k),   x_k ~ p(x | decoder(h(t_k))),   h_k = GRU(h(t_k), x_k)

There is no latent randomness, so their `elbo` is the log-likelihood itself, one step ahead.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from ..brownian import derive_seed
from ..data import Batch, Scaler
from ..nn import Between, Recurrence
from .bound import ELBO, sample_ids
from .config import SeriesConfig
from .initial import LearnedStart
from .paths import Paths
from .rows import pick, rows_before, without_empty_rows
from .series_model import SeriesModel


class Autoregressive(SeriesModel):
    """The loop; subclasses say what the state does between observations. Its size is `config.hidden`, and
    `latent` and `encoder` go unused.

    Before the first observation the state is a learned start, to which the static covariates add.
    """

    told_the_gap: ClassVar[bool] = False
    """Whether a row's input names the time since the row before."""

    def __init__(self, config: SeriesConfig, scaler: Scaler) -> None:
        super().__init__(config, scaler)
        inputs = self.likelihoods.inputs + len(config.features) + self.extra_width + 2 * self.told_the_gap
        self.start = LearnedStart(config.hidden, len(config.static))
        self.recurrence = Recurrence(inputs, config.hidden, self.make_between())
        self.decoder = self.make_decoder(config.hidden)

    def make_between(self) -> Between:
        """What the state does between observations."""
        return Between()

    def last_seen(self, batch: Batch, times: Tensor) -> Tensor:
        """(B, T + 1, K): when, in model time, there was last an observation before each row (B, T) and after
        the last one; before the first row its own time.
        """
        return torch.cat([times[:, :1], times], dim=1).unsqueeze(-1)

    def inputs(self, batch: Batch, since: Tensor) -> Tensor:
        """(B, T, I) what the GRU reads of each row, with (B, T, K) the time since `last_seen`."""
        values, _, extra = self.rows(batch)
        parts = [values, batch.mask.to(values.dtype), extra]
        if self.told_the_gap:
            parts += [since, torch.log1p(since)]
        return torch.cat(parts, dim=-1)

    def states_at(self, batch: Batch, queries: Tensor, *, or_at: bool) -> Tensor:
        """(B, Q, H) the states at model times (B, Q), given the observations of the batch before them, or at
        them as well.
        """
        batch = without_empty_rows(batch)
        times = self.model_time(batch.times)
        seen = self.last_seen(batch, times)
        since = (times.unsqueeze(-1) - seen[:, :-1]).to(batch.values.dtype)
        start = self.start(batch.static)
        states = self.recurrence(start, self.inputs(batch, since), since)
        states = torch.cat([start.unsqueeze(1), states], dim=1)
        place = rows_before(times, batch.lengths, queries, or_at=or_at)
        gone = torch.where((place > 0).unsqueeze(-1), queries.unsqueeze(-1) - pick(seen, place), 0.0)
        between = self.recurrence.between
        return between(pick(states, place), between.prepare(gone.to(states.dtype)))

    def elbo(self, batch: Batch, *, seed: int, samples: int = 1, seen: Batch | None = None) -> ELBO:
        """The exact log-likelihood: every row is predicted from those before it. `samples` change nothing.

        The state never learns of values that are not `seen`; they are predicted as the others.
        """
        seen = batch if seen is None else seen
        times = self.model_time(batch.times)
        location = self.decode(
            self.states_at(seen, times, or_at=False), times.to(batch.values.dtype), batch.static.unsqueeze(1)
        )
        log_likelihood = self.log_likelihood(location.unsqueeze(1), batch)
        nothing = torch.zeros_like(log_likelihood)
        return ELBO.of_samples(log_likelihood, nothing, nothing, batch.mask.sum((1, 2)))

    @torch.no_grad()
    def posterior_paths(self, batch: Batch, queries: Tensor, *, samples: int, seed: int) -> Paths:
        """See `SeriesModel`. The state is that of the last observation at or before a query, moved on to it;
        nothing is fed back and nothing later is used. All samples are alike: what is uncertain is all in the
        likelihood. A forecast far ahead is one step ahead, of a longer gap than those trained on.
        """
        at = self.model_time(queries)
        state = self.states_at(batch, at, or_at=True)
        location = self.decode(state, at.to(state.dtype), batch.static.unsqueeze(1))
        latent, location = (x.expand(samples, *x.shape) for x in (state, location))
        return Paths(latent, location, steps=0)

    @torch.no_grad()
    def prior_paths(self, static: Tensor, ids: Tensor, queries: Tensor, *, samples: int, seed: int) -> Paths:
        """See `SeriesModel`. Ancestral: at every query an observation of all features is drawn and fed back,
        and is itself the sample, `Paths.observations`. Other queries are therefore other series.
        """
        static, queries = static.repeat_interleave(samples, 0), queries.repeat_interleave(samples, 0)
        names, at = sample_ids(ids, samples), self.model_time(queries)
        draws = [torch.Generator(static.device).manual_seed(derive_seed(seed, 14, int(x))) for x in names]
        mask = torch.ones(len(names), 1, len(self.config.features), dtype=torch.bool, device=static.device)
        row = Batch(names, queries[:, :1], mask.to(static.dtype), mask, static, torch.ones_like(names))
        state, between = self.start(static), self.recurrence.between
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for k in range(queries.shape[1]):
            gap = (at[:, k] - at[:, max(k - 1, 0)]).to(state.dtype)
            since = gap[:, None, None].expand(-1, -1, self.last_seen(row, at[:, :1]).shape[-1])
            state = between(state, between.prepare(since[:, 0]))
            location = self.decode(state, at[:, k].to(state.dtype), static)
            drawn = torch.stack(
                [self.likelihoods.sample(x, draw) for x, draw in zip(location, draws, strict=True)]
            )
            found.append((state, location, drawn))
            row = replace(row, times=queries[:, k : k + 1], values=drawn.unsqueeze(1).to(static.dtype))
            known = self.recurrence.from_inputs(self.inputs(row, since)[:, 0])
            state = self.recurrence.update(state, known)
        latent, location, drawn = (
            torch.stack(part, 1).unflatten(0, (len(ids), samples)).transpose(0, 1)
            for part in zip(*found, strict=True)
        )
        return Paths(latent, location, steps=0, observations=drawn)
