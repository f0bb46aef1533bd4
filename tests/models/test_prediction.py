"""Predictions: what they depend on, what they do not, and their units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from latentsde.data import IrregularSeries, Scaler, collate
from latentsde.errors import InputError
from latentsde.models import Forecaster, LatentSDE, predict
from latentsde.models.posterior import PosteriorSDE
from tests.models.small import frame, small_model, small_series

SERIES = small_series()
MODEL = small_model(SERIES)
FORECASTER = Forecaster(MODEL, {})
NUMBERS = ["mean", "std", "q05", "q50", "q95"]


def test_a_series_is_predicted_the_same_in_any_company() -> None:
    times = [0.5, 3.0, 12.0]
    together = FORECASTER.predict(SERIES, times, samples=20)
    alone = pd.concat(
        [FORECASTER.predict(SERIES.select([k]), times, samples=20) for k in reversed(range(len(SERIES)))]
    )
    merged = together.merge(alone, on=["who", "t", "feature"], suffixes=("", "_alone"), validate="one_to_one")
    assert len(merged) == len(SERIES) * 3 * 2
    for name in NUMBERS:
        np.testing.assert_allclose(merged[name], merged[f"{name}_alone"], rtol=1e-3, atol=1e-3)


def test_more_queries_leave_the_latent_paths_where_they_were() -> None:
    """On times that are step points anyway; a further time between two steps would make a further step."""
    batch = collate(SERIES, [0, 1], MODEL.scaler)
    start, dt = MODEL.config.start, MODEL.config.dt
    few = start + dt * torch.tensor([[0.0, 20.0, 40.0]] * 2, dtype=torch.float64)
    many = start + dt * torch.arange(41, dtype=torch.float64).expand(2, 41)
    own, others = (MODEL.posterior_paths(batch, q, samples=3, seed=1).latent for q in (few, many))
    # Few queries leave longer intervals, whose steps then fall elsewhere: near, and on the same Brownian
    # path.
    assert own.shape == (3, 2, 3, 3)
    torch.testing.assert_close(own[:, :, 0], others[:, :, 0])
    gap = (own[:, :, 2] - others[:, :, 40]).abs().max()
    other_seed = MODEL.posterior_paths(batch, many, samples=3, seed=2).latent[:, :, 40]
    assert gap < 0.5 * (own[:, :, 2] - other_seed).abs().max()


def test_any_time_can_be_asked_for() -> None:
    """Before the first observation and before the model's start, between, at and after the observations."""
    first = float(SERIES.times[SERIES.rows(0)][0])
    table = FORECASTER.predict(SERIES.select([0]), [-5.0, first, first + 0.01, 9.0, 60.0], samples=30)
    assert np.isfinite(table[NUMBERS].to_numpy()).all()
    assert (table["q05"] <= table["q50"]).all() and (table["q50"] <= table["q95"]).all()
    assert len(FORECASTER.predict(SERIES.select([0]), [0.0], samples=2)) == 2


def test_after_the_last_observation_the_posterior_is_the_prior() -> None:
    batch = collate(SERIES, [0], MODEL.scaler)
    code = MODEL.encode(batch)
    posterior = PosteriorSDE(MODEL, code.context, code.static)
    z = torch.randn(1, 3, generator=torch.Generator().manual_seed(0))
    last = MODEL.model_time(batch.times)[:, -1:].float()
    for t in (last, last + 1.0):
        torch.testing.assert_close(posterior.f(t, z), posterior.h(t, z), rtol=0.0, atol=0.0)
        assert (posterior.contraction(t, z, 0.5) == 1.0).all()
    assert not torch.allclose(posterior.f(last - 1e-3, z), posterior.h(last - 1e-3, z))


def test_predictions_follow_the_units_of_the_data() -> None:
    """The same data in other units (x -> 10 x + 5) through the same network: predictions in those units,
    densities divided by 10.
    """
    other = IrregularSeries.from_frame(
        frame().assign(a=lambda d: 10.0 * d["a"] + 5.0), id="who", time="t", values=["a", "b"], static=["age"]
    )
    scaler = Scaler.fit(other)
    twin = LatentSDE(MODEL.config, scaler)
    twin.load_state_dict(MODEL.state_dict())
    times = [np.array([1.0, 8.0])]
    answers = []
    for model, data in ((MODEL, SERIES), (twin, other)):
        observed = [
            np.array([[5.0, 3.0]] * 2) * (1 if model is MODEL else [10, 1])
            + (0 if model is MODEL else [5, 0])
        ]
        answers.append(next(predict(model, data.select([0]), times, observed=observed, samples=50)))
    own, scaled = answers
    np.testing.assert_allclose(scaled.samples[..., 0], 10.0 * own.samples[..., 0] + 5.0, rtol=1e-3, atol=2e-2)
    np.testing.assert_allclose(scaled.std[:, 0], 10.0 * own.std[:, 0], rtol=1e-3)
    np.testing.assert_allclose(scaled.log_density[:, 0], own.log_density[:, 0] - np.log(10.0), atol=2e-2)
    np.testing.assert_allclose(scaled.samples[..., 1], own.samples[..., 1], atol=2e-3)


def test_mean_and_std_are_those_of_the_samples() -> None:
    """With 4,000 samples; false-alarm rate below 1e-5 (5 standard errors of mean and of variance, 4
    numbers).
    """
    drawn = next(predict(MODEL, SERIES.select([1]), [np.array([2.0, 30.0])], samples=4_000))
    error = drawn.std / np.sqrt(4_000)
    assert (np.abs(drawn.samples.mean(0) - drawn.mean) < 5.0 * error).all()
    fourth = ((drawn.samples - drawn.mean) ** 4).mean(0)
    error_of_variance = np.sqrt((fourth - drawn.std**4) / 4_000)
    assert (np.abs(drawn.samples.var(0) - drawn.std**2) < 5.0 * error_of_variance).all()


def test_long_samples_of_the_prior_stay_bounded() -> None:
    """1,000 spans beyond the data, with weights far from their start: the drift pulls back from anywhere."""
    model = small_model(SERIES, seed=7)
    table = Forecaster(model, {}).sample(SERIES, [0.0, 1000.0, 2000.0], n=4, seed=1)
    assert np.isfinite(table[["a", "b"]].to_numpy()).all()
    assert table[["a", "b"]].abs().to_numpy().max() < 1e3
    assert list(table.columns) == ["who", "t", "a", "b"] and table["who"].nunique() == 4


def test_counts_are_predicted_as_counts_in_their_own_units() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"id": np.repeat(["x", "y"], 20), "t": np.tile(np.arange(20.0), 2), "n": rng.poisson(6.0, 40)}
    )
    series = IrregularSeries.from_frame(table, id="id", time="t")
    model = small_model(series, likelihoods="poisson")
    assert model.scaler.mean[0] == 0.0 and model.scaler.std[0] == 1.0
    drawn = next(predict(model, series.select([0]), [np.array([3.0, 25.0])], samples=30))
    assert (drawn.samples >= 0).all() and (drawn.samples == np.round(drawn.samples)).all()
    assert (drawn.std**2 >= drawn.mean - 1e-6).all()  # Poisson variance plus that of the rate
    with pytest.raises(InputError, match=r"'n' is to be poisson but is 0\.5 at time 3 of series 'x'"):
        LatentSDE.for_series(
            series.with_values(np.where(series.times[:, None] == 3.0, 0.5, series.values)),
            likelihoods="poisson",
        )


def test_sample_paths_come_without_observation_noise() -> None:
    table = FORECASTER.paths(SERIES.select([0]), [0.0, 1.0], samples=3)
    assert list(table.columns) == ["who", "path", "t", "a", "b"] and len(table) == 6


def test_prior_samples_do_not_depend_on_how_many_are_drawn() -> None:
    few, many = (FORECASTER.sample(SERIES, [0.0, 5.0], n=n, seed=4) for n in (2, 5))
    pd.testing.assert_frame_equal(few, many.iloc[: len(few)], rtol=1e-4)


@pytest.mark.parametrize(
    ("times", "message"),
    [([1.0, 1.0], "strictly increasing"), ([2.0, 1.0], "strictly increasing"), ([np.nan], "finite")],
)
def test_impossible_times_are_refused(times: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FORECASTER.predict(SERIES, times)


def test_other_features_are_refused() -> None:
    other = IrregularSeries.from_frame(frame(), id="who", time="t", values=["b", "a"], static=["age"])
    with pytest.raises(InputError, match="the model has a, b"):
        FORECASTER.predict(other, [1.0])


def test_a_new_model_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    one, two = LatentSDE.for_series(SERIES, seed=1), LatentSDE.for_series(SERIES, seed=1)
    FORECASTER.predict(SERIES.select([0]), [1.0], samples=2)
    assert torch.equal(before, torch.get_rng_state())
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name])


def kinds() -> IrregularSeries:
    """A stage by name and a limited value, in two series."""
    table = pd.DataFrame(
        {
            "id": np.repeat(["x", "y"], 6),
            "t": np.tile(np.arange(6.0), 2),
            "stage": ["low", "high", "low", None, "mid", "low"] * 2,
            "crp": ["<0.5", "1.5", "2", ">3", "2.5", "1-2"] * 2,
        }
    )
    return IrregularSeries.from_frame(table, id="id", time="t", categories=["stage"])


def test_classes_have_their_probabilities_and_limits_their_log_probability() -> None:
    series = kinds()
    model = small_model(series, likelihoods={"crp": "censored-normal"})
    assert series.limits is not None
    rows = series.rows(0)
    predicted = next(
        predict(
            model,
            series.select([0]),
            [series.times[rows]],
            observed=[series.values[rows]],
            limits=[series.limits[rows]],
            samples=40,
        )
    )
    classes, none = predicted.classes
    assert none is None and classes is not None and classes.shape == (40, 6, 3)
    np.testing.assert_allclose(classes.sum(-1), 1.0, rtol=1e-5)
    assert np.isin(predicted.samples[..., 0], [0, 1, 2]).all()
    codes = series.values[rows, 0]
    seen = np.isfinite(codes)
    own = classes.mean(0)[seen, codes[seen].astype(int)]
    np.testing.assert_allclose(predicted.log_density[seen, 0], np.log(own), rtol=1e-4)
    assert np.isnan(predicted.log_density[~seen, 0]).all()
    limited = ~np.isnan(series.limits[rows, 1, 0])
    assert limited.sum() == 3 and (predicted.log_density[limited, 1] < 0).all()
    # What is below .5 and what is above it are all there is.
    parts = []
    for ends in ((-np.inf, 0.5), (0.5, np.inf)):
        limits = np.full((1, 2, 2), np.nan)
        limits[0, 1] = ends
        asked = {"observed": [np.array([[np.nan, 0.5]])], "limits": [limits], "samples": 40}
        parts.append(next(predict(model, series.select([0]), [np.array([3.0])], **asked)))  # type: ignore[arg-type]
    assert sum(np.exp(p.log_density[0, 1]) for p in parts) == pytest.approx(1.0, abs=1e-5)


def test_the_density_of_a_censored_feature_has_the_unit_of_the_data() -> None:
    """Of a value itself, a tenth in units ten times as small; of a limit the same probability."""
    series = kinds()
    model = small_model(series, likelihoods={"crp": "censored-normal"})
    scaled = Scaler(
        model.scaler.features,
        model.scaler.mean * [1, 10],
        model.scaler.std * [1, 10],
        np.zeros(0),
        np.ones(0),
    )
    twin = LatentSDE(model.config, scaled)
    twin.load_state_dict(model.state_dict())
    found = []
    for one, unit in ((model, 1.0), (twin, 10.0)):
        limits = np.full((2, 2, 2), np.nan)
        limits[1, 1] = [-np.inf, 2.0 * unit]
        data = series.with_values(series.values * [1, unit])
        assert data.limits is not None
        data = replace(data, limits=data.limits * unit)
        observed = np.array([[np.nan, 2.0 * unit]] * 2)
        times = [np.array([1.0, 4.0])]
        found.append(
            next(predict(one, data.select([0]), times, observed=[observed], limits=[limits], samples=30))
        )
    own, other = (p.log_density[:, 1] for p in found)
    np.testing.assert_allclose(other, own - [np.log(10.0), 0.0], atol=2e-3)


def test_values_and_classes_of_another_kind_are_refused() -> None:
    series = kinds()
    with pytest.raises(InputError, match=r"'crp' is to be normal but is <0\.5 at time 0 of series 'x'; give"):
        LatentSDE.for_series(series)
    model = small_model(series, likelihoods={"crp": "censored-normal"})
    fewer = IrregularSeries.from_frame(
        series.select([0]).to_frame().query("stage != 'mid'"), id="id", time="t", categories=["stage"]
    )
    with pytest.raises(
        InputError, match=r"of the classes high, low, mid instead of high, low; read the data"
    ):
        Forecaster(model, {}).predict(fewer, [1.0])
    with pytest.raises(InputError, match=r"'b' is to be bernoulli but is .*; a bernoulli value is 0 or 1"):
        LatentSDE.for_series(SERIES, likelihoods={"b": "bernoulli"})
    with pytest.raises(InputError, match=r"'a' is to be categorical but is .*; classes are whole numbers"):
        LatentSDE.for_series(SERIES, likelihoods={"a": "categorical"})


def test_whole_numbers_are_classes_when_they_are_said_to_be() -> None:
    table = pd.DataFrame({"id": list("aabb"), "t": [0, 1, 0, 2], "grade": [0.0, 2, 1, 2]})
    series = IrregularSeries.from_frame(table, id="id", time="t")
    model = LatentSDE.for_series(series, likelihoods="categorical", hidden=4, latent=2)
    assert model.config.levels == (("0", "1", "2"),)
    predicted = Forecaster(model, {}).predict(series, [1.0], samples=5)
    assert predicted["feature"].tolist() == ["grade=0", "grade=1", "grade=2"] * 2
