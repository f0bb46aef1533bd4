"""The importance-sampled likelihood against a Kalman filter, where that is exact."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from latentsde.brownian import derive_seed
from latentsde.data import IrregularSeries, Scaler, collate
from latentsde.errors import InputError
from latentsde.evaluation import log_likelihood
from latentsde.evaluation.likelihood import _WEIGHTS, jacobian
from latentsde.models import LatentSDE, LatentSDEConfig
from tests.models.small import small_model, small_series
from tests.significance import bound

RATE, SIGMA, NOISE = 0.8, 0.7, 0.5  # in model time and scaled units
TIME_SCALE, DT, MEAN, STD = 2.0, 0.25, 3.0, 4.0  # of data time; mean and std of the scaler


def inverse_softplus(value: float) -> float:
    return math.log(math.expm1(value))


def ornstein_uhlenbeck() -> LatentSDE:
    """Prior dz = -RATE z dt + SIGMA dW from N(0, 1), observed with noise; a posterior that is wrong, but wide
    enough for weights of finite variance.
    """
    config = LatentSDEConfig(
        features=("x",), likelihoods=("normal",), start=0.0, time_scale=TIME_SCALE, dt=DT, latent=1, hidden=4
    )
    scaler = Scaler(("x",), np.array([MEAN]), np.array([STD]), np.zeros(0), np.ones(0))
    torch.manual_seed(0)
    model = LatentSDE(config, scaler)
    with torch.no_grad():
        for parameter in (*model.prior_drift.parameters(), *model.decoder.parameters()):
            parameter.zero_()
        model.prior_drift.raw_rate.fill_(inverse_softplus(RATE))
        model.decoder.linear.weight.fill_(1.0)
        share = (SIGMA - config.min_diffusion) / (config.max_diffusion - config.min_diffusion)
        model.diffusion.bias.fill_(math.log(share / (1.0 - share)))
        model.likelihoods.raw_scale.fill_(inverse_softplus(NOISE - 1e-3))
        model.initial.posterior_head.weight.mul_(0.1)
        model.initial.posterior_head.bias.copy_(torch.tensor([0.2, inverse_softplus(1.1)]))
        model.summary.bias[-1] = inverse_softplus(2.0)  # the pull's delay: contracts noise by little
    return model


def observations(count: int) -> IrregularSeries:
    """At multiples of the step, so that the solver's chain is the same as the filter's."""
    rng = np.random.default_rng(4)
    parts = []
    for s in range(count):
        times = DT * np.sort(rng.choice(np.arange(0, 25), 5, replace=False))
        parts.append(
            pd.DataFrame({"id": f"s{s}", "t": times, "x": MEAN + STD * rng.normal(0.0, 0.6, len(times))})
        )
    return IrregularSeries.from_frame(pd.concat(parts), id="id", time="t")


def exact(series: IrregularSeries) -> np.ndarray:
    """(S,) by the Kalman filter of the Euler chain, in original units."""
    h, totals = DT / TIME_SCALE, []
    for s in range(len(series)):
        mean, variance, total, now = 0.0, 1.0, 0.0, 0.0
        for t, x in zip(series.times[series.rows(s)], series.values[series.rows(s), 0], strict=True):
            for _ in range(round((t - now) / DT)):
                mean, variance = (1.0 - RATE * h) * mean, (1.0 - RATE * h) ** 2 * variance + SIGMA**2 * h
            now, spread, error = t, variance + NOISE**2, (x - MEAN) / STD - mean
            total += -0.5 * (error**2 / spread + math.log(2.0 * math.pi * spread)) - math.log(STD)
            gain = variance / spread
            mean, variance = mean + gain * error, (1.0 - gain) * variance
        totals.append(total)
    return np.array(totals)


def test_the_weights_have_the_likelihood_as_their_mean() -> None:
    """6 series, 8,000 samples each: the mean weight over the exact likelihood is 1 within its standard error
    (false-alarm rate 1e-5), and bound <= weighted bound <= truth.
    """
    model, series = ornstein_uhlenbeck(), observations(6)
    found, truth = log_likelihood(model, series, samples=8000, seed=1), exact(series)
    assert (found.effective > 200).all() and (found.error < 0.1).all()
    ratio = np.exp(found.estimate - truth) - 1.0
    assert (np.abs(ratio) < bound(len(series)) * found.error * np.exp(found.estimate - truth)).all()
    assert (found.elbo < found.estimate).all() and (found.elbo < truth).all()
    assert found.observed.tolist() == [5] * 6
    few = log_likelihood(model, series, samples=3, seed=1)
    assert few.elbo.mean() < few.estimate.mean() < found.estimate.mean()


def test_a_series_has_the_same_estimate_in_any_company_and_another_for_another_seed() -> None:
    series = small_series()
    model = small_model(series)
    together = log_likelihood(model, series, samples=130, seed=2).estimate
    alone = [log_likelihood(model, series.select([k]), samples=130, seed=2).estimate[0] for k in (0, 3)]
    np.testing.assert_allclose(together[[0, 3]], alone, rtol=1e-3)
    assert (log_likelihood(model, series, samples=130, seed=3).estimate != together).all()


def test_weights_are_the_same_with_and_without_a_tape() -> None:
    """What sticking the landing detaches changes gradients and no value."""
    model = ornstein_uhlenbeck()
    batch = collate(observations(4), np.arange(4), model.scaler)
    taped = model.elbo(batch, seed=5, samples=3).log_weights.detach()
    with torch.no_grad():
        bare = model.elbo(batch, seed=5, samples=3).log_weights
    torch.testing.assert_close(taped, bare, rtol=1e-4, atol=1e-4)


def test_units_are_put_back_for_what_was_measured_and_for_times() -> None:
    table = pd.DataFrame(
        {"id": "a", "t": [0.0, 1.0, 3.0, 6.0], "x": ["<1", "2.5", "4", None], "n": [1.0, None, 0.0, 2.0]}
    )
    series = IrregularSeries.from_frame(table, id="id", time="t")
    kinds = {"x": "censored-normal", "n": "poisson"}
    model = LatentSDE.for_series(series, likelihoods=kinds, observation_times="poisson")
    found = jacobian(model, collate(series, [0], model.scaler))
    wanted = -2.0 * math.log(model.scaler.std[0]) - 3.0 * math.log(model.config.time_scale)
    assert abs(float(found[0]) - wanted) < 1e-12


def test_a_posterior_given_by_its_marginals_is_weighed_along_its_paths() -> None:
    """Its own bound has no weights of paths; the estimate is that of its simulation."""
    series = small_series()
    model = small_model(series, posterior="marginals")
    batch = collate(series, np.arange(len(series)), model.scaler)
    with torch.no_grad():
        simulated = model.simulated_elbo(batch, seed=derive_seed(7, _WEIGHTS, 0), samples=50)
    expected = simulated.importance_weighted().double() + jacobian(model, batch)
    found = log_likelihood(model, series, samples=50, seed=7).estimate
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-3)


def test_series_of_other_columns_are_refused() -> None:
    series = small_series()
    model = small_model(series)
    turned = replace(series, features=series.features[::-1])
    without = replace(series, static=series.static[:, :0], static_names=())
    for other, words in ((turned, "features"), (without, "static covariates")):
        with pytest.raises(InputError, match=words):
            log_likelihood(model, other)
    with pytest.raises(InputError, match="samples"):
        log_likelihood(model, series, samples=0)
