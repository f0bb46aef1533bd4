"""The SDE that marginals induce has them, and costs what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from latentsde.data import Batch, collate
from latentsde.girsanov import PathKL
from latentsde.models import LatentSDE
from latentsde.models.marginals import Marginal, induced_drift
from latentsde.solvers import solve
from tests.models.linear_gaussian import batch_of, encoded, exact_path_kl, linear_model, linear_series
from tests.models.small import small_model, small_series


class GivenMarginals:
    """μ = sin 2t with a kink at 1, log s = -0.3 + 0.5 cos t, σ(z) = 0.5 + 0.3 tanh z."""

    noise_type, sde_type = "diagonal", "ito"

    def at(self, t: Tensor) -> Marginal:
        late = (t >= 1.0).to(t.dtype)
        mean, rate = torch.sin(2.0 * t) - late * (t - 1.0), 2.0 * torch.cos(2.0 * t) - late
        return Marginal(mean, torch.exp(-0.3 + 0.5 * torch.cos(t)), rate, -0.5 * torch.sin(t))

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        sigma = self.g(t, z)
        slope = 2.0 * sigma * 0.3 * (1.0 - torch.tanh(z).square())
        return induced_drift(z, self.at(t), sigma, slope)

    def g(self, t: Tensor, z: Tensor) -> Tensor:
        return 0.5 + 0.3 * torch.tanh(z)


def moments_are_those(z: Tensor, mean: Tensor, std: Tensor, errors: float) -> None:
    """Mean, variance and third moment of samples z (N, ...) within `errors` standard errors of a normal's."""
    standard = (z - mean) / std
    count = len(z)
    assert (standard.mean(0).abs() < errors * count**-0.5).all()
    assert ((standard.square().mean(0) - 1.0).abs() < errors * (2.0 / count) ** 0.5).all()
    assert (standard.pow(3).mean(0).abs() < errors * (15.0 / count) ** 0.5).all()


def test_a_state_dependent_diffusion_leaves_the_marginals_normal() -> None:
    """20,000 paths, Milstein's steps of .005, three moments at four times: false-alarm rate below 1e-5 (5
    standard errors). Without the slope of σ² the means are off by 6.8 to 21 of them.
    """
    sde = GivenMarginals()
    times = torch.tensor([0.0, 0.6, 1.0, 1.7, 2.5], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    start = sde.at(times[0])
    z0 = start.mean + start.std * torch.randn(20_000, 1, generator=generator, dtype=torch.float64)
    ys = solve(sde, z0, times, dt=0.005, seed=1, method="milstein").ys
    law = sde.at(times[1:, None])
    moments_are_those(ys[1:, :, 0].t(), law.mean[:, 0], law.std[:, 0], 5.0)


def bent_model(**options: object) -> tuple[LatentSDE, Batch]:
    series = small_series(series=3)
    model = small_model(series, posterior="marginals", **options).double()
    batch = collate(series, np.arange(3), model.scaler)
    static = batch.static.double()
    return model, Batch(batch.ids, batch.times, batch.values.double(), batch.mask, static, batch.lengths)


@torch.no_grad()
def test_paths_of_a_model_have_its_marginals() -> None:
    """1,000 paths of each of three series with every weight off zero, at every observation: three moments of
    some fifty numbers, 5.5 standard errors, false-alarm rate below 1e-5. Steps of 1/200 of a series.
    """
    model, batch = bent_model()
    code, _ = encoded(model, batch)
    z0 = code.mean + code.std * torch.randn(
        1000, *code.mean.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    sde = model.posterior_sde(code.context.repeat(1000), code.static.repeat_interleave(1000, 0))
    times = torch.cat([torch.zeros(3, 1, dtype=torch.float64), code.context.times], 1)
    ts = times.repeat_interleave(1000, 0).t()
    ys = solve(sde, z0.transpose(0, 1).flatten(0, 1), ts, dt=0.05, seed=0).ys
    z = ys[1:].unflatten(1, (3, 1000)).permute(2, 1, 0, 3)  # (paths, series, rows, L)
    moments_are_those(z, code.knot_mean, code.knot_std, 5.5)


@pytest.mark.parametrize("diffusion", ["constant", "state"])
def test_rates_are_the_derivatives_of_mean_and_deviation(diffusion: str) -> None:
    model, batch = bent_model(diffusion=diffusion)
    _, sde = encoded(model, batch)
    last = model.model_time(batch.times)[:, -1:]
    t = (torch.linspace(0.02, 0.97, 40, dtype=torch.float64)[:, None] * last.t()).unsqueeze(-1)
    here, before, after = (sde.bridge(t + shift) for shift in (0.0, -1e-6, 1e-6))
    mean_rate = (after.mean - before.mean) / 2e-6
    log_rate = (after.std.log() - before.std.log()) / 2e-6
    torch.testing.assert_close(here.mean_rate, mean_rate, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(here.log_std_rate, log_rate, rtol=1e-5, atol=1e-6)
    assert here.mean_rate.abs().max() > 0.05


def test_the_marginals_are_continuous_at_observations() -> None:
    model, batch = bent_model()
    code, sde = encoded(model, batch)
    for row in range(3):
        seen = code.context.times[row, : int(batch.lengths[row]) - 1]
        for side in (-1e-9, 1e-9):
            t = (seen + side)[:, None, None].expand(-1, 3, 1)
            bridge = sde.bridge(t)
            torch.testing.assert_close(
                bridge.mean[:, row], code.knot_mean[row, : len(seen)], atol=1e-6, rtol=0
            )
            torch.testing.assert_close(bridge.std[:, row], code.knot_std[row, : len(seen)], atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("bend", [0.0, 0.5])
def test_the_path_kl_is_girsanovs(bend: float) -> None:
    """½|u|² of 1,000 simulated paths, extrapolated from steps of .02 and .01 of the same noise, against
    quadrature: false-alarm rate below 1e-5 (5 standard errors), and a standard error of at most 4 %.
    """
    series = linear_series()
    model = linear_model(series)
    assert model.bridges is not None
    model.bridges.bend.bias.fill_(bend)
    batch = batch_of(series, model, [1])
    code, sde = encoded(model, batch)
    copies = 1000
    z0 = code.mean + code.std * torch.randn(
        copies, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    sde = model.posterior_sde(code.context.repeat(copies), code.static.repeat_interleave(copies, 0))
    ts = torch.cat([torch.zeros(1, 1, dtype=torch.float64), code.context.times], 1).t().expand(-1, copies)
    coarse, fine = (
        solve(PathKL(sde, sticking_the_landing=False), z0, ts, dt=dt, seed=3).functional
        for dt in (0.02, 0.01)
    )
    assert coarse is not None and fine is not None
    estimates = 2.0 * fine[-1] - coarse[-1]
    exact, error = exact_path_kl(model, batch, 0), estimates.std() / copies**0.5
    assert error < 0.04 * exact
    assert (estimates.mean() - exact).abs() < 5.0 * error


@pytest.mark.parametrize("diffusion", ["constant", "state"])
def test_after_the_last_observation_the_posterior_is_the_prior(diffusion: str) -> None:
    model, batch = bent_model(diffusion=diffusion)
    _, sde = encoded(model, batch)
    z = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    last = model.model_time(batch.times)[:, -1:]
    for t in (last, last + 1.0):
        torch.testing.assert_close(sde.f(t, z), sde.h(t, z), rtol=0.0, atol=0.0)
        assert (sde.contraction(t, z, 0.5) == 1.0).all()
    assert not torch.allclose(sde.f(last - 1e-3, z), sde.h(last - 1e-3, z))


def test_both_bounds_of_a_model_agree() -> None:
    """By simulation and without, at 500 samples of three series and small steps: within 5 standard errors and
    .05 nats for the steps.
    """
    series = linear_series()
    model = linear_model(series, dt=0.02)
    batch = batch_of(series, model)
    with torch.no_grad():
        free, simulated = (
            f(batch, seed=0, samples=500).log_weights for f in (model.elbo, model.simulated_elbo)
        )
    error = ((free.var(1) + simulated.var(1)) / 500).sqrt()
    assert ((free.mean(1) - simulated.mean(1)).abs() < 5.0 * error + 0.05).all()
    assert simulated.std(1).max() < 0.3 * free.std(1).min()  # paths of the exact posterior stick the landing


def test_the_slope_of_the_diffusion_is_its_derivative() -> None:
    model, _ = bent_model(diffusion="state")
    z = torch.linspace(-3.0, 3.0, 50, dtype=torch.float64)[:, None].expand(-1, 3)
    after, before = (model.diffusion(z + shift).square() for shift in (1e-6, -1e-6))
    slope = model.diffusion.variance_slope(z)
    torch.testing.assert_close(slope, (after - before) / 2e-6, rtol=1e-6, atol=1e-7)
    assert slope.abs().max() > 0.01
