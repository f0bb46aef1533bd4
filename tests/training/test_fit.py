"""`fit` leaves the best weights in the model and a complete run behind, and touches nothing else."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from latentsde.brownian import STREAM_VERSION
from latentsde.data import collate
from latentsde.errors import InputError
from latentsde.models import LatentSDE, load_run
from latentsde.plotting import training_curves
from latentsde.training import TrainingConfig, fit
from latentsde.training.schedule import Schedule
from latentsde.version import __version__

from . import tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    tiny.run(out, metadata={"data": {"path": "x.csv"}, "training": "not mine to give"}, tensorboard=True)
    return out


def validation_elbo(model: LatentSDE) -> float:
    """As training computes it: fixed noise, per observed value."""
    series = tiny.make_series(5, seed=1)
    schedule = Schedule(TrainingConfig(**tiny.SETTINGS), 9)
    with torch.no_grad():
        bound = model.elbo(collate(series, np.arange(5), model.scaler), seed=schedule.validation_seed)
    return float(bound.value().sum() / bound.observed.sum())


def test_the_directory_holds_the_files_of_a_run_and_no_others(run: Path) -> None:
    files = sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    events = [name for name in files if name.startswith("logs/events.out.tfevents.")]
    assert len(events) == 1
    assert set(files) - set(events) == {
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "config.json",
        "history.csv",
        "logs/hparams.yaml",
        "model.safetensors",
    }


def test_the_configuration_says_how_the_run_was_made_and_how_it_came_out(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    training = config["training"]
    assert config["latentsde_version"] == __version__ and config["stream_version"] == STREAM_VERSION
    assert config["data"] == {"path": "x.csv"}
    assert {name: training[name] for name in tiny.SETTINGS} == tiny.SETTINGS
    assert training["finished"] and training["steps_done"] == 14 and training["series"] == 9


def test_the_saved_weights_are_those_of_the_best_validation(run: Path) -> None:
    model, config = load_run(run)
    rows = pd.read_csv(run / "history.csv").query("split == 'validation'")
    best = rows.loc[rows["elbo"].idxmax()]
    assert config["training"]["best_step"] == best["step"]
    assert config["training"]["best_elbo"] == best["elbo"]
    assert validation_elbo(model) == pytest.approx(best["elbo"], abs=1e-6)


def test_the_model_itself_has_the_best_weights(tmp_path: Path) -> None:
    model = tiny.make_model(tiny.make_series())
    result = tiny.run(tmp_path / "run", model=model)
    assert result.best_elbo == pytest.approx(validation_elbo(model), abs=1e-6)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_training_improves_the_bound(tmp_path: Path) -> None:
    result = tiny.run(tmp_path / "run", steps=60, validate_every=20)
    assert result.best_elbo is not None
    assert result.best_elbo > validation_elbo(tiny.make_model(tiny.make_series())) + 0.3


def test_history_has_a_row_for_each_few_steps_and_each_validation(run: Path) -> None:
    history = pd.read_csv(run / "history.csv")
    assert history.query("split == 'train'")["step"].tolist() == [3, 4, 6, 8, 9, 12, 14]
    assert history.query("split == 'validation'")["step"].tolist() == [4, 8, 12, 14]
    parts = history["log_likelihood"] - history["kl_initial"] - history["kl_path"]
    np.testing.assert_allclose(history["elbo"], parts, rtol=1e-12)
    assert history["seconds"].is_monotonic_increasing
    training_curves(history)


def test_the_loss_is_that_of_a_plain_loop(tmp_path: Path) -> None:
    tiny.run(tmp_path / "run", log_every=1)
    series = tiny.make_series()
    model, config = tiny.make_model(series), TrainingConfig(**tiny.SETTINGS)
    schedule = Schedule(config, len(series))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.0)
    losses = []
    for step in range(config.steps):
        batch = collate(series, schedule.batch(step), model.scaler)
        bound = model.elbo(batch, seed=schedule.noise_seed(step))
        loss = -bound.value(schedule.kl_weight(step)).mean() / (series.n_observed / len(series))
        optimizer.param_groups[0]["lr"] = schedule.learning_rate(step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        losses.append(float(loss.detach()))
    logged = [float(row["loss"]) for row in tiny.history(tmp_path / "run") if row["split"] == "train"]
    np.testing.assert_allclose(logged, losses, rtol=1e-4)


def test_the_same_run_twice_is_the_same_with_and_without_progress_and_logs(run: Path, tmp_path: Path) -> None:
    tiny.run(tmp_path / "again", progress=True, tensorboard=False)
    assert tiny.same_run(run, tmp_path / "again")


def test_another_seed_is_another_run(run: Path, tmp_path: Path) -> None:
    tiny.run(tmp_path / "other", seed=1)
    assert (run / "model.safetensors").read_bytes() != (tmp_path / "other" / "model.safetensors").read_bytes()


def test_global_generators_and_environment_stay_as_they_were(tmp_path: Path) -> None:
    def everything() -> tuple[Any, ...]:
        numpy_state = np.random.get_state(legacy=False)["state"]["key"].tobytes()  # type: ignore[call-overload]
        return torch.get_rng_state().tolist(), random.getstate(), numpy_state, dict(os.environ)

    before = everything()
    tiny.run(tmp_path / "run")
    assert everything() == before


def test_without_validation_the_last_weights_are_the_result(tmp_path: Path) -> None:
    model = tiny.make_model(tiny.make_series())
    result = tiny.run(tmp_path / "run", model=model, validate=False)
    assert (result.best_step, result.steps, result.best_elbo) == (14, 14, None)
    assert not (tmp_path / "run" / "checkpoints" / "best.ckpt").exists()
    last = tiny.checkpoint(tmp_path / "run")["model"]
    assert all(torch.equal(last[name], tensor) for name, tensor in model.state_dict().items())


def test_patience_stops_a_run_that_does_not_improve(tmp_path: Path) -> None:
    result = tiny.run(
        tmp_path / "run", steps=200, validate_every=1, patience=2, learning_rate=2.0, warmup_steps=0, clip=0.0
    )
    assert result.steps == result.best_step + 2 < 200
    _, config = load_run(tmp_path / "run")
    assert config["training"]["steps_done"] == result.steps


def test_series_that_the_model_does_not_know_are_refused(tmp_path: Path) -> None:
    series = tiny.make_series()
    frame = series.to_frame().rename(columns={"y": "z"})
    other = type(series).from_frame(frame, id="id", time="t")
    model = tiny.make_model(series)
    with pytest.raises(InputError, match="validation series have the features x, z, the model has x, y"):
        fit(model, series, validation=other, out=tmp_path / "run", config=TrainingConfig(steps=1))
    nothing = series.with_values(np.full_like(series.values, np.nan))
    with pytest.raises(InputError, match="training series hold no observed value"):
        fit(model, nothing, out=tmp_path / "run", config=TrainingConfig(steps=1))
    assert not (tmp_path / "run").exists()
