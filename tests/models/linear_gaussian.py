"""A latent SDE whose posterior is known: an Ornstein-Uhlenbeck state, seen with normal noise, in float64."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from latentsde.data import Batch, IrregularSeries, collate
from latentsde.models import LatentSDE
from latentsde.models.bridges import Reading, Smoothed
from latentsde.models.induced import InducedSDE

TIMES = ((0.0, 0.05, 0.8, 3.0, 7.5, 10.0), (1.3, 2.0, 2.1, 6.0), (4.0,))


def linear_series() -> IrregularSeries:
    """One feature; series of 6, 4 and 1 rows, one of them where time begins."""
    rng = np.random.default_rng(3)
    rows = [(f"s{k}", t, rng.normal()) for k, times in enumerate(TIMES) for t in times]
    return IrregularSeries.from_frame(pd.DataFrame(rows, columns=["id", "t", "x"]), id="id", time="t")


def linear_model(series: IrregularSeries, **options: object) -> LatentSDE:
    """Prior dz = -κ z dt + σ dW, x = 1.5 z + noise. Its bridges are told the exact evidence, rate and level,
    so that its posterior is the true one.
    """
    sizes = {"latent": 1, "hidden": 4, "encoder": 4, "posterior": "marginals", "dt": 0.1} | options
    model = LatentSDE.for_series(series, **sizes).double()
    with torch.no_grad():
        model.decoder.linear.weight.fill_(1.5)
        model.decoder.linear.bias.zero_()
        model.initial.prior_raw.copy_(torch.tensor([0.3, -0.4]))
    assert model.bridges is not None

    def read(values: Tensor, mask: Tensor, times: Tensor, lengths: Tensor, extra: Tensor) -> Reading:
        ones = torch.ones_like(values)
        noise = (model.likelihoods.scale / 1.5).square() / model.diffusion.typical.square()
        rate = torch.nn.functional.softplus(model.prior_drift.raw_rate)
        states = torch.zeros(*times.shape, 4, dtype=torch.float64)
        condition = torch.zeros(*times.shape, 4, dtype=torch.float64)
        return Reading(states, values / 1.5, noise * ones, rate * ones, 0.0 * ones, condition)

    model.bridges.read = read  # type: ignore[method-assign]
    model.initial.posterior = (
        lambda summary: tuple(  # type: ignore[method-assign]
            part.expand(len(summary), 1) for part in model.initial.prior(summary[:, :0])
        )
    )
    return model


def batch_of(series: IrregularSeries, model: LatentSDE, indices: list[int] | None = None) -> Batch:
    chosen = list(range(len(series))) if indices is None else indices
    batch = collate(series, chosen, model.scaler)
    return Batch(batch.ids, batch.times, batch.values.double(), batch.mask, batch.static, batch.lengths)


def joint_law(model: LatentSDE, times: Tensor) -> tuple[Tensor, Tensor]:
    """Prior mean (N,) and covariance (N, N) of z at model times (N,)."""
    mean, std = (float(x.detach()) for x in model.initial.prior(torch.zeros(0)))
    rate = torch.nn.functional.softplus(model.prior_drift.raw_rate)[0].detach()
    stationary = float(model.diffusion.typical[0].detach()) ** 2 / (2.0 * rate)
    apart, early = (times[:, None] - times).abs(), torch.minimum(times[:, None], times)
    decay = torch.exp(-rate * times)
    covariance = decay[:, None] * decay * std**2
    covariance = covariance + stationary * torch.exp(-rate * apart) * -torch.expm1(-2.0 * rate * early)
    return mean * decay, covariance


def exact_posterior(model: LatentSDE, batch: Batch, row: int, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and standard deviation (N,) of z at model times `at` given the row's data, and their
    log-likelihood, from the joint normal of everything.
    """
    count = int(batch.lengths[row])
    seen = model.model_time(batch.times)[row, :count]
    mean, covariance = joint_law(model, torch.cat([seen, at]))
    scale = float(model.likelihoods.scale[0].detach())
    noisy = 1.5**2 * covariance[:count, :count] + scale**2 * torch.eye(count, dtype=at.dtype)
    law = torch.distributions.MultivariateNormal(1.5 * mean[:count], noisy)
    values = batch.values[row, :count, 0]
    across = 1.5 * covariance[count:, :count]
    gain = torch.linalg.solve(noisy, across, left=False)
    given = mean[count:] + gain @ (values - 1.5 * mean[:count])
    variance = covariance[count:, count:].diagonal() - (gain * across).sum(1)
    return given, variance.sqrt(), law.log_prob(values)


def encoded(model: LatentSDE, batch: Batch) -> tuple[Smoothed, InducedSDE]:
    code = model.encode(batch)
    sde = model.posterior_sde(code.context, code.static)
    assert isinstance(code, Smoothed) and isinstance(sde, InducedSDE)
    return code, sde


def exact_path_kl(model: LatentSDE, batch: Batch, row: int) -> Tensor:
    """The path KL of one series without randomness: Gauss-Legendre with 40 nodes over the time of every
    interval, and over the state the nodes of `states_of_a_normal`.
    """
    code, sde = encoded(model, batch)
    seen = code.context.times[row, : int(batch.lengths[row])]
    ends = torch.cat([torch.zeros_like(seen[:1]), seen])
    x, w = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(40))
    low, length = ends[:-1, None], torch.diff(ends)[:, None]
    times, weights = (low + 0.5 * (x + 1.0) * length).reshape(-1), (0.5 * w * length).reshape(-1)
    t = times[:, None, None].expand(-1, len(batch), 1)
    bridge = sde.bridge(t)
    total = torch.zeros((), dtype=torch.float64)
    for node, mass in zip(*states_of_a_normal(), strict=True):
        z = bridge.mean + bridge.std * node
        control = (sde.f(t, z) - sde.h(t, z)) / sde.g(t, z)
        total = total + mass * (weights * 0.5 * control.square().sum(-1)[:, row]).sum()
    return total


def exact_bound(model: LatentSDE, batch: Batch, row: int) -> Tensor:
    """The bound of one series without randomness."""
    code, _ = encoded(model, batch)
    count = int(batch.lengths[row])
    x, w = states_of_a_normal()
    z = code.knot_mean[row, :count] + code.knot_std[row, :count] * x[:, None, None]
    log_prob = model.likelihoods.log_prob(model.decoder(z), batch.values[row, :count])
    laws = (code.mean[row], code.std[row]), model.initial.prior(batch.static[row])
    initial = torch.distributions.kl_divergence(*(torch.distributions.Normal(*law) for law in laws))
    return (log_prob.sum((1, 2)) * w).sum() - exact_path_kl(model, batch, row) - initial.sum()


def states_of_a_normal() -> tuple[Tensor, Tensor]:
    """Five nodes and weights, exact for polynomials up to degree nine under N(0, 1)."""
    x, w = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(5))
    return x, w / w.sum()
