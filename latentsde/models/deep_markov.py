"""The deep Markov model (Krishnan, Shalit & Sontag 2017) as a Pyro program, for irregular times.

    model  z_k ~ p(z_k | z_{k-1}, Δt_k),        x_k ~ p(x | decoder(z_k))
    guide  z_k ~ q(z_k | z_{k-1}, Δt_k, h_k),   h_k a GRU run backwards from the last row to row k

`elbo` is made of the traces of guide and model, with noise that is a function of (seed, series).
"""

from __future__ import annotations

from dataclasses import replace

import pyro
import torch
from pyro import poutine
from torch import Tensor

from ..brownian import derive_seed, standard_normal
from ..data import Batch, Scaler
from ..nn.markov import Combiner, GatedTransition
from .bound import ELBO, sample_ids
from .config import SeriesConfig
from .initial import LearnedStart
from .markov_chain import MarkovChain
from .paths import Paths
from .pyro_store import check_parameters
from .rows import chain, pick
from .series_model import SeriesModel


class DeepMarkov(SeriesModel):
    """The model; arguments as `SeriesModel`'s. z_0, at `config.start`, is learned, with the static
    covariates; what was observed earlier counts as observed there.

    `SVI(m.model, m.guide, optimiser, Trace_ELBO())` trains it in Pyro: `svi.step(batch)`. The sites are "z"
    (B, T, L) and the factor "observations" (B,), the plate is "series", the parameters "deep_markov$$$...".
    """

    name = "deep_markov"

    def __init__(self, config: SeriesConfig, scaler: Scaler) -> None:
        super().__init__(config, scaler)
        known = 2 + self.extra_width
        self.start = LearnedStart(config.latent, len(config.static))
        self.transition = GatedTransition(config.latent, known, config.hidden)
        self.encoder = self.make_encoder()
        self.combiner = Combiner(config.latent, known, config.encoder)
        self.decoder = self.make_decoder(config.latent)

    def model(self, batch: Batch, seed: int | None = None, seen: Batch | None = None) -> None:
        """The Pyro program of prior and likelihood; only the guide reads `seed` and `seen`."""
        pyro.module(self.name, self)
        check_parameters(self.name, self)
        self._generate(batch)

    def guide(self, batch: Batch, seed: int | None = None, seen: Batch | None = None) -> None:
        """The Pyro program of the posterior, sticking the landing.

        Its noise is a function of (seed, series); without a seed it comes from torch's generator. `seen` is
        as in `elbo`.
        """
        pyro.module(self.name, self)
        check_parameters(self.name, self)
        self._recognise(batch, seed, seen)

    def elbo(self, batch: Batch, *, seed: int, samples: int = 1, seen: Batch | None = None) -> ELBO:
        many = replace(batch.repeat(samples), ids=sample_ids(batch.ids, samples))
        # Without `pyro.module`: two models would share the parameters of Pyro's one store.
        guide = poutine.trace(self._recognise).get_trace(
            many, seed, None if seen is None else seen.repeat(samples)
        )
        model = poutine.trace(poutine.replay(self._generate, trace=guide)).get_trace(many)
        guide.compute_log_prob()
        model.compute_log_prob()
        prior, likelihood = (model.nodes[site]["log_prob"] for site in ("z", "observations"))
        kl_path = (guide.nodes["z"]["log_prob"] - prior).unflatten(0, (len(batch), samples))
        log_likelihood = likelihood.unflatten(0, (len(batch), samples))
        return ELBO.of_samples(log_likelihood, torch.zeros_like(kl_path), kl_path, batch.mask.sum((1, 2)))

    @torch.no_grad()
    def posterior_paths(self, batch: Batch, queries: Tensor, *, samples: int, seed: int) -> Paths:
        """See `SeriesModel`. A query between observations is one step of the guide from the row before it and
        bears on no other; queries after the last row are steps of the transition, one after another, so a
        forecast depends on the times asked for.
        """
        return self._paths(batch, queries, samples, seed)

    @torch.no_grad()
    def prior_paths(self, static: Tensor, ids: Tensor, queries: Tensor, *, samples: int, seed: int) -> Paths:
        """See `SeriesModel`. Steps of the transition from one query to the next."""
        values = static.new_zeros(len(static), 1, len(self.config.features))
        none = Batch(ids, queries[:, :1], values, values > 0, static, torch.zeros_like(ids))
        return self._paths(none, queries, samples, seed)

    def _generate(self, batch: Batch) -> None:
        times = self._from_start(batch.times)
        with pyro.plate("series", len(batch), dim=-1):
            known = self._known(times, _gaps(times), batch.static)
            law = MarkovChain(self.transition, self.start(batch.static), known, _counted(batch))
            z = pyro.sample("z", law)
            location = self.decode(z, self.model_time(batch.times).to(z.dtype), batch.static.unsqueeze(1))
            likelihood = self.log_likelihood(location.unsqueeze(1), batch).squeeze(1)
            pyro.factor("observations", likelihood)

    def _recognise(self, batch: Batch, seed: int | None, seen: Batch | None) -> None:
        noise = None
        if seed is not None:
            shape = (*batch.times.shape, self.config.latent)
            noise = standard_normal(
                shape, seed=derive_seed(seed, 1), ids=batch.ids, device=batch.values.device
            )
        times = self._from_start(batch.times)
        known = torch.cat(
            [
                self._known(times, _gaps(times), batch.static),
                self._summaries(batch if seen is None else seen),
            ],
            dim=-1,
        )
        start, rows = self.start(batch.static), _counted(batch)
        with pyro.plate("series", len(batch), dim=-1):
            pyro.sample("z", MarkovChain(self.combiner, start, known, rows, noise=noise, lands=True))

    def _paths(self, batch: Batch, queries: Tensor, samples: int, seed: int) -> Paths:
        rows, asked = self._from_start(batch.times), self._from_start(queries)
        along = chain(rows, batch.lengths, asked)
        summaries = self._summaries(batch)
        columns = torch.arange(along.times.shape[1], device=rows.device)
        ahead = pick(summaries, columns.clamp_max(rows.shape[1] - 1).expand_as(along.times))
        known = self._known(along.times, _gaps(along.times), batch.static)
        guided = (columns < batch.lengths.unsqueeze(1)).unsqueeze(-1)

        # Of a side step, there is always a row ahead.
        next_row = along.place.clamp_max(rows.shape[1] - 1)
        to_next = (rows.gather(1, next_row) - asked).clamp_min(0.0)
        beside = self._known(asked, along.gap, batch.static)
        extra = beside[..., 2:]
        summary = self.encoder.earlier(pick(summaries, next_row), to_next.to(extra.dtype), extra)

        def many(x: Tensor) -> Tensor:
            return x.repeat_interleave(samples, 0)

        ids, width = sample_ids(batch.ids, samples), self.config.latent
        shapes = ((len(ids), *x.shape[1:], width) for x in (along.times, queries))
        kicks, side_kicks = (
            standard_normal(shape, seed=derive_seed(seed, label), ids=ids, device=rows.device)
            for shape, label in zip(shapes, (10, 15), strict=True)
        )
        by_guide = many(self.combiner.prepare(torch.cat([known, ahead], dim=-1)))
        by_transition, guided = many(self.transition.prepare(known)), many(guided)
        z = many(self.start(batch.static))
        states = [z]
        for k in range(along.times.shape[1]):
            laws = zip(self.combiner(z, by_guide[:, k]), self.transition(z, by_transition[:, k]), strict=True)
            mean, std = (torch.where(guided[:, k], *pair) for pair in laws)
            z = torch.addcmul(mean, std, kicks[:, k])
            states.append(z)
        before = pick(torch.stack(states, dim=1), many(along.place))
        prepared = many(self.combiner.prepare(torch.cat([beside, summary], dim=-1)))
        mean, std = self.combiner(before, prepared)
        z = torch.where(many(along.aside).unsqueeze(-1), torch.addcmul(mean, std, side_kicks), before)
        at = many(self.model_time(queries)).to(z.dtype)
        location = self.decode(z, at, many(batch.static).unsqueeze(1))
        return Paths.of_flat(z, location, 0, samples)

    def _from_start(self, times: Tensor) -> Tensor:
        return self.model_time(times).clamp_min(0.0)

    def _summaries(self, batch: Batch) -> Tensor:
        values, times, extra = self.rows(batch)
        return self.encoder(values, batch.mask, times.clamp_min(0.0), batch.lengths, extra)

    def _known(self, times: Tensor, gaps: Tensor, static: Tensor) -> Tensor:
        """(B, T, K) of model times and gaps (B, T): the gap and its log(1 + gap), then `extra`."""
        t, gap = times.to(static.dtype), gaps.to(static.dtype).unsqueeze(-1)
        return torch.cat([gap, torch.log1p(gap), self.extra(t, static.unsqueeze(1), t.shape)], dim=-1)


def _gaps(times: Tensor) -> Tensor:
    return times.diff(dim=1, prepend=torch.zeros_like(times[:, :1]))


def _counted(batch: Batch) -> Tensor:
    """(B, T) bool: the rows that are no padding."""
    return torch.arange(batch.times.shape[1], device=batch.lengths.device) < batch.lengths.unsqueeze(1)
