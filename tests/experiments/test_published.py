"""The experiments of published tables, at a size that says whether they do what their pages say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.mocap_limits import pace_told
from experiments.mocap_model import MocapModel
from experiments.mocap_training import Recipe, horizon, train, windows
from experiments.physionet import (
    SquaredErrors,
    Units,
    check_plan,
    last_value_carried,
    one_step_ahead,
    questions,
    squared_errors,
)
from latentsde import IrregularSeries, LatentSDE
from latentsde.errors import InputError
from latentsde.models.recurrent import ODERNN

FRAMES, PHASES = torch.arange(60)[None, :, None], torch.arange(3.0)[:, None, None]
WALKS = 5.0 * torch.sin(FRAMES / 9.0 + PHASES + torch.zeros(50))
SMALL = Recipe(iterations=6, batch=4, anneal=2, horizon=30, grow=4)


@pytest.mark.parametrize(("stochastic", "count"), [(True, 11_605), (False, 10_573)])
def test_the_architectures_have_the_published_sizes(stochastic: bool, count: int) -> None:
    assert sum(p.numel() for p in MocapModel(stochastic=stochastic).parameters()) == count


def test_windows_at_their_own_pace_are_pieces_of_the_walks() -> None:
    recipe = replace(SMALL, pace=0.0, batch=40)
    frames, mask = windows(WALKS, recipe, 30, torch.Generator().manual_seed(0))
    pieces = torch.cat([WALKS[:, start : start + 30] for start in range(31)])
    whole = mask.bool().all(1)
    assert whole.any() and (mask[:, :20] == 1).all()
    for window in frames[whole]:
        assert (window - pieces).abs().amax((1, 2)).min() < 1e-4


def test_windows_at_other_paces_lie_between_the_frames_and_end_with_the_walk() -> None:
    ramp = (torch.arange(60.0)[None, :, None] + torch.zeros(3, 1, 50)).contiguous()
    frames, mask = windows(ramp, replace(SMALL, pace=0.3, batch=60), 30, torch.Generator().manual_seed(0))
    inside = mask.bool()
    pace = frames[:, 1, :1] - frames[:, 0, :1]
    at = frames[:, 0, :1] + pace * torch.arange(30)
    torch.testing.assert_close(frames[..., 0][inside], at[inside], rtol=0.0, atol=1e-3)
    assert (frames[~inside] > 58.99).all() and not inside.all()
    assert (at[~inside] > 58.99).all() and (at[inside] < 59.01).all()
    assert pace.min() < 0.8 and pace.max() > 1.2


def test_windows_grow_to_the_horizon_and_no_further() -> None:
    lengths = [horizon(SMALL, k) for k in range(8)]
    assert lengths[0] == 20 and lengths[-1] == 30 and lengths == sorted(lengths)


def test_a_run_that_was_killed_ends_with_the_same_weights(tmp_path: Path) -> None:
    def run(name: str, recipe: Recipe) -> MocapModel:
        checkpoint = tmp_path / name
        return train(WALKS, recipe, seed=1, checkpoint=checkpoint, every=2, say=lambda line: None).model

    class KilledError(Exception):
        pass

    def killed(line: str) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        train(WALKS, SMALL, seed=1, checkpoint=tmp_path / "a.ckpt", every=2, say=killed)
    resumed, whole = run("a.ckpt", SMALL), run("b.ckpt", SMALL)
    for one, other in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(InputError, match="another recipe"):
        run("a.ckpt", replace(SMALL, pace=0.5))


def test_a_pace_is_told_where_the_frames_show_it_and_only_there() -> None:
    rng = np.random.default_rng(0)
    paces = np.exp(0.1 * rng.normal(size=8))
    ramps = paces[:, None, None] * np.arange(60.0)[:, None] * rng.normal(size=50)
    shown = ramps - ramps.mean(1, keepdims=True)
    error, deviation = pace_told(shown, paces, 0.1)
    assert error < 0.4 * deviation
    noise = rng.normal(size=(8, 60, 50))
    error, deviation = pace_told(noise, paces, 0.1)
    assert error > 0.8 * deviation


ONE = Units(np.ones(1), np.ones(1))


def icu() -> IrregularSeries:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"id": np.repeat(["a", "b"], 8), "hours": np.tile(np.arange(8) * 6.0, 2)})
    return IrregularSeries.from_frame(rows.assign(x=rng.normal(size=16)), id="id", time="hours")


def test_each_task_gives_and_asks_what_it_says() -> None:
    series = icu()
    given, asked = questions("interpolation", series, 0.5)
    assert given is series and asked is series
    given, asked = questions("extrapolation", series, 0.5)
    assert (
        np.isnan(given.values[given.times > 24.0]).all() and np.isnan(asked.values[asked.times <= 24.0]).all()
    )
    given, asked = questions("imputation", series, 0.5)
    assert (np.isfinite(given.values) ^ np.isfinite(asked.values)).all()


def test_errors_count_every_asked_value_in_units_of_the_range() -> None:
    series = icu()
    model = LatentSDE.for_series(series, latent=2, hidden=4, encoder=4, context=4)
    given, asked = questions("extrapolation", series, 0.5)
    one, half = (
        squared_errors(model, given, asked, Units(np.array([r]), np.array([r])), 5) for r in (1.0, 2.0)
    )
    assert one["values"] == int(np.isfinite(asked.values).sum())
    for key in ("mse", "mse_of_pairs", "mse_of_paths", "mse_as_published"):
        assert one[key] == pytest.approx(4.0 * half[key])
    assert one["mse_of_paths"] > one["mse_of_pairs"]


def test_means_of_values_of_pairs_and_of_paths() -> None:
    """Two stays of two features: errors 1, 1, 1 and 3 in the first, none and 2 in the second."""
    nan = np.nan
    errors = SquaredErrors(Units(np.array([1.0, 2.0]), np.array([10.0, 2.0])))
    errors.add(np.zeros((1, 3, 2)), np.array([[1.0, 6.0], [1.0, nan], [1.0, nan]]))
    errors.add(np.array([[[0.0, 1.0]], [[0.0, -1.0]]]), np.array([[nan, 4.0]]))
    means = errors.means()
    assert means["values"] == 5
    assert means["mse"] == pytest.approx((3 * 1.0 + 9.0 + 4.0) / 5)
    assert means["mse_of_pairs"] == pytest.approx((1.0 + 9.0 + 0.0 + 4.0) / 4)
    assert means["mse_of_paths"] == pytest.approx((1.0 + 9.0 + 0.0 + (1.5**2 + 2.5**2) / 2) / 4)
    assert means["mse_as_published"] == pytest.approx((0.01 + 9.0 + 0.0 + (1.5**2 + 2.5**2) / 2) / 4)


def test_units_are_ranges_and_largest_values_of_all() -> None:
    units = Units.of(np.array([[1.0, -2.0], [5.0, np.nan], [np.nan, 4.0]]))
    assert units.ranges.tolist() == [4.0, 6.0] and units.largest.tolist() == [5.0, 4.0]


def test_a_model_that_was_begun_with_another_plan_is_not_gone_on_with(tmp_path: Path) -> None:
    check_plan(tmp_path / "run", {"error": 0.02, "models": ("latent_sde",)})
    check_plan(tmp_path / "run", {"error": 0.02, "models": ("latent_sde",)})
    with pytest.raises(InputError, match="another plan"):
        check_plan(tmp_path / "run", {"error": 0.05, "models": ("latent_sde",)})


def test_the_last_value_is_carried_on_and_the_mean_stands_where_there_is_none() -> None:
    series = icu()
    given, asked = questions("extrapolation", series, 0.5)
    carried = last_value_carried(given, asked, np.zeros(1), ONE)
    error = [
        asked.values[rows][5:, 0] - given.values[rows][4, 0]
        for rows in (series.rows(s) for s in range(len(series)))
    ]
    assert carried["mse"] == pytest.approx(np.square(error).mean())
    nothing = given.with_values(np.full_like(given.values, np.nan))
    assert last_value_carried(nothing, asked, np.full(1, 2.0), ONE)["mse"] == pytest.approx(
        np.nanmean((asked.values - 2.0) ** 2)
    )


def test_one_step_ahead_a_value_does_not_know_itself() -> None:
    """Where the prediction of the last row does not move with it, the squared error is a parabola in it."""
    series = icu()
    model = ODERNN.for_series(series, hidden=4)
    last = [series.rows(s).stop - 1 for s in range(len(series))]
    total = []
    for shift in (-1.0, 0.0, 1.0):
        values = series.values.copy()
        values[last] += shift
        total.append(one_step_ahead(model, series.with_values(values), ONE)["mse"] * series.n_observed)
    assert total[0] - 2.0 * total[1] + total[2] == pytest.approx(2.0 * len(last), rel=1e-5)
