"""The experiments of published tables, at a size that says whether they do what their pages say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.mocap import errors
from experiments.mocap_model import MocapModel
from experiments.mocap_training import Recipe, horizon, train, windows
from experiments.physionet import questions, squared_error
from latentsde import IrregularSeries, LatentSDE
from latentsde.errors import InputError

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


def test_windows_grow_to_the_horizon_and_no_further() -> None:
    lengths = [horizon(SMALL, k) for k in range(8)]
    assert lengths[0] == 20 and lengths[-1] == 30 and lengths == sorted(lengths)


def test_a_run_that_was_killed_ends_with_the_same_weights(tmp_path: Path) -> None:
    def score(model: MocapModel) -> float:
        return float(errors(model, WALKS[:1], 0, 20, samples=2, seed=0)[0].mean())

    def run(name: str, recipe: Recipe) -> MocapModel:
        checkpoint = tmp_path / name
        return train(
            WALKS, recipe, seed=1, score=score, checkpoint=checkpoint, every=2, say=lambda line: None
        ).model

    class KilledError(Exception):
        pass

    def killed(line: str) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        train(WALKS, SMALL, seed=1, score=score, checkpoint=tmp_path / "a.ckpt", every=2, say=killed)
    resumed, whole = run("a.ckpt", SMALL), run("b.ckpt", SMALL)
    for one, other in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(InputError, match="another recipe"):
        run("a.ckpt", replace(SMALL, pace=0.5))


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
    one, half = (squared_error(model, given, asked, np.array([r]), 5) for r in (1.0, 2.0))
    assert one["values"] == int(np.isfinite(asked.values).sum())
    assert one["mse"] == pytest.approx(4.0 * half["mse"])
