"""Scores of classes and of censored values, for samples, normals and baselines."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats  # type: ignore[import-untyped, unused-ignore]

from latentsde.data import IrregularSeries
from latentsde.evaluation import PointScores, baselines_for, crps_samples, score_normal, score_samples
from latentsde.evaluation.baselines import score_baselines
from latentsde.evaluation.classes import class_probabilities, score_classes
from latentsde.evaluation.metrics import expected_calibration_error

INF = math.inf


def nothing(rows: int, features: int = 2) -> PointScores:
    zero = np.zeros((rows, features))
    return score_normal(zero, zero + 1.0, zero)


def test_classes_have_the_brier_score_and_half_of_it() -> None:
    likely = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]])
    scores = score_classes(nothing(3), 1, likely, np.array([0.0, 2.0, np.nan]))
    np.testing.assert_allclose(scores.squared_error[:, 1], [0.14, 0.01 + 0.36 + 0.49, np.nan])
    np.testing.assert_allclose(scores.crps[:, 1], 0.5 * scores.squared_error[:, 1])
    np.testing.assert_allclose(scores.nll[:, 1], [-math.log(0.7), -math.log(0.3), np.nan])
    np.testing.assert_array_equal(scores.hit[:, 1], [1.0, 0.0, np.nan])  # type: ignore[index]
    np.testing.assert_array_equal(scores.squared_error[:, 0], 0.0)


def test_two_classes_are_scored_like_zero_and_one() -> None:
    """Their CRPS is that of a sample of zeros and ones, and their mse is that of the probability."""
    p, truth = 0.3, np.array([0.0, 1.0])
    scores = score_classes(nothing(2, 1), 0, np.array([p, p]), truth)
    np.testing.assert_allclose(scores.squared_error[:, 0], (p - truth) ** 2)
    n = 100_000
    drawn = (np.arange(n) < p * n).astype(float)[:, None].repeat(2, axis=1)
    np.testing.assert_allclose(scores.crps[:, 0], crps_samples(drawn, truth), atol=1e-4)


def test_classes_have_no_coverage_and_are_left_out_of_it() -> None:
    points = score_normal(np.zeros((4, 2)), np.ones((4, 2)), np.array([[0.0, 1], [0, 0], [9, 1], [9, 0]]))
    scores = score_classes(points, 1, np.full(4, 0.5), np.array([1.0, 0, 1, 0]))
    assert scores.overall(np.ones(2)).coverage90 == 0.5
    by_feature = scores.per_feature(("x", "ascites"))
    assert by_feature["x"].coverage90 == 0.5 and math.isnan(by_feature["ascites"].coverage90)
    assert scores.of_classes(0) == {} and set(scores.of_classes(1)) == {"accuracy", "ece"}
    joined = PointScores.join([scores, scores])
    assert joined.hit is not None and joined.hit.shape == (8, 2)
    assert joined.overall(np.ones(2)).n == 16


def test_the_calibration_error_is_the_gap_between_confidence_and_hits() -> None:
    assert expected_calibration_error([0.8] * 5, [1, 1, 1, 1, 0]) == pytest.approx(0.0)
    assert expected_calibration_error([0.9] * 4, [1, 0, 1, 0]) == pytest.approx(0.4)
    # Two bins, three values and one: .75 * |1 - .65| + .25 * |0 - .95|.
    assert expected_calibration_error([0.65, 0.65, 0.65, 0.95], [1, 1, 1, 0]) == pytest.approx(0.5)
    assert expected_calibration_error([1.0], [1.0]) == 0.0
    assert math.isnan(expected_calibration_error([], []))


def test_probabilities_of_normals_add_up_and_never_say_never() -> None:
    likely = class_probabilities(np.array([[1.0, 0.0, 0.0]]), np.full((1, 3), 1e-6))
    assert likely.sum() == pytest.approx(1.0) and likely.min() > 0
    assert class_probabilities(np.array([0.5, 1.5]), np.array([1.0, 1.0])) == pytest.approx(
        [0.5, stats.norm.cdf(1.0)]
    )


def censored() -> tuple[np.ndarray, np.ndarray]:
    """Truths and limits of four values: known, below 1, above 1, between -1 and 1."""
    limits = np.array([[np.nan, np.nan], [-INF, 1.0], [1.0, INF], [-1.0, 1.0]])[:, None]
    return np.array([[0.4], [1.0], [1.0], [0.0]]), limits


def test_a_censored_value_is_scored_as_the_laboratory_would_report_it() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0.5, 1.0, (999, 4, 1))
    truth, limits = censored()
    scores = score_samples(samples, truth, limits=limits)
    plain = score_samples(samples, truth)
    assert scores.crps[0] == plain.crps[0] and scores.squared_error[0] == plain.squared_error[0]
    below = crps_samples(np.maximum(samples[:, 1], 1.0), np.array([1.0]))
    above = crps_samples(np.minimum(samples[:, 2], 1.0), np.array([1.0]))
    np.testing.assert_allclose(scores.crps[1:3, 0], np.concatenate([below, above]))
    assert scores.squared_error[1, 0] == pytest.approx((np.maximum(samples[:, 1], 1.0).mean() - 1.0) ** 2)
    outside = np.abs(samples[:, 3, 0]) - 1.0
    assert 0 < scores.crps[3, 0] < outside.clip(0).mean()
    assert (scores.covered90 == 1.0).all()
    far = score_samples(samples + 50.0, truth, limits=limits)
    assert far.covered90[:, 0].tolist() == [0.0, 0.0, 1.0, 0.0]


def test_a_normal_is_scored_on_censored_values_like_its_samples() -> None:
    truth, limits = censored()
    mean, std = np.full((4, 1), 0.5), np.ones((4, 1))
    normal = score_normal(mean, std, truth, limits=limits)
    drawn = np.random.default_rng(1).normal(0.5, 1.0, (200_000, 4, 1))
    sampled = score_samples(drawn, truth, limits=limits)
    # 200,000 draws: standard errors below .003; within .02.
    np.testing.assert_allclose(normal.crps, sampled.crps, atol=0.02)
    np.testing.assert_allclose(normal.squared_error, sampled.squared_error, atol=0.02)
    a, b = (limits[:, 0, k] - 0.5 for k in (0, 1))
    wanted = -np.log(stats.norm.cdf(b) - stats.norm.cdf(a))
    np.testing.assert_allclose(normal.nll[1:, 0], wanted[1:])
    assert normal.nll[0, 0] == score_normal(mean, std, truth).nll[0, 0]


def test_baselines_predict_classes_and_beside_them_what_they_did_before() -> None:
    rng = np.random.default_rng(2)
    rows = 12 * 20
    stage = np.repeat(rng.integers(0, 3, rows // 4), 4).astype(float)  # stays for four rows
    table = pd.DataFrame(
        {
            "id": np.repeat([f"s{k}" for k in range(12)], 20),
            "t": np.tile(np.arange(20.0), 12),
            "stage": stage,
            "x": rng.normal(size=rows),
            "sick": (stage == 1).astype(float),
        }
    )
    series = IrregularSeries.from_frame(table, id="id", time="t")
    train, test = series.select(range(9)), series.select(range(9, 12))
    pairs = train.hold_out_values(0.3, seed=0), test.hold_out_values(0.3, seed=1)
    classes = {0: 3, 2: 1}
    scores = score_baselines(baselines_for(None), *pairs, classes)
    plain = score_baselines(baselines_for(None), *pairs)
    for name, points in scores.items():
        np.testing.assert_allclose(points.crps[:, 1], plain[name].crps[:, 1], rtol=1e-6)
        summary = points.per_feature(series.features)
        assert summary["stage"].n > 10 and math.isfinite(summary["stage"].nll)
        assert 0.0 < summary["sick"].mse < 0.3 and math.isfinite(summary["sick"].nll)
    # Who looks at the neighbours knows more than who does not.
    accuracy = {name: points.of_classes(0)["accuracy"] for name, points in scores.items()}
    assert accuracy["last_observation"] > accuracy["climatology"] + 0.2
    assert scores["last_observation"].per_feature(series.features)["stage"].nll < math.log(3)
