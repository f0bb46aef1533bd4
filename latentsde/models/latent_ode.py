"""Latent ODE: the path is decided by its start alone (Rubanova, Chen & Duvenaud 2019).

    z0 ~ q(z0 | x),   dz = f(z, t) dt,   x_i ~ p(x | decoder(z(t_i)))

f is what `LatentSDE` has for its prior drift, the decoder and likelihoods are the same, so that the two
differ by the noise. The recognition network reads the series backwards: an ODE-RNN, or a GRU that is told the
gaps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..data import Batch, Scaler
from ..nn import BackwardEncoder, ODEEncoder
from ..solvers import Solution, solve
from .config import SeriesConfig
from .fields import PriorDrift
from .initial_value import InitialValueModel, Rows


class LatentODE(InitialValueModel):
    """The model with an ODE-RNN as recognition network, which is run on to the time of z0; arguments as
    `SeriesModel`'s.

    The ODE is solved on each series' own times, by midpoint steps of at most `config.dt`; times before z0's
    are solved for backwards.
    """

    name = "latent_ode"
    can_model_times = True

    def __init__(self, config: SeriesConfig, scaler: Scaler) -> None:
        super().__init__(config, scaler, state=config.latent)
        self.encoder = self.recognition()
        self.drift = PriorDrift(config, self.extra_width)

    def recognition(self) -> BackwardEncoder | ODEEncoder:
        config = self.config
        sizes = (len(config.features), self.extra_width, config.encoder)
        return ODEEncoder(
            *sizes, self.likelihoods.inputs, width=config.hidden, step=config.dt / config.time_scale
        )

    def summary(self, batch: Batch) -> Tensor:
        values, times, extra = self.rows(batch)
        state = self.encoder(values, batch.mask, times, batch.lengths, extra)[:, 0]
        if isinstance(self.encoder, ODEEncoder):
            state = self.encoder.earlier(state, times[:, :1].clamp_min(0.0))
        return state

    def states(self, z0: Tensor, static: Tensor, rows: Rows, queries: Tensor) -> tuple[Tensor, int]:
        origin = torch.zeros_like(queries[:, :1])
        after = self._solve(z0, static, torch.cat([origin, queries.clamp_min(0.0)], dim=1))
        z, steps = after.ys[1:].transpose(0, 1), after.stats.steps
        if bool((queries < 0).any()):
            earlier = torch.cat([origin, queries.clamp_max(0.0).flip(1)], dim=1)
            before = self._solve(z0, static, earlier)
            z = torch.where((queries < 0).unsqueeze(-1), before.ys[1:].transpose(0, 1).flip(1), z)
            steps += before.stats.steps
        return z, steps

    def _solve(self, z0: Tensor, static: Tensor, times: Tensor) -> Solution:
        dt = self.config.dt / self.config.time_scale
        return solve(_Field(self, static), z0, times.t().cpu(), dt=dt, method="midpoint")


class LatentODEWithRNNEncoder(LatentODE):
    """The same with a GRU as recognition network, which is told the gaps between observations."""

    name = "latent_ode_rnn_encoder"

    def recognition(self) -> BackwardEncoder | ODEEncoder:
        return self.make_encoder()


class _Field:
    """The ordinary differential equation of a batch, for the solver."""

    def __init__(self, model: LatentODE, static: Tensor) -> None:
        self.model, self.static = model, static
        # Without a rhythm nothing that is known changes with time.
        timeless = not model.time_features.count
        self._known = self._condition(torch.zeros(len(static), device=static.device)) if timeless else None
        self._timeless = timeless

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        known = self._known
        if not self._timeless:
            known = self._condition(t.expand(len(z)) if t.dim() == 0 else t.squeeze(-1).expand(len(z)))
        return self.model.drift(z, known)

    def _condition(self, t: Tensor) -> Tensor | None:
        extra = self.model.extra(t, self.static, t.shape)
        return self.model.drift.network.condition(extra)
