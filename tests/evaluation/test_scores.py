"""The averages of metrics.json: their scale, what they count, and that they are JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from latentsde.evaluation import PointScores, Scores, metrics_document, score_normal, score_samples

FEATURES = ("temp", "pressure")
STD = np.array([10.0, 0.5])


def prediction(n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    observed = np.array([60.0, 1013.0]) + STD * rng.normal(size=(n, 2))
    observed[rng.random((n, 2)) < 0.3] = np.nan
    return np.full((n, 2), [60.0, 1013.0]), np.full((n, 2), STD), observed


def test_overall_scores_are_those_of_the_values_in_standard_deviations():
    mean, std, observed = prediction()
    direct = score_normal(mean / STD, std / STD, observed / STD).overall(np.ones(2))
    overall = score_normal(mean, std, observed).overall(STD)
    for name in ("mse", "crps", "nll", "coverage90", "n"):
        assert getattr(overall, name) == pytest.approx(getattr(direct, name), rel=1e-9)


def test_feature_scores_are_in_original_units():
    mean, std, observed = prediction()
    scores = score_normal(mean, std, observed).per_feature(FEATURES)
    error = observed[:, 1] - 1013.0
    assert scores["pressure"].mse == pytest.approx(np.nanmean(error**2))
    assert scores["pressure"].n == np.isfinite(error).sum()
    # A calibrated normal's entropy, log(std sqrt(2 pi e)): 280 values, standard error .042, within 5 of them.
    assert scores["temp"].nll == pytest.approx(math.log(10 * math.sqrt(2 * math.pi * math.e)), abs=0.21)


def test_every_observed_value_has_one_vote():
    observed = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, 2.0]])
    scores = score_normal(np.zeros((3, 2)), np.ones((3, 2)), observed).overall(np.ones(2))
    assert scores.n == 3
    assert scores.mse == pytest.approx((1 + 9 + 4) / 3)


def test_nothing_observed_gives_nan_scores_and_no_error():
    nothing = np.full((4, 2), np.nan)
    for points in (score_normal(nothing, nothing, nothing), score_samples(np.zeros((5, 4, 2)), nothing)):
        scores = points.overall(STD)
        assert scores.n == 0
        assert all(math.isnan(x) for x in (scores.mse, scores.crps, scores.nll, scores.coverage90))


def test_a_missing_prediction_of_an_observed_value_is_not_passed_over():
    assert math.isnan(score_normal([[0.0, np.nan]], [[1.0, 1.0]], [[0.0, 0.0]]).overall(np.ones(2)).mse)


@pytest.mark.parametrize("n", [19, 39, 200])
def test_calibrated_samples_cover_ninety_percent_whatever_their_number(n):
    # 40,000 values: standard error .0015, within 5 of them: false alarm 6e-7.
    rng = np.random.default_rng(n)
    observed = rng.normal(size=(20_000, 2))
    samples = rng.normal(size=(n, 20_000, 2))
    assert score_samples(samples, observed).overall(np.ones(2)).coverage90 == pytest.approx(0.9, abs=0.0075)


def test_samples_and_closed_form_of_the_same_normal_score_alike():
    mean, std, observed = prediction()
    samples = mean + std * np.random.default_rng(2).normal(size=(1500, *mean.shape))
    density = -score_normal(mean, std, observed).nll
    sampled = score_samples(samples, observed, mean=mean, log_density=density).overall(STD)
    closed = score_normal(mean, std, observed).overall(STD)
    assert sampled.mse == pytest.approx(closed.mse)
    assert sampled.nll == pytest.approx(closed.nll)
    assert sampled.crps == pytest.approx(closed.crps, rel=0.02)
    assert sampled.coverage90 == pytest.approx(closed.coverage90, abs=0.02)


def test_samples_without_a_density_have_no_nll():
    assert math.isnan(score_samples(np.zeros((3, 1, 1)), [[0.0]]).overall(np.ones(1)).nll)


def test_parts_joined_score_as_the_whole():
    mean, std, observed = prediction()
    parts = [score_normal(mean[rows], std[rows], observed[rows]) for rows in (slice(0, 150), slice(150, 400))]
    assert PointScores.join(parts).overall(STD) == score_normal(mean, std, observed).overall(STD)


def test_metrics_document_is_json_with_tasks_models_scale_and_features():
    mean, std, observed = prediction()
    observed[:, 1] = np.nan
    document = metrics_document(
        {"forecast": {"last_observation": score_normal(mean, std, observed)}}, std=STD, features=FEATURES
    )
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    entry = document["forecast"]["last_observation"]
    assert list(entry) == ["mse", "crps", "nll", "coverage90", "n", "per_feature"]
    assert "standard deviation" in document["scale"]
    nothing = {"mse": None, "crps": None, "nll": None, "coverage90": None, "n": 0}
    assert entry["per_feature"]["pressure"] == nothing
    assert Scores(**{k: v for k, v in entry.items() if k != "per_feature"}).crps > 0
