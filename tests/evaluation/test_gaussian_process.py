"""The Gaussian process against the algebra it stands for."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from latentsde.data import IrregularSeries
from latentsde.evaluation import score_normal
from latentsde.evaluation.baselines import GaussianProcess, LastObservation


def smooth_paths(n_series: int, seed: int, noise: float = 0.2) -> IrregularSeries:
    """Draws of a Gaussian process with squared-exponential covariance of length 4, observed with noise."""
    rng = np.random.default_rng(seed)
    frames = []
    for s in range(n_series):
        times = np.sort(rng.uniform(0, 40, 30))
        covariance = np.exp(-0.5 * ((times[:, None] - times) / 4) ** 2) + 1e-9 * np.eye(30)
        path = np.linalg.cholesky(covariance) @ rng.normal(size=30)
        values = 50 + 10 * (path + noise * rng.normal(size=30))
        frames.append(pd.DataFrame({"id": f"s{s}", "time": times, "x": values}))
    return IrregularSeries.from_frame(pd.concat(frames), id="id", time="time")


def test_predictions_are_the_conditional_normal_of_a_noisy_new_observation():
    train = smooth_paths(25, 0).hold_out_values(0.3, seed=0)
    test = smooth_paths(1, 1).hold_out_values(0.3, seed=1)
    baseline = GaussianProcess().fit(*train)
    prediction = baseline.predict(*test)
    kernel, scaler = baseline._kernels[0], baseline.scaler
    given, asked = (np.flatnonzero(np.isfinite(half.values[:, 0])) for half in test)
    t = test[0].times[:, None]
    inner = kernel(t[given])
    across = kernel(t[asked], t[given])
    mean = across @ np.linalg.solve(inner, scaler.scale(test[0].values)[given, 0])
    variance = kernel.diag(t[asked]) - np.sum(across * np.linalg.solve(inner, across.T).T, axis=1)
    np.testing.assert_allclose(prediction.mean[asked, 0], mean * scaler.std[0] + scaler.mean[0], rtol=1e-5)
    np.testing.assert_allclose(prediction.std[asked, 0], np.sqrt(variance) * scaler.std[0], rtol=1e-4)
    # With the white noise of a new observation in it: 2 of the 10 units here.
    assert prediction.std[asked, 0].min() > 1.5


def test_it_is_calibrated_and_better_than_the_last_observation():
    # 60 series with about 540 values, only weakly dependent: coverage within 4.5 standard errors of .013.
    train, test = (smooth_paths(60, seed).hold_out_values(0.3, seed=seed) for seed in (2, 3))
    scores = {}
    for baseline in (GaussianProcess(), LastObservation()):
        prediction = baseline.fit(*train).predict(*test)
        points = score_normal(prediction.mean, prediction.std, test[1].values)
        scores[baseline.name] = points.overall([10.0])
    assert scores["gaussian_process"].coverage90 == pytest.approx(0.9, abs=0.06)
    assert scores["gaussian_process"].crps < 0.7 * scores["last_observation"].crps


def test_a_period_carries_the_rhythm_into_the_forecast():
    rng = np.random.default_rng(0)
    rows = [
        {"id": f"s{s}", "time": t, "x": np.sin(2 * np.pi * (t / 24 + shift)) + 0.1 * rng.normal()}
        for s, shift in enumerate(rng.random(30))
        for t in range(0, 72, 2)
    ]
    train = IrregularSeries.from_frame(pd.DataFrame(rows), id="id", time="time").hold_out_after(time=47.0)
    error = {}
    for period in (24.0, None):
        prediction = GaussianProcess(period).fit(*train).predict(*train)
        error[period] = np.nanmean((prediction.mean - train[1].values) ** 2)
    assert error[24.0] < 0.05 < error[None]


def test_the_same_seed_gives_the_same_predictions():
    train = smooth_paths(30, 4).hold_out_values(0.3, seed=0)
    first, second = (GaussianProcess(seed=5).fit(*train).predict(*train) for _ in range(2))
    np.testing.assert_array_equal(first.mean, second.mean)


def test_importing_the_evaluation_does_not_import_scikit_learn():
    code = "import sys, latentsde.evaluation; assert not {'sklearn', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
