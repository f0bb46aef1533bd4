"""LatentSDE: a variational autoencoder whose latent path is an SDE (Li, Wong, Chen & Duvenaud 2020).

    prior      dz = f_p(z, t) dt + σ(z) dW,      z(start) ~ p(z0)
    posterior  dz = (f_p + σ u)(z, t) dt + σ(z) dW, z(start) ~ q(z0 | x)
    data       x_i ~ p(x | decoder(z(t_i)))

    ELBO = E_q[ Σ_i log p(x_i | z(t_i)) - ½∫|u|² dt - ∫ū·dW - log q̄(z0) + log p(z0) ]

where the bars mark what sticking the landing detaches (see `latentsde.girsanov`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..brownian import AlignedPath, derive_seed, standard_normal
from ..data import Batch, IrregularSeries, Scaler
from ..girsanov import BridgedPathKL
from ..nn import MLP, BackwardEncoder, Context, Likelihoods, TimeFeatures
from ..solvers import ConstantStep, Solution, solve
from ..solvers.grid import read_times
from .config import LatentSDEConfig
from .defaults import config_for
from .fields import Control, Diffusion, PriorDrift
from .posterior import PosteriorSDE


@dataclass(frozen=True)
class ELBO:
    """The parts of the bound for each series, (B,) nats in scaled units; `observed` counts the series'
    observed values.
    """

    log_likelihood: Tensor
    kl_initial: Tensor
    kl_path: Tensor
    observed: Tensor
    steps: int

    def value(self, kl_weight: float = 1.0) -> Tensor:
        """(B,) log-likelihood minus weighted KL."""
        return self.log_likelihood - kl_weight * (self.kl_initial + self.kl_path)


@dataclass(frozen=True)
class Encoding:
    """What the recognition network makes of a batch: q(z0) and the context, in model time."""

    mean: Tensor
    std: Tensor
    context: Context
    static: Tensor


class LatentSDE(nn.Module):
    """The model: recognition network, prior, diffusion, control, decoder and likelihoods.

    Args:
        config: sizes and time scales.
        scaler: of the data it is fitted to; kept here because every output undoes it.
    """

    def __init__(self, config: LatentSDEConfig, scaler: Scaler) -> None:
        super().__init__()
        self.config, self.scaler = config, scaler
        period = config.period / config.time_scale if config.period else None
        self.time_features = TimeFeatures(period, phase=-config.start / config.time_scale)
        extra = self.time_features.count + len(config.static)
        self.encoder = BackwardEncoder(len(config.features), extra, config.encoder)
        self.initial = nn.Linear(config.encoder + 1 + len(config.static), 2 * config.latent)
        self.prior_initial = nn.Parameter(torch.zeros(2 * config.latent))
        self.prior_static = (
            nn.Linear(len(config.static), 2 * config.latent, bias=False) if config.static else None
        )
        self.prior_drift = PriorDrift(config, extra)
        self.diffusion = Diffusion(config)
        self.control = Control(config, extra)
        self.summary = nn.Linear(config.encoder, self.control.inputs)
        self.decoder_linear = nn.Linear(config.latent + extra, len(config.features))
        self.decoder_network = MLP(
            config.latent + extra, config.hidden, len(config.features), layers=1, zero_output=True
        )
        self.likelihoods = Likelihoods(config.likelihoods)

    @classmethod
    def for_series(cls, series: IrregularSeries, *, seed: int = 0, **options: Any) -> LatentSDE:
        """A new model for a data set: `options` are those of `latentsde.models.config_for`, the weights a
        function of `seed`.
        """
        config = config_for(series, **options)
        counts = {
            n for n, family in zip(config.features, config.likelihoods, strict=True) if family == "poisson"
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config, Scaler.fit(series, counts))

    def model_time(self, times: Tensor) -> Tensor:
        """Data times to model times, 0 at `config.start`; float64."""
        return (times.to(torch.float64) - self.config.start) / self.config.time_scale

    def extra(self, t: Tensor, static: Tensor, shape: torch.Size) -> Tensor:
        """What every network is told besides the state: time features of t (..., B) and the static
        covariates, (*shape, E).
        """
        parts = [self.time_features(t).expand(*shape, -1)] if self.time_features.count else []
        if static.shape[-1]:
            parts.append(static.expand(*shape, -1))
        return torch.cat(parts, dim=-1) if parts else static.new_zeros(*shape, 0)

    def encode(self, batch: Batch) -> Encoding:
        """q(z0) and the context of a batch."""
        times = self.model_time(batch.times).to(batch.values.dtype)
        values = self.likelihoods.encoder_values(batch.values) * batch.mask
        static_rows = batch.static.unsqueeze(1).expand(-1, times.shape[1], -1)
        features = [self.time_features(times)] if self.time_features.count else []
        extra = torch.cat([*features, static_rows], dim=-1)
        states = self.encoder(values, batch.mask, times, batch.lengths, extra)
        some = (batch.lengths > 0).unsqueeze(-1).to(states.dtype)
        known = torch.cat([states[:, 0] * some, times[:, :1], batch.static], dim=-1)
        mean, raw = self.initial(known).chunk(2, dim=-1)
        std = nn.functional.softplus(raw) + 1e-3
        return Encoding(mean, std, Context(times, self.summary(states), batch.lengths), batch.static)

    def prior(self, static: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (B, L) of p(z0)."""
        raw = self.prior_initial.expand(*static.shape[:-1], -1)
        if self.prior_static is not None:
            raw = raw + self.prior_static(static)
        mean, log_std = raw.chunk(2, dim=-1)
        return mean, log_std.exp()

    def decode(self, z: Tensor, t: Tensor, static: Tensor) -> Tensor:
        """Locations (..., B, F) of the likelihoods at states (..., B, L) and model times (..., B)."""
        inputs = torch.cat([z, self.extra(t, static, z.shape[:-1])], dim=-1)
        return self.decoder_linear(inputs) + self.decoder_network(inputs)

    def observed_times(self, batch: Batch) -> Tensor:
        """(B, T) float64 model times of a batch's rows.

        Of other series than those fitted to, what was observed before the start counts as observed there.
        """
        return self.model_time(batch.times).clamp_min(0.0)

    def solve_posterior(
        self,
        context: Context,
        static: Tensor,
        z0: Tensor,
        observed: Tensor,
        ids: Tensor,
        *,
        seed: int,
        sticking_the_landing: bool = True,
        sampled: Sequence[Tensor] = (),
    ) -> Solution:
        """The posterior from z0 (B, L) at time 0 through model times `observed` (B, T); its functional is the
        path KL, of which `latentsde.PathKL` describes the options. The noise is a function of (seed, ids).
        """
        times = torch.cat([torch.zeros_like(observed[:, :1]), observed], dim=1).t().cpu()
        dt = self.config.dt / self.config.time_scale
        grid = ConstantStep(dt).grid(read_times(times, len(ids)))
        path = AlignedPath(z0.shape, grid.points, seed=seed, ids=ids, device=z0.device)
        posterior = BridgedPathKL(
            PosteriorSDE(self, context, static),
            sticking_the_landing=sticking_the_landing,
            vectorized=True,
            sampled=sampled,
        )
        return solve(posterior, z0, times, dt=dt, path=path, method="bridged_euler")

    def log_likelihood(self, z: Tensor, batch: Batch) -> Tensor:
        """(B, S) log p(x | z), summed over the observed values, of S paths (B, S, T, L) at the batch's
        times.
        """
        t = self.observed_times(batch).to(z.dtype)[:, None].expand(z.shape[:-1])
        location = self.decode(z, t, batch.static[:, None, None])
        log_prob = self.likelihoods.log_prob(location, batch.values.unsqueeze(1))
        return torch.where(batch.mask.unsqueeze(1), log_prob, 0.0).sum((2, 3))

    def elbo(self, batch: Batch, *, seed: int, samples: int = 1, hidden_share: float = 0.0) -> ELBO:
        """The bound, estimated with `samples` posterior paths a series; the noise is a function of (seed,
        series) alone.

        Every series is solved on its own observation times, so a batch costs the steps of its longest series.
        With `hidden_share` > 0 the recognition network sees only a random part of the values whose likelihood
        is counted: q is any function of the data, so the bound holds, and q learns to do with less.
        """
        code = self.encode(hide(batch, hidden_share, seed=derive_seed(seed, 2)) if hidden_share else batch)
        ids = sample_ids(batch.ids, samples)
        mean, std = code.mean.repeat_interleave(samples, 0), code.std.repeat_interleave(samples, 0)
        static = code.static.repeat_interleave(samples, 0)
        noise = standard_normal(mean.shape, seed=derive_seed(seed, 0), ids=ids, device=mean.device)
        z0 = mean + std * noise
        prior_mean, prior_std = self.prior(static)
        kl_initial = _log_normal(z0, mean.detach(), std.detach()) - _log_normal(z0, prior_mean, prior_std)

        observed = self.observed_times(batch)
        context, times = code.context.repeat(samples), observed.repeat_interleave(samples, 0)
        solution = self.solve_posterior(context, static, z0, times, ids, seed=derive_seed(seed, 1))
        assert solution.functional is not None
        z = solution.ys[1:].transpose(0, 1).unflatten(0, (len(batch), samples))  # (B, S, T, L)

        def per_series(values: Tensor) -> Tensor:
            return values.unflatten(0, (len(batch), samples)).mean(1)

        return ELBO(
            log_likelihood=self.log_likelihood(z, batch).mean(1),
            kl_initial=per_series(kl_initial),
            kl_path=per_series(solution.functional[-1]),
            observed=batch.mask.sum((1, 2)),
            steps=solution.stats.steps,
        )


def hide(batch: Batch, share: float, *, seed: int) -> Batch:
    """The batch with each observed value left out with probability `share`; a function of (seed, series)."""
    draws = standard_normal(tuple(batch.mask.shape), seed=seed, ids=batch.ids, device=batch.mask.device)
    mask = batch.mask & (torch.special.ndtr(draws) >= share)
    return replace(batch, mask=mask, values=batch.values * mask)


def sample_ids(ids: Tensor, samples: int) -> Tensor:
    """(B,) series ids -> (B samples,) ids of their sample paths; sample 0 keeps the series' id."""
    offsets = torch.arange(samples, dtype=torch.int64, device=ids.device) * 0x1E3779B97F4A7C15
    return ((ids.unsqueeze(1) + offsets) & 0x7FFFFFFFFFFFFFFF).reshape(-1)


def _log_normal(z: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return (-0.5 * ((z - mean) / std).square() - std.log() - 0.5 * math.log(2.0 * math.pi)).sum(-1)
