"""LatentSDE: a variational autoencoder whose latent path is an SDE (Li, Wong, Chen & Duvenaud 2020).

    prior      dz = f_p(z, t) dt + σ(z) dW,      z(start) ~ p(z0)
    posterior  dz = (f_p + σ u)(z, t) dt + σ(z) dW, z(start) ~ q(z0 | x)
    data       x_i ~ p(x | decoder(z(t_i)))

    ELBO = E_q[ Σ_i log p(x_i | z(t_i)) - ½∫|u|² dt - ∫ū·dW - log q̄(z0) + log p(z0) ]

where the bars mark what sticking the landing detaches (see `latentsde.girsanov`).

With the configuration's posterior "marginals" the posterior is given by its law at every time instead of by
u, and the bound is estimated without a solver (`latentsde.models.matching`). With "linearised" it follows
from the prior, and training is by the likelihood of an extended Kalman filter
(`latentsde.models.linearised`). Everything else is the same.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..brownian import AlignedPath, derive_seed
from ..data import Batch, Scaler
from ..girsanov import BridgedPathKL
from ..nn import Context
from ..solvers import ConstantStep, Solution, solve
from ..solvers.grid import read_times
from .bound import ELBO, sample_ids
from .bridges import Bridges
from .config import LatentSDEConfig
from .fields import Control, Diffusion, PriorDrift
from .induced import InducedSDE
from .initial import InitialState, draw
from .linearised import LinearisedSDE, filtered, smoothed, table_columns
from .matching import matching_bound
from .messages import Message
from .paths import Paths
from .posterior import Encoding, PosteriorSDE
from .prediction import paths
from .rows import without_empty_rows
from .series_model import SeriesModel


class LatentSDE(SeriesModel):
    """The model: recognition network, prior, diffusion, control, decoder and likelihoods; arguments as
    `SeriesModel`'s.
    """

    name = "latent_sde"
    config_type = LatentSDEConfig
    config: LatentSDEConfig
    can_model_times = True

    def __init__(self, config: LatentSDEConfig, scaler: Scaler) -> None:
        super().__init__(config, scaler)
        extra, static = self.extra_width, len(config.static)
        self.bridges: Bridges | None = None
        if config.posterior == "marginals":
            self.bridges = Bridges(config, extra, self.likelihoods.inputs)
        elif config.posterior == "control":
            self.encoder = self.make_encoder()
        known = None if config.posterior == "linearised" else config.encoder + 1 + static
        self.initial = InitialState(known, config.latent, static)
        self.prior_drift = PriorDrift(config, extra)
        self.diffusion = Diffusion(config)
        if config.posterior == "control":
            self.control = Control(config, extra)
            self.summary = nn.Linear(config.encoder, self.control.inputs)
        self.decoder = self.make_decoder(config.latent)
        self.intensity_decoder = self.make_intensity(config.latent)

    def encode(self, batch: Batch) -> Encoding:
        """q(z0) and the context of a batch."""
        if self.config.posterior == "linearised":
            return smoothed(self, batch)
        if self.bridges is None:
            # As a prediction is shown them. Marginals have a knot at every row, seen or not.
            batch = without_empty_rows(batch)
        values, times, extra = self.rows(batch)
        if self.bridges is None:
            states = self.encoder(values, batch.mask, times, batch.lengths, extra)
        else:
            reading = self.bridges.read(values, batch.mask, times, batch.lengths, extra)
            states = reading.states
        some = (batch.lengths > 0).unsqueeze(-1).to(states.dtype)
        known = torch.cat([states[:, 0] * some, times[:, :1] * some, batch.static], dim=-1)
        start = self.initial.posterior(known)
        if self.bridges is None:
            return Encoding(*start, Context(times, self.summary(states), batch.lengths), batch.static)
        return self.bridges.smooth(
            reading,
            Message.of_normal(*start),
            times.clamp_min(0.0),
            batch.lengths,
            self.diffusion.typical.square(),
            batch.static,
        )

    def posterior_sde(self, context: Context, static: Tensor) -> PosteriorSDE:
        """Of a context as `encode` makes it, static (B, C)."""
        kinds = {"control": PosteriorSDE, "marginals": InducedSDE, "linearised": LinearisedSDE}
        return kinds[self.config.posterior](self, context, static)

    def solve_posterior(
        self,
        context: Context,
        static: Tensor,
        z0: Tensor,
        times: Tensor,
        ids: Tensor,
        *,
        seed: int,
        sticking_the_landing: bool = True,
        sampled: Sequence[Tensor] = (),
    ) -> Solution:
        """The posterior from z0 (B, L) through model times (B, N), of which the first is 0; its functional is
        the path KL, of which `latentsde.PathKL` describes the options. The noise is a function of (seed,
        ids).
        """
        times = times.t().cpu()
        dt = self.config.dt / self.config.time_scale
        grid = ConstantStep(dt).grid(read_times(times, len(ids)))
        path = AlignedPath(z0.shape, grid.points, seed=seed, ids=ids, device=z0.device)
        posterior = BridgedPathKL(
            self.posterior_sde(context, static),
            sticking_the_landing=sticking_the_landing,
            vectorized=True,
            sampled=sampled,
        )
        return solve(posterior, z0, times, dt=dt, path=path, method="bridged_euler")

    def elbo(self, batch: Batch, *, seed: int, samples: int = 1, seen: Batch | None = None) -> ELBO:
        """The bound, estimated with `samples` posterior paths a series; the noise is a function of (seed,
        series) alone.

        Every series is solved on its own observation times, so a batch costs the steps of its longest series.
        `seen` is what the recognition network sees of the batch; see `SeriesModel.elbo`.

        For a posterior given by its marginals the bound is that of `latentsde.models.matching`, without a
        solver. A linearised one has no recognition network to show `seen`, and is trained by what stands here
        for it: the filter's log-likelihood of the batch, which is no bound; `simulated_elbo` is one.
        """
        if self.config.posterior == "linearised":
            found = filtered(self, batch).log_likelihood.to(batch.values.dtype)
            samples_of_it = found.unsqueeze(1).expand(-1, samples)
            nothing = torch.zeros_like(samples_of_it)
            return ELBO.of_samples(samples_of_it, nothing, nothing, batch.mask.sum((1, 2)))
        estimate = self.simulated_elbo if self.bridges is None else functools.partial(matching_bound, self)
        return estimate(batch, seed=seed, samples=samples, seen=seen)

    def simulated_elbo(self, batch: Batch, *, seed: int, samples: int = 1, seen: Batch | None = None) -> ELBO:
        """The bound by simulation of the posterior, for any kind of it; arguments as `elbo`'s."""
        code = self.encode(batch if seen is None else seen)
        ids = sample_ids(batch.ids, samples)
        mean, std = code.mean.repeat_interleave(samples, 0), code.std.repeat_interleave(samples, 0)
        static = code.static.repeat_interleave(samples, 0)
        z0 = draw(mean, std, seed=derive_seed(seed, 0), ids=ids)
        kl_initial = self.initial.divergence(z0, mean, std, static)

        asked = self.asked_times(batch)
        context, times = code.context.repeat(samples), asked.times.repeat_interleave(samples, 0)
        solution = self.solve_posterior(context, static, z0, times, ids, seed=derive_seed(seed, 1))
        assert solution.functional is not None
        shape = (len(batch), samples)
        return ELBO.of_samples(
            self.evidence(solution.ys.transpose(0, 1).unflatten(0, shape), asked, batch),
            kl_initial.unflatten(0, shape),
            solution.functional[-1].unflatten(0, shape),
            batch.mask.sum((1, 2)),
            solution.stats.steps,
        )

    @torch.no_grad()
    def posterior_paths(self, batch: Batch, queries: Tensor, *, samples: int, seed: int) -> Paths:
        """See `SeriesModel`.

        Before `config.start` the prior is run backwards from z0 as a reversible diffusion: exact for a
        stationary, reversible prior, and no data bear on it. After the last observation the posterior is the
        prior. The noise is a function of (seed, series, sample, time) at the multiples of dt, whatever the
        queries.
        """
        observed = self.model_time(batch.times)
        return paths(self, self.encode(batch), observed, batch.ids, queries, samples, seed)

    @torch.no_grad()
    def prior_paths(self, static: Tensor, ids: Tensor, queries: Tensor, *, samples: int, seed: int) -> Paths:
        mean, std = (x.expand(len(static), -1) for x in self.initial.prior(static))
        observed = torch.zeros(len(static), 1, dtype=torch.float64, device=static.device)
        code = Encoding(mean, std, self.nothing_ahead(static), static)
        return paths(self, code, observed, ids, queries, samples, seed)

    def nothing_ahead(self, static: Tensor) -> Context:
        """The context of series without an observation, static (B, C): their posterior SDE is the prior."""
        if self.config.posterior == "linearised":
            width = sum(table_columns(self.config.latent))
        else:
            width = self.control.inputs if self.bridges is None else self.bridges.inputs
        summaries = static.new_ones(len(static), 1, width)  # of nothing, so that any finite one will do
        lengths = torch.zeros(len(static), dtype=torch.int64, device=static.device)
        return Context(static.new_zeros(len(static), 1), summaries, lengths)
