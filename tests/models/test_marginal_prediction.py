"""A model whose posterior is given by its marginals predicts, samples and is saved like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

import latentsde
from latentsde.data import collate
from latentsde.files import write_json
from latentsde.models import Forecaster, LatentSDE, describe, save_weights
from latentsde.models.bridges import Smoothed
from tests.models.small import small_model, small_series

SERIES = small_series()
MODEL = small_model(SERIES, posterior="marginals")
FORECASTER = Forecaster(MODEL, {})
NUMBERS = ["mean", "std", "q05", "q50", "q95"]


def test_a_series_is_predicted_the_same_in_any_company() -> None:
    times = [-2.0, 0.5, 3.0, 12.0]
    together = FORECASTER.predict(SERIES, times, samples=20)
    alone = pd.concat([FORECASTER.predict(SERIES.select([k]), times, samples=20) for k in range(len(SERIES))])
    merged = together.merge(alone, on=["who", "t", "feature"], suffixes=("", "_alone"), validate="one_to_one")
    assert len(merged) == len(SERIES) * 4 * 2 and np.isfinite(merged[NUMBERS].to_numpy()).all()
    for name in NUMBERS:
        np.testing.assert_allclose(merged[name], merged[f"{name}_alone"], rtol=1e-3, atol=1e-3)


def test_prior_samples_are_finite_and_do_not_depend_on_how_many_are_drawn() -> None:
    few, many = (FORECASTER.sample(SERIES, [-1.0, 0.0, 5.0], n=n, seed=4) for n in (2, 5))
    assert np.isfinite(few[["a", "b"]].to_numpy()).all()
    pd.testing.assert_frame_equal(few, many.iloc[: len(few)], rtol=1e-4)


def test_prior_samples_are_those_of_the_model_with_a_control() -> None:
    """The prior is the same modules, so that with their weights it gives the same paths."""
    twin = small_model(SERIES, seed=5)
    shared = {k: v for k, v in MODEL.state_dict().items() if k in twin.state_dict() and "encoder" not in k}
    twin.load_state_dict(shared, strict=False)
    assert {name.split(".")[0] for name in shared} >= {"prior_drift", "diffusion", "decoder", "likelihoods"}
    own, other = (Forecaster(m, {}).sample(SERIES, [0.0, 2.0, 9.0], n=3) for m in (MODEL, twin))
    pd.testing.assert_frame_equal(own, other, rtol=1e-5)


@torch.no_grad()
def test_predicted_states_follow_the_marginals() -> None:
    """2,000 paths by the model's own steps, at the observations of one series: within 5 standard errors and a
    tenth of the deviation for the steps of 1/64 of a series.
    """
    batch = collate(SERIES, [0], MODEL.scaler)
    code = MODEL.encode(batch)
    assert isinstance(code, Smoothed)
    z = MODEL.posterior_paths(batch, batch.times, samples=2000, seed=0).latent[:, 0]
    standard = (z - code.knot_mean[0]) / code.knot_std[0]
    assert (standard.mean(0).abs() < 0.1 + 5.0 / 2000**0.5).all()
    assert ((standard.std(0) - 1.0).abs() < 0.1 + 5.0 / 4000**0.5).all()


def test_a_saved_run_is_loaded_with_its_posterior(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", describe(MODEL))
    save_weights(MODEL, tmp_path)
    loaded = latentsde.load(tmp_path)
    assert isinstance(loaded.model, LatentSDE) and loaded.model.config.posterior == "marginals"
    own = FORECASTER.predict(SERIES, [1.0, 20.0], samples=10)
    pd.testing.assert_frame_equal(loaded.predict(SERIES, [1.0, 20.0], samples=10), own)
