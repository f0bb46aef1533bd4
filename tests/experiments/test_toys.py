"""The toys' exact identities, and each experiment once at a tiny size."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from experiments import gradient_variance, linear_gaussian, lorenz, lorenz_attractor, roughness, toy_posterior
from experiments.kalman import ExactPosterior, smooth
from experiments.natural_gradient import NaturalGradient
from experiments.neighbours import knn_kl
from experiments.seeds import Experiment, run
from latentsde import LatentSDE
from latentsde.models import predict
from tests.models.linear_gaussian import batch_of
from tests.significance import bound


def test_the_smoother_conditions_a_normal_vector() -> None:
    rng = np.random.default_rng(0)
    when, seen = np.sort(rng.uniform(0.0, 3.0, 9)), rng.normal(size=9)
    seen[[2, 5]] = np.nan
    found = smooth(when, seen, theta=0.7, sigma=0.5, error=0.2)
    prior = 0.5**2 / 1.4 * np.exp(-0.7 * np.abs(when[:, None] - when))
    at = np.isfinite(seen)
    marginal = prior[np.ix_(at, at)] + 0.2**2 * np.eye(at.sum())
    gain = np.linalg.solve(marginal, prior[at]).T
    np.testing.assert_allclose(found.mean, gain @ seen[at], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.std**2, np.diag(prior - gain @ prior[at]), rtol=1e-10)
    expected = multivariate_normal(np.zeros(at.sum()), marginal).logpdf(seen[at])
    assert found.log_likelihood == pytest.approx(expected, rel=1e-10)


def test_the_divergence_of_two_normal_laws_is_near_its_closed_form() -> None:
    # At n = 5,000 the estimator's bias is .024 and its deviation .019 (ten repetitions): the bounds are five
    # deviations about the biased mean, a false alarm in a million.
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(5000, 3)), 0.3 + 1.5 * rng.normal(size=(5000, 3))
    closed = 3.0 * (np.log(1.5) + (1.0 + 0.3**2) / (2.0 * 1.5**2) - 0.5)
    assert abs(knn_kl(first, second) - closed - 0.024) < 0.095
    assert abs(knn_kl(first, rng.normal(size=(5000, 3)))) < 0.095
    # Where the second law has no samples the estimate is too low: .41 for the closed form's .79.
    other = 3.0 * (-np.log(1.5) + (1.5**2 + 0.3**2) / 2.0 - 0.5)
    assert 0.25 < knn_kl(second, first) < other


def test_a_path_of_the_exact_posterior_is_as_rough_as_the_process_and_has_the_smoothers_law() -> None:
    when, seen = np.array([0.5, 1.1]), np.array([0.6, -0.4])
    times = np.linspace(0.0, 1.5, 301)
    paths = np.array([roughness.exact_path(when, seen, times, seed) for seed in range(400)])
    quadratic = np.square(np.diff(paths, axis=1)).sum() / (400 * 1.5 * roughness.SIGMA**2)
    assert abs(quadratic - 1.0) < 0.03  # 120,000 squares: a deviation is .004, the drift's share .002 to .02
    known = smooth(
        np.union1d(times, when),
        np.where(
            np.isin(np.union1d(times, when), when), np.interp(np.union1d(times, when), when, seen), np.nan
        ),
        theta=roughness.THETA,
        sigma=roughness.SIGMA,
        error=roughness.NOISE,
    )
    at = np.isin(np.union1d(times, when), times)
    z = (paths.mean(0) - known.mean[at]) / (known.std[at] / 20.0)
    # Five standard errors at 301 dependent times, and the deviation within five of its own: 1 in 10,000.
    assert np.abs(z).max() < 5.0
    assert np.abs(paths.std(0) / known.std[at] - 1.0).max() < 5.0 / np.sqrt(800.0)


def test_the_exact_posterior_as_an_sde_costs_its_steps_alone() -> None:
    # Euler's error per observation halves with the step: .0134 and .0068 in the mean of three seeds of 6,000
    # paths. The standard error here is .0007: the bounds are four of them away and more.
    gaps = {}
    for steps in (200, 400):
        size = toy_posterior.Size(batch=1, hidden=2, steps=200)
        toy = toy_posterior.Toy(size, likelihood="normal", error=0.2, seed=0)
        toy.dt = 2.0 / steps
        grid = toy.grid().double().numpy()
        seen = np.full(len(grid), np.nan)
        seen[(toy.times[1:-1] / toy.dt).round().long().numpy()] = toy.observed.numpy()
        process = {"theta": 1.0, "sigma": 0.5, "error": 0.2}
        exact = ExactPosterior(grid, seen, **process)
        known = smooth(grid, seen, **process)
        assert float(exact.start().mean) == pytest.approx(known.mean[0], rel=1e-5)
        assert float(exact.start().stddev) == pytest.approx(known.std[0], rel=1e-5)
        with torch.no_grad():
            bound = toy.elbo(4000, 0, exact=exact)
        gaps[steps] = (known.log_likelihood - float(bound.mean())) / 16
    assert 0.005 < gaps[200] < 0.025 and gaps[400] < 0.75 * gaps[200]


@pytest.mark.parametrize("steps", [1, 9, 40])
def test_with_the_exact_posterior_of_the_chain_sticking_the_landing_leaves_rounding(steps: int) -> None:
    value, gradients = linear_gaussian.gradients(steps, 40, chain=True, sticking=True)
    torch.testing.assert_close(
        value, torch.full_like(value, linear_gaussian.evidence(1.0 / steps)), rtol=1e-11, atol=1e-11
    )
    for gradient in gradients.values():
        assert gradient.abs().max() < 1e-11
    # Without it for the initial state, its mean and deviation have the gradients of the path alone.
    _, closed = linear_gaussian.gradients(steps, 40, chain=True, sticking=True, sampled_start=False)
    assert closed["drift"].abs().max() < 1e-11
    assert closed["mean"].var() > 0.01 and closed["log_std"].var() > 0.01


def test_with_the_posterior_of_continuous_time_the_variance_is_of_second_order_in_the_step() -> None:
    # Both spreads come from the same 2,000 paths; over seeds the orders have stayed within 1.85 to 2.02.
    found = linear_gaussian.rows(2000)
    ratios = [row["continuous"]["drift"] / row["plain"]["drift"] for row in found]
    for coarse, fine in itertools.pairwise(ratios):
        assert 1.7 < np.log2(coarse / fine) < 2.3


def test_gradients_of_single_paths_add_up_to_the_gradient_of_their_mean() -> None:
    plan = gradient_variance.Plan(hidden=7, points=2, dt=0.05)
    weights = gradient_variance.initial_weights(7, 0)
    with torch.no_grad():
        weights["outer"].normal_(generator=torch.Generator().manual_seed(0))
    for estimator in gradient_variance.ESTIMATORS:
        own = {k: w.detach().expand(5, *w.shape).clone().requires_grad_() for k, w in weights.items()}
        values = gradient_variance.elbo(own, estimator, plan, 5, 3)
        shared = gradient_variance.elbo(weights, estimator, plan, 5, 3)
        torch.testing.assert_close(values, shared, rtol=1e-4, atol=1e-4)
        single = torch.autograd.grad(values.sum(), list(own.values()))
        whole = torch.autograd.grad(shared.sum(), list(weights.values()))
        for a, b in zip(single, whole, strict=True):
            torch.testing.assert_close(a.sum(0).view_as(b), b, rtol=2e-3, atol=2e-2)


def test_the_estimators_have_one_mean() -> None:
    # Differences of paired estimates within 5 standard errors: a false alarm in a million.
    plan = gradient_variance.Plan(hidden=7, points=2, dt=0.05)
    weights = gradient_variance.initial_weights(7, 0)
    with torch.no_grad():
        weights["outer"].normal_(generator=torch.Generator().manual_seed(0))
        values = [
            gradient_variance.elbo(weights, name, plan, 4000, 1) for name in gradient_variance.ESTIMATORS
        ]
        for other in values[1:]:
            difference = values[0] - other
            assert abs(difference.mean()) < 5.0 * difference.std() / 4000**0.5 + 1e-4
        assert (values[0] - values[1]).std() > 0.1


def test_lorenz_series_and_paths_of_the_prior_are_in_the_units_of_the_paths() -> None:
    paths = lorenz_attractor.simulate(6, 0)
    series = lorenz_attractor.series_of(paths)
    for k in range(len(series)):
        rows = series.rows(k)
        own = paths[:, int(str(series.names[k])[1:])].double().numpy()
        np.testing.assert_array_equal(series.values[rows], own)
        np.testing.assert_allclose(series.times[rows], 0.025 * np.arange(41), atol=1e-12)
    # The paths are those that the model itself predicts, but for the step: in law. Means and second moments
    # at 41 times of three coordinates; false alarm 1e-5.
    model = LatentSDE.for_series(series, latent=2, hidden=4, encoder=4, dt=0.0025, posterior="marginals")
    count, grid = 400, 0.025 * np.arange(41)
    drawn = lorenz.prior_paths(model, count, 0.005, 3).numpy().swapaxes(0, 1)
    told = predict(model, None, [grid] * count, ids=np.arange(count), samples=1, seed=3)
    theirs = np.stack([one.paths[0] for one in told])
    for power in (1, 2):
        ours, other = drawn**power, theirs**power
        error = np.sqrt((ours.var(0) + other.var(0)) / count)
        assert (np.abs(ours.mean(0) - other.mean(0)) < bound(2 * 41 * 3) * error).all()


@pytest.mark.parametrize("far", [0.01, 1000.0])
def test_a_natural_step_solves_a_linear_drift_at_once_and_is_no_longer_than_asked(far: float) -> None:
    generator = torch.Generator().manual_seed(0)
    units = torch.randn(200, 5, generator=generator).double()
    aim = far * torch.randn(6, 1, generator=generator).double()
    weight, bias = (torch.zeros(*size, dtype=torch.float64, requires_grad=True) for size in ((5, 1), (1,)))
    natural = NaturalGradient(weight, bias, damping=0.0)
    natural.observe(units, 0.02)
    away = units @ (weight - aim[:5]) + bias - aim[5]
    (0.5 * 0.02 * away.square().sum()).backward()
    natural.step(1.0)
    step = torch.cat([weight, bias.unsqueeze(0)]).detach()
    if far < 1.0:
        torch.testing.assert_close(step, aim)
    else:
        full = torch.cat([units, torch.ones(200, 1).double()], dim=1)
        assert float(0.02 * (full @ step).square().sum()) == pytest.approx(1.0)
        torch.testing.assert_close(step / step.norm(), aim / aim.norm())


def test_a_likelihood_is_the_same_in_parts_and_does_not_fall(tmp_path: Path) -> None:
    series = lorenz_attractor.series_of(lorenz_attractor.simulate(7, 0)[:6])
    found = []
    for part in (3, 7):
        model = LatentSDE.for_series(series, latent=3, hidden=4, dt=0.025, posterior="linearised").double()
        place = tmp_path / f"{part}.pt"
        for iterations in (0, 1, 3):
            lorenz.most_likely(model, series, iterations, part, place, {})
            with torch.no_grad():
                found.append(float(model.elbo(batch_of(series, model), seed=0).log_likelihood.sum()))
    assert found[0] < found[1] < found[2]
    assert found[:3] == pytest.approx(found[3:], rel=1e-6)


TINY = {
    "gradient_variance": (
        gradient_variance,
        gradient_variance.Plan(iterations=(1, 2), samples=20, batch=4, hidden=5, dt=0.05),
        "Monte Carlo / sticking the landing",
    ),
    "toy_posterior": (
        toy_posterior,
        toy_posterior.Plan(iterations=2, laplace_iterations=2, batch=2, hidden=4, steps=40, paths=50),
        "gap, nats per observation",
    ),
    "roughness": (
        roughness,
        roughness.Plan(steps=2, series=20, held_out=3, fine=2),
        "quadratic variation / ∫σ²dt",
    ),
    "lorenz": (
        lorenz,
        lorenz.Plan(
            steps=2, batch=4, pieces_iterations=2, whole_iterations=2, series=8, hidden=5, paths=60, fine=2
        ),
        "neural stochastic flow (Kiyohara et al. 2025), published | 0.80 | 1.30 | 0.60 | 0.20",
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_each_experiment_runs_and_prints_its_table(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, plan, expected = TINY[name]
    experiment = Experiment(name, plan, module.one, module.table, module.draw)
    first = run(experiment, [3], tmp_path)
    assert expected in capsys.readouterr().out
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert run(experiment, [3], tmp_path) == first
    assert "seed 3: found" in capsys.readouterr().out
    assert module.one(plan, 3).keys() == first[0].keys()
