"""Training without simulation: the bound is what it must be where that is known, and an estimate of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from latentsde import TrainingConfig, fit
from latentsde.data import collate
from latentsde.errors import InputError
from latentsde.models import LatentSDE
from latentsde.models.bound import hide
from latentsde.models.matching import random_times
from tests.models.linear_gaussian import (
    batch_of,
    encoded,
    exact_bound,
    exact_posterior,
    linear_model,
    linear_series,
)
from tests.models.small import small_model, small_series
from tests.models.test_elbo import parts

SERIES = linear_series()
MODEL = linear_model(SERIES)
BATCH = batch_of(SERIES, MODEL)


@pytest.mark.parametrize("row", range(len(SERIES)))
def test_the_true_posterior_attains_the_log_likelihood(row: int) -> None:
    exact = exact_posterior(MODEL, BATCH, row, torch.zeros(1, dtype=torch.float64))[2]
    torch.testing.assert_close(exact_bound(MODEL, BATCH, row), exact, rtol=0.0, atol=1e-8)


@pytest.mark.parametrize("row", range(len(SERIES)))
def test_any_other_posterior_of_the_family_stays_below(row: int) -> None:
    other = linear_model(SERIES)
    assert other.bridges is not None
    with torch.no_grad():
        other.bridges.bend.bias.copy_(torch.tensor([0.4, -0.3]))
    exact = exact_posterior(other, BATCH, row, torch.zeros(1, dtype=torch.float64))[2]
    assert exact_bound(other, BATCH, row) < exact - 1e-3


def test_the_estimate_has_the_bounds_mean() -> None:
    """Over 1,000 samples of three series: false-alarm rate below 1e-5 (5 standard errors)."""
    with torch.no_grad():
        draws = MODEL.elbo(BATCH, seed=0, samples=1000).log_weights
        exact = torch.stack([exact_bound(MODEL, BATCH, row) for row in range(len(SERIES))])
    error = draws.std(1) / 1000**0.5
    assert (error < 0.5).all()
    assert ((draws.mean(1) - exact).abs() < 5.0 * error).all()


def test_knots_and_bridges_are_the_smoothers() -> None:
    """At the start, at, between and near observations, against the joint normal of all states and data."""
    times = torch.tensor([0.0, 1e-6, 0.3, 0.81, 2.2, 3.7], dtype=torch.float64)
    code, sde = encoded(MODEL, BATCH)
    bridge = sde.bridge(times[:, None, None].expand(-1, len(SERIES), 1))
    for row in range(len(SERIES)):
        count = int(BATCH.lengths[row])
        seen = code.context.times[row, :count]
        before = times[times < seen[-1]]
        mean, std, _ = exact_posterior(MODEL, BATCH, row, torch.cat([seen, before]))
        torch.testing.assert_close(code.knot_mean[row, :count, 0], mean[:count])
        torch.testing.assert_close(code.knot_std[row, :count, 0], std[:count])
        torch.testing.assert_close(bridge.mean[: len(before), row, 0], mean[count:])
        torch.testing.assert_close(bridge.std[: len(before), row, 0], std[count:])


def small_marginals(**options: object) -> LatentSDE:
    return small_model(small_series(), posterior="marginals", **options)


@pytest.mark.parametrize("samples", [1, 2])
def test_a_series_has_the_same_bound_in_any_batch(samples: int) -> None:
    series, model = small_series(), small_marginals()
    everyone = np.arange(len(series))
    together = parts(model.elbo(collate(series, everyone, model.scaler), seed=3, samples=samples))
    alone = [model.elbo(collate(series, [k], model.scaler), seed=3, samples=samples) for k in everyone]
    torch.testing.assert_close(together, torch.cat([parts(x) for x in alone], 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("diffusion", ["constant", "state"])
def test_every_parameter_that_matters_gets_a_gradient(diffusion: str) -> None:
    series, model = small_series(), small_marginals(diffusion=diffusion)
    batch = collate(series, np.arange(len(series)), model.scaler)
    for bound in (model.elbo, model.simulated_elbo):
        model.zero_grad(set_to_none=True)
        (-bound(batch, seed=1, seen=hide(batch, 0.3, seed=2)).value().mean()).backward()
        gradients = {name: p.grad for name, p in model.named_parameters()}
        assert all(g is None or torch.isfinite(g).all() for g in gradients.values())
        without = {name for name, g in gradients.items() if g is None or not g.abs().sum() > 0}
        assert without <= {"likelihoods.raw_degrees"}  # of the Student t, which no feature has


def test_a_series_without_observations_costs_the_initial_states_divergence_alone() -> None:
    model = small_marginals()
    empty = small_series().with_values(np.full_like(small_series().values, np.nan))
    bound = model.elbo(collate(empty, [0, 1], model.scaler), seed=0)
    assert (bound.kl_path == 0.0).all() and (bound.log_likelihood == 0.0).all()
    assert torch.isfinite(bound.kl_initial).all()


def test_weights_of_paths_are_not_made_up() -> None:
    with pytest.raises(ValueError, match="simulated_elbo"):
        MODEL.elbo(BATCH, seed=0).importance_weighted()
    with torch.no_grad():
        simulated = MODEL.simulated_elbo(BATCH, seed=0, samples=8)
    assert (simulated.importance_weighted() >= simulated.value()).all()


def test_random_times_integrate() -> None:
    """∫ t² dt over each series, mean of 4,000 estimates with 8 strata: false-alarm rate below 1e-5 (5
    standard errors, 3 numbers). Times stay between start and last observation, and increase.
    """
    uniform = torch.rand(4000, 3, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    code, _ = encoded(MODEL, BATCH)
    draws = []
    for strata in uniform:
        times, weights = random_times(code.context.times, code.context.lengths, strata)
        assert (times >= 0).all() and (torch.diff(times, dim=1) >= 0).all()
        assert (times <= code.context.times[:, -1:]).all()
        draws.append((weights * times.square()).sum(1))
    estimates = torch.stack(draws)
    exact = code.context.times[:, -1] ** 3 / 3.0
    assert ((estimates.mean(0) - exact).abs() < 5.0 * estimates.std(0) / 4000**0.5).all()


def test_a_burst_of_observations_is_seen() -> None:
    """Twenty rows within a hundredth of the span, each worth as much as the one interval that fills the rest:
    the weights stay bounded by twice the intervals' share.
    """
    burst = torch.cat([torch.linspace(5.0, 5.01, 20), torch.tensor([10.0])]).unsqueeze(0).double()
    strata = torch.rand(1, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    times, weights = random_times(burst, torch.tensor([21]), strata)
    within = (times > 5.0) & (times < 5.01)
    assert within.sum() >= 12
    assert weights[within].max() < 2.0 * 21 / 32 * (0.01 / 19)


def test_an_unknown_posterior_is_refused() -> None:
    with pytest.raises(
        InputError, match="posterior must be 'control', 'marginals' or 'linearised', got 'exact'"
    ):
        small_model(small_series(), posterior="exact")


def test_training_improves_the_bound(tmp_path: object) -> None:
    """By either way of computing it, on the series it was trained on."""
    series = small_series(series=12)
    model = LatentSDE.for_series(series, latent=2, hidden=8, encoder=8, posterior="marginals")
    batch = collate(series, np.arange(len(series)), model.scaler)

    def bounds() -> Tensor:
        with torch.no_grad():
            found = [f(batch, seed=7, samples=8) for f in (model.elbo, model.simulated_elbo)]
        return torch.stack([x.value().mean() for x in found])

    before = bounds()
    config = TrainingConfig(steps=60, warmup_steps=5, anneal_steps=0, hidden_share=0.0)
    fit(model, series, out=f"{tmp_path}/run", config=config, progress=False, tensorboard=False)
    assert (bounds() > before + 1.0).all()


def test_hidden_rows_leave_the_bound_that_of_the_simulated_posterior() -> None:
    """Half of the values hidden, whole rows and last rows among them. The mean difference over 400 draws of
    every series is within 5 standard errors and Euler's error: a false-alarm rate below 1e-5.
    """
    series = small_series()
    model = small_marginals(dt=0.02)
    batch = collate(series, np.arange(len(series)), model.scaler)
    seen = hide(batch, 0.5, seed=2)
    assert (batch.mask.any(2) & ~seen.mask.any(2)).any()
    with torch.no_grad():
        ours = model.elbo(batch, seed=1, samples=400, seen=seen).log_weights.double()
        simulated = model.simulated_elbo(batch, seed=1, samples=400, seen=seen).log_weights.double()
    error = ((ours.var(1) + simulated.var(1)) / 400).sqrt()
    difference = (ours.mean(1) - simulated.mean(1)).abs()
    assert (difference < 5.0 * error + 0.02 * simulated.mean(1).abs()).all()


def test_a_gap_longer_than_any_other_leaves_numbers_finite() -> None:
    model = small_marginals()
    batch = collate(small_series(), [0], model.scaler)
    far = replace(batch, times=batch.times + torch.where(torch.arange(batch.times.shape[1]) > 1, 500.0, 0.0))
    with torch.no_grad():
        assert model.elbo(far, seed=0).value().isfinite().all()
        asked = far.times[:, -1:]
        assert model.posterior_paths(far, asked, samples=3, seed=0).location.isfinite().all()


def test_forecasts_are_not_trained_from_marginals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="hidden_after"):
        fit(small_marginals(), small_series(), out=tmp_path / "run", config=TrainingConfig(hidden_after=5.0))
