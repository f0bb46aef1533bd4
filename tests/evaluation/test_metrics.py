"""The point-wise measures against closed forms, brute force and their own definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from latentsde.evaluation import metrics
from latentsde.evaluation.metrics import (
    calibration_curve,
    coverage,
    covered,
    crps_normal,
    crps_samples,
    nll_normal,
    pit_normal,
    pit_samples,
)

numbers = st.floats(-1e4, 1e4, allow_subnormal=False)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(hnp.arrays(float, st.tuples(st.integers(2, 12), st.integers(1, 5)), elements=numbers), numbers)
def test_sorted_crps_equals_the_mean_over_all_pairs(samples, truth):
    observed = np.full(samples.shape[1], truth)
    n = len(samples)
    pairs = np.abs(samples[:, None] - samples[None]).sum(axis=(0, 1)) / (n * (n - 1))
    expected = np.abs(samples - observed).mean(axis=0) - pairs / 2
    scale = 1 + np.abs(samples).max()
    np.testing.assert_allclose(crps_samples(samples, observed), expected, atol=1e-9 * scale)


def test_crps_of_one_sample_is_the_absolute_error():
    np.testing.assert_array_equal(crps_samples([[3.0, -1.0]], [1.0, 1.0]), [2.0, 2.0])


@pytest.mark.parametrize("n", [2, 5, 50])
def test_crps_of_a_normal_sample_has_the_closed_form_as_its_mean_whatever_its_size(n):
    # False alarm: the mean of 40,000 independent scores within 4.5 standard errors, 7e-6 for each n.
    rng = np.random.default_rng(n)
    trials = 40_000
    scores = crps_samples(rng.normal(2.0, 3.0, (n, trials)), np.full(trials, 4.0))
    standard_error = scores.std() / math.sqrt(trials)
    assert abs(scores.mean() - crps_normal(2.0, 3.0, 4.0)) < 4.5 * standard_error


def test_crps_of_a_large_uniform_sample_reaches_its_closed_form():
    # On an even grid of N points of [0, 1] the score differs from the uniform law's by O(1/N); no randomness.
    grid = (np.arange(2000) + 0.5) / 2000
    truth = np.array([0.25, 0.9, 1.5])
    inside = np.clip(truth, 0, 1)
    expected = inside**3 / 3 + (1 - inside) ** 3 / 3 + np.abs(truth - inside)
    np.testing.assert_allclose(crps_samples(np.tile(grid[:, None], 3), truth), expected, atol=1e-3)


def test_normal_crps_equals_the_integral_of_its_definition():
    x = np.linspace(-30, 30, 600_001)
    for mean, std, truth in [(0.0, 1.0, 0.0), (1.0, 2.0, -3.0), (-2.0, 0.3, -1.5)]:
        below = 0.5 * (1 + np.vectorize(math.erf)((x[::100] - mean) / std / math.sqrt(2)))
        fine = np.interp(x, x[::100], below)
        integral = np.sum((fine - (x >= truth)) ** 2) * (x[1] - x[0])
        assert crps_normal(mean, std, truth) == pytest.approx(integral, abs=2e-4)


def test_normal_crps_without_spread_is_the_absolute_error():
    np.testing.assert_array_equal(crps_normal([1.0, 2.0], 0.0, [4.0, 2.0]), [3.0, 0.0])


@pytest.mark.parametrize(("shift", "stretch"), [(0.4, 1.0), (0.0, 1.5), (0.0, 0.6)])
def test_the_true_law_scores_better_than_a_shifted_or_stretched_one(shift, stretch):
    # Propriety. Paired differences over 20,000 draws, positive by 4 standard errors; their means are at least
    # 8 standard errors from 0, so a false alarm is rarer than 1e-4.
    rng = np.random.default_rng(7)
    truth = rng.normal(size=20_000)
    draws = rng.normal(size=(20, truth.size))

    def clearly_positive(difference):
        return difference.mean() > 4 * difference.std() / math.sqrt(truth.size)

    assert clearly_positive(crps_normal(shift, stretch, truth) - crps_normal(0.0, 1.0, truth))
    assert clearly_positive(nll_normal(shift, stretch, truth) - nll_normal(0.0, 1.0, truth))
    assert clearly_positive(crps_samples(shift + stretch * draws, truth) - crps_samples(draws, truth))


def test_crps_keeps_its_digits_far_from_zero():
    samples, observed = np.array([[0.0], [0.25], [1.0]]), np.array([0.5])
    np.testing.assert_allclose(
        crps_samples(samples + 2.0**30, observed + 2.0**30), crps_samples(samples, observed), rtol=1e-12
    )


def test_crps_does_not_depend_on_the_chunks(monkeypatch):
    rng = np.random.default_rng(0)
    samples, observed = rng.normal(size=(7, 40)), rng.normal(size=40)
    whole = crps_samples(samples, observed)
    monkeypatch.setattr(metrics, "_CHUNK_NUMBERS", 20)
    np.testing.assert_array_equal(crps_samples(samples, observed), whole)


@pytest.mark.parametrize("unseen", [np.nan, np.inf, -np.inf])
def test_what_is_not_observed_has_no_score(unseen):
    observed = np.array([unseen, 0.0])
    results = [
        crps_samples(np.zeros((3, 2)), observed),
        crps_normal(0.0, 1.0, observed),
        nll_normal(0.0, 1.0, observed),
        covered(np.full(2, -1.0), np.full(2, 1.0), observed),
        pit_normal(0.0, 1.0, observed),
        pit_samples(np.zeros((3, 2)), observed),
    ]
    for scores in results:
        assert np.isnan(scores[0]) and np.isfinite(scores[1])


def test_a_prediction_that_is_not_a_number_shows_in_its_score():
    assert np.isnan(crps_samples([[np.nan], [1.0]], [0.0]))
    assert np.isnan(crps_normal(np.nan, 1.0, 0.0))
    assert np.isnan(covered(np.nan, 1.0, 0.0))
    assert np.isnan(pit_samples([[np.nan], [1.0]], [0.0]))


def test_normal_nll_is_minus_the_log_of_the_density():
    density = math.exp(-0.5 * 1.5**2) / (2.0 * math.sqrt(2 * math.pi))
    assert nll_normal(1.0, 2.0, 4.0) == pytest.approx(-math.log(density))


def test_coverage_counts_the_ends_and_skips_what_is_not_observed():
    assert coverage([0.0, 0.0, 0.0, 0.0], [1.0] * 4, [1.0, 0.5, 2.0, np.nan]) == pytest.approx(2 / 3)
    assert math.isnan(coverage([0.0], [1.0], [np.nan]))


def test_sample_ranks_treat_ties_as_half():
    assert pit_samples([[0.0], [1.0], [1.0], [2.0]], [1.0]) == pytest.approx(0.5)


def test_calibration_curve_of_a_calibrated_prediction_is_the_diagonal():
    # 40,000 values: binomial standard error at most .0025, 19 levels within .0125 (5 of them): 1e-5 together.
    # For samples the 401 possible ranks add at most .0025.
    rng = np.random.default_rng(3)
    truth = rng.normal(size=40_000)
    levels = np.array(metrics.CALIBRATION_LEVELS)
    np.testing.assert_allclose(calibration_curve(pit_normal(0.0, 1.0, truth)), levels, atol=0.0125)
    ranks = pit_samples(rng.normal(size=(400, 4000)), truth[:4000])
    np.testing.assert_allclose(calibration_curve(ranks), levels, atol=0.0425)


def test_calibration_curve_shows_overconfidence_below_the_diagonal():
    truth = np.random.default_rng(4).normal(size=5_000)
    curve = calibration_curve(pit_normal(0.0, 0.5, truth))
    assert np.all(curve < np.array(metrics.CALIBRATION_LEVELS))
    assert np.all(np.diff(curve) >= 0)


def test_calibration_curve_of_nothing_is_nan():
    assert np.isnan(calibration_curve([np.nan])).all()
