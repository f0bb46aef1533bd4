"""The bound: what it costs, what it does not depend on, and that it is a bound."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from latentsde.data import Batch, collate
from latentsde.girsanov import BridgedPathKL, PathKL
from latentsde.models import ELBO, LatentSDE
from latentsde.models.bound import hide, hide_after, log_normal
from latentsde.solvers import ConstantStep, solve
from tests.models.small import small_model, small_series

SERIES = small_series()
MODEL = small_model(SERIES)
EVERYONE = np.arange(len(SERIES))


def parts(elbo: ELBO) -> torch.Tensor:
    return torch.stack([elbo.log_likelihood, elbo.kl_initial, elbo.kl_path])


def test_a_series_has_the_same_bound_in_any_batch() -> None:
    together = parts(MODEL.elbo(collate(SERIES, EVERYONE, MODEL.scaler), seed=3))
    alone = torch.cat(
        [parts(MODEL.elbo(collate(SERIES, [k], MODEL.scaler), seed=3)) for k in EVERYONE], dim=1
    )
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_samples_are_paths_of_their_own_and_their_mean_is_reported() -> None:
    batch = collate(SERIES, EVERYONE, MODEL.scaler)
    one, two = (MODEL.elbo(batch, seed=3, samples=n).log_likelihood for n in (1, 2))
    assert not torch.allclose(one, two)
    assert two.shape == one.shape == (len(SERIES),)


def test_a_batch_costs_the_steps_of_its_longest_series() -> None:
    batch = collate(SERIES, EVERYONE, MODEL.scaler)
    alone = [MODEL.elbo(collate(SERIES, [k], MODEL.scaler), seed=0).steps for k in EVERYONE]
    assert MODEL.elbo(batch, seed=0).steps == max(alone)
    union = len(np.unique(np.concatenate([SERIES.times[SERIES.rows(k)] for k in EVERYONE])))
    assert max(alone) - min(alone) > 0 and max(alone) < union + 100


def test_unobserved_values_do_not_matter() -> None:
    batch = collate(SERIES, EVERYONE, MODEL.scaler)
    spoiled = type(batch)(
        batch.ids,
        batch.times,
        torch.where(batch.mask, batch.values, 77.0),
        batch.mask,
        batch.static,
        batch.lengths,
    )
    torch.testing.assert_close(parts(MODEL.elbo(batch, seed=1)), parts(MODEL.elbo(spoiled, seed=1)))


def test_hidden_values_are_hidden_from_the_recognition_network_alone() -> None:
    """A share of the values is left out, the same in any batch; the likelihood still counts them all."""
    batch = collate(SERIES, EVERYONE, MODEL.scaler)
    seen = hide(batch, 0.5, seed=1)
    assert not (seen.mask & ~batch.mask).any()
    assert 0 < seen.mask.sum() < batch.mask.sum()
    assert (seen.values[~seen.mask] == 0).all()
    one = collate(SERIES, [2], MODEL.scaler)
    rows = one.mask.shape[1]
    assert torch.equal(hide(one, 0.5, seed=1).mask[0], seen.mask[2, :rows])
    plain, partly = MODEL.elbo(batch, seed=1), MODEL.elbo(batch, seed=1, seen=seen)
    assert torch.equal(plain.observed, partly.observed)
    assert not torch.equal(plain.kl_initial, partly.kl_initial)


@pytest.mark.parametrize("diffusion", ["constant", "state"])
def test_every_parameter_that_matters_gets_a_gradient(diffusion: str) -> None:
    model = small_model(SERIES, diffusion=diffusion)
    batch = collate(SERIES, EVERYONE, model.scaler)
    (-model.elbo(batch, seed=1).value().mean()).backward()
    without = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert without <= {"likelihoods.raw_degrees"}  # of the Student t, which no feature has


def test_the_diffusion_stays_between_its_bounds() -> None:
    model = small_model(SERIES, diffusion="state", min_diffusion=0.1, max_diffusion=2.0)
    with torch.no_grad():
        model.diffusion.bias.fill_(-100.0)
        low = model.diffusion(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)))
        model.diffusion.bias.fill_(100.0)
        high = model.diffusion(torch.zeros(1, 3))
    assert low.min() >= 0.1 and high.max() <= 2.0


class OneObservation:
    """A Brownian motion σW from 0, given one noisy observation `m` of its end: its exact posterior, and the
    bridge's contraction.
    """

    noise_type, sde_type, additive = "diagonal", "ito", True

    def __init__(self, sigma: torch.Tensor, m: torch.Tensor, b: torch.Tensor, end: float) -> None:
        self.sigma, self.m, self.b, self.end = sigma, m, b, end

    def f(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (self.m - y) / (self.b + self.end - t)

    def g(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.sigma.expand_as(y)

    def h(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(y)

    def contraction(self, t: torch.Tensor, y: torch.Tensor, h: float | torch.Tensor) -> torch.Tensor:
        return (1.0 - h / (self.b + self.end - t)).sqrt().expand_as(y)


def bound(sde: OneObservation, kl: type[PathKL], dt: float, paths: int) -> torch.Tensor:
    """(paths,) single-path estimates of the ELBO of the observation."""
    y0 = torch.zeros(paths, 1, dtype=torch.float64)
    method = "bridged_euler" if kl is BridgedPathKL else "euler"
    solution = solve(kl(sde), y0, [0.0, sde.end], dt=dt, seed=0, method=method)
    noise = torch.distributions.Normal(solution.ys[-1], sde.sigma * sde.b.sqrt())
    assert solution.functional is not None
    return noise.log_prob(sde.m).sum(-1) - solution.functional[-1]


@pytest.mark.parametrize("dt", [2.0, 0.7, 0.1])
def test_bridged_steps_of_any_length_make_the_exact_posterior_free_of_variance(dt: float) -> None:
    sigma, m, b = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.8, 1.3, 0.3))
    sde = OneObservation(sigma, m, b, end=2.0)
    exact = torch.distributions.Normal(0.0, (sigma**2 * (2.0 + b)).sqrt()).log_prob(m)
    estimates = bound(sde, BridgedPathKL, dt, paths=50)
    torch.testing.assert_close(estimates, exact.expand(50), rtol=0.0, atol=1e-12)
    # Euler at the same step pays ½(x - log(1 + x)) for the variance it leaves.
    assert bound(sde, PathKL, dt, paths=2000).mean() < exact - 0.01 * dt


def test_bridged_path_kl_without_contraction_is_path_kl() -> None:
    class Plain(OneObservation):
        def contraction(self, t: torch.Tensor, y: torch.Tensor, h: float | torch.Tensor) -> torch.Tensor:
            return torch.ones_like(y)

    values = []
    for kl in (PathKL, BridgedPathKL):
        leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.8, 1.3, 0.3)]
        estimate = bound(Plain(*leaves, end=2.0), kl, 0.1, paths=5).sum()
        values.append(torch.stack([estimate, *torch.autograd.grad(estimate, leaves)]))
    torch.testing.assert_close(values[0], values[1], rtol=1e-10, atol=1e-10)


def test_the_initial_state_sticks_the_landing_too() -> None:
    """At q(z0) = p(z0) the sampled KL of z0 is 0 for every draw and its gradient in q's parameters is 0, not
    only on average.
    """
    mean, log_std = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    z0 = mean + log_std.exp() * torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    kl = log_normal(z0, mean.detach(), log_std.exp().detach()) - log_normal(z0, torch.zeros(4), torch.ones(4))
    gradients = torch.autograd.grad(kl.sum(), (mean, log_std))
    assert kl.abs().max() == 0.0
    assert max(g.abs().max() for g in gradients) < 1e-5


def test_the_bound_is_below_the_likelihood_of_a_model_whose_likelihood_is_known() -> None:
    """A model made linear by hand: one latent Ornstein-Uhlenbeck state, identity decoder; Kalman filter on
    its Euler chain.

    False-alarm rate below 1e-6: the mean of 4,000 estimates is held 5 standard errors above the likelihood at
    most.
    """
    series = small_series(seed=5).select([0])
    only_a = series.with_values(np.where([True, False], series.values, np.nan))
    model = small_model(only_a, latent=1)
    with torch.no_grad():
        for module in (model.prior_drift.network, model.decoder.network):
            list(module.parameters())[-1].zero_()
            list(module.parameters())[-2].zero_()
        model.decoder.linear.weight.zero_()
        model.decoder.linear.bias.zero_()
        model.decoder.linear.weight[0, 0] = 1.0
    batch = collate(only_a, [0], model.scaler)
    with torch.no_grad():
        value = model.elbo(batch, seed=0, samples=4000)
        exact = kalman(model, batch)
        spread = torch.stack([model.elbo(batch, seed=s).value()[0] for s in range(40)]).std() / math.sqrt(
            4000
        )
    assert value.value()[0] < exact + 5.0 * spread
    assert value.value()[0] > exact - 500.0  # and is not vacuous


def kalman(model: LatentSDE, batch: Batch) -> float:
    """Exact log-likelihood of the first feature under the Euler chain of a linear prior on the batch's own
    step grid.
    """
    observed = model.model_time(batch.times)[0]
    grid = ConstantStep(model.config.dt / model.config.time_scale).grid(
        torch.cat([torch.zeros(1, 1, dtype=torch.float64), observed.unsqueeze(1)])
    )
    rate = float(torch.nn.functional.softplus(model.prior_drift.raw_rate))
    sigma = float(model.diffusion(torch.zeros(1, 1)))
    prior_mean, prior_std = model.initial.prior(batch.static)
    mean, variance = float(prior_mean), float(prior_std) ** 2
    noise, total, row = float(model.likelihoods.scale[0]) ** 2, 0.0, 0
    stops = {int(k): i for i, k in enumerate(grid.outputs[1:, 0])}
    for k in range(grid.steps + 1):
        if k:
            h = float(grid.points[k, 0] - grid.points[k - 1, 0])
            mean, variance = mean * (1.0 - rate * h), variance * (1.0 - rate * h) ** 2 + sigma**2 * h
        if k in stops and bool(batch.mask[0, stops[k], 0]):
            x = float(batch.values[0, stops[k], 0])
            s = variance + noise
            total -= 0.5 * ((x - mean) ** 2 / s + math.log(2.0 * math.pi * s))
            gain = variance / s
            mean, variance, row = mean + gain * (x - mean), variance * (1.0 - gain), row + 1
    assert row > 0
    return total


def test_a_row_of_which_nothing_is_seen_is_not_told() -> None:
    """Neither its time nor that it is there: the rest of the series has the same posterior without it."""
    batch = collate(SERIES, EVERYONE, MODEL.scaler)
    mask = batch.mask.clone()
    mask[:, 1] = False
    seen = replace(batch, mask=mask, values=batch.values * mask)
    moved = batch.times.clone()
    moved[:, 1] = 0.5 * (moved[:, 0] + moved[:, 1])
    both = [MODEL.elbo(batch, seed=1, seen=each).kl_initial for each in (seen, replace(seen, times=moved))]
    torch.testing.assert_close(*both)


def test_importance_weighted_bounds_have_no_gradient() -> None:
    """Sticking the landing would bias it."""
    bound = MODEL.elbo(collate(SERIES, EVERYONE, MODEL.scaler), seed=1, samples=3)
    assert not bound.importance_weighted().requires_grad
    assert (bound.importance_weighted() >= bound.value().detach() - 1e-3).all()


def test_what_comes_after_a_time_is_hidden() -> None:
    batch = collate(SERIES, EVERYONE, MODEL.scaler)
    seen = hide_after(batch, 5.0)
    late = batch.times > 5.0
    assert late.any() and not seen.mask[late].any()
    assert torch.equal(seen.mask[~late], batch.mask[~late])
