"""A run that was interrupted and resumed is the run that was not: weights, history, checkpoints, outcome."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from latentsde.errors import InputError
from latentsde.training import TrainingConfig, fit

from . import tiny

ROOT = Path(__file__).resolve().parents[2]


class Interruption(Exception):
    """What a test ends a training with."""


class Interrupt(pl.Callback):
    """Ends training after a step, or inside the first validation after it."""

    def __init__(self, step: int, *, in_validation: bool = False) -> None:
        self.step, self.in_validation = step, in_validation

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        if not self.in_validation and pl_module.state.step == self.step:
            raise Interruption

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        if self.in_validation and pl_module.state.step >= self.step:
            raise Interruption


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    tiny.run(out)
    return out


def stamps(out: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in out.rglob("*")}


def interrupted(out: Path, *steps: int, in_validation: bool = False, **arguments: Any) -> None:
    for index, step in enumerate(steps):
        callback = Interrupt(step, in_validation=in_validation)
        with pytest.raises(Interruption):
            tiny.run(out, callbacks=[callback], resume=index > 0, **arguments)


@pytest.mark.parametrize("steps", [(2,), (4,), (6, 7, 13)])
@pytest.mark.parametrize("in_validation", [False, True])
def test_an_interrupted_run_ends_as_the_undisturbed_one(
    undisturbed: Path, tmp_path: Path, steps: tuple[int, ...], in_validation: bool
) -> None:
    interrupted(tmp_path / "run", *steps, in_validation=in_validation)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    tiny.run(tmp_path / "run", resume=True)
    assert tiny.same_run(undisturbed, tmp_path / "run")


def test_early_stopping_remembers(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"steps": 200, "validate_every": 2, "patience": 4, "learning_rate": 0.5}
    result = tiny.run(tmp_path / "undisturbed", **settings)
    assert 8 < result.steps < 200
    interrupted(tmp_path / "run", result.best_step + 1, result.steps - 1, **settings)
    tiny.run(tmp_path / "run", resume=True, **settings)
    assert tiny.same_run(tmp_path / "undisturbed", tmp_path / "run")


def test_resume_without_validation_series(tmp_path: Path) -> None:
    tiny.run(tmp_path / "undisturbed", validate=False)
    interrupted(tmp_path / "run", 6, validate=False)
    tiny.run(tmp_path / "run", validate=False, resume=True)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("undisturbed", "run")]
    assert weights[0] == weights[1]
    assert tiny.history(tmp_path / "undisturbed") == tiny.history(tmp_path / "run")


def test_resume_of_nothing_begins_a_run(undisturbed: Path, tmp_path: Path) -> None:
    tiny.run(tmp_path / "run", resume=True)
    assert tiny.same_run(undisturbed, tmp_path / "run")


def test_resume_between_the_configuration_and_the_first_checkpoint(undisturbed: Path, tmp_path: Path) -> None:
    interrupted(tmp_path / "run", 1)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").unlink()
    (tmp_path / "run" / "history.csv").unlink()
    tiny.run(tmp_path / "run", resume=True)
    assert tiny.same_run(undisturbed, tmp_path / "run")


def test_resume_between_the_last_step_and_the_saved_weights(undisturbed: Path, tmp_path: Path) -> None:
    tiny.run(tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").unlink()
    tiny.run(tmp_path / "run", resume=True)
    assert tiny.same_run(undisturbed, tmp_path / "run")


def test_resume_of_a_finished_run_writes_nothing(tmp_path: Path) -> None:
    result = tiny.run(tmp_path / "run")
    before = stamps(tmp_path / "run")
    model = tiny.make_model(tiny.make_series())
    again = tiny.run(tmp_path / "run", resume=True, model=model)
    assert stamps(tmp_path / "run") == before
    assert replace(again, seconds=0.0) == replace(result, seconds=0.0)
    best = tiny.checkpoint(tmp_path / "run", "best")["model"]
    assert all(torch.equal(best[name], tensor) for name, tensor in model.state_dict().items())


def test_a_second_run_in_the_directory_is_refused_and_overwrite_replaces_it(
    undisturbed: Path, tmp_path: Path
) -> None:
    tiny.run(tmp_path / "run", seed=1)
    with pytest.raises(InputError, match="holds a run"):
        tiny.run(tmp_path / "run")
    tiny.run(tmp_path / "run", overwrite=True)
    assert tiny.same_run(undisturbed, tmp_path / "run")


def test_resume_with_another_configuration_names_the_first_difference(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", 5)
    for change in ({"learning_rate": 0.02}, {"steps": 20}):
        (option,) = change
        with pytest.raises(InputError, match=rf"config\.json .*training\.{option} .*--overwrite"):
            tiny.run(tmp_path / "run", resume=True, **change)


def test_resume_with_other_data_or_another_model_is_refused(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", 5)
    config, series = TrainingConfig(**tiny.SETTINGS), tiny.make_series()
    model = tiny.make_model(series)
    changed = series.with_values(series.values + 1.0)
    with pytest.raises(InputError, match=r"training\.series_sha256"):
        fit(model, changed, validation=series, out=tmp_path / "run", config=config, resume=True)
    with pytest.raises(InputError, match=r"training\.validation_series is '5', now '0'"):
        fit(model, series, out=tmp_path / "run", config=config, resume=True)
    with pytest.raises(InputError, match=r"scaler\.mean"):
        fit(tiny.make_model(changed), series, out=tmp_path / "run", config=config, resume=True)


@pytest.mark.parametrize("damage", ["cut", "empty", "flip", "text", "other"])
def test_a_damaged_checkpoint_is_named_with_the_remedy(tmp_path: Path, damage: str) -> None:
    interrupted(tmp_path / "run", 6)
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        # In the middle of a tensor's numbers.
        weights = tiny.checkpoint(tmp_path / "run")["model"]["encoder.gru.weight_hh_l0"].numpy().tobytes()
        content[content.index(weights) + 10] ^= 0xFF
    changed = {"cut": content[:-100], "empty": b"", "flip": content, "text": b"hello", "other": b"\x80\x02N."}
    path.write_bytes(changed[damage])
    with pytest.raises(InputError, match=r"last\.ckpt is damaged .*--overwrite") as error:
        tiny.run(tmp_path / "run", resume=True)
    assert "\n" not in str(error.value)


def test_a_checkpoint_executes_nothing(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", 6)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_bytes(b"cos\nsystem\n(S'touch executed'\ntR.")
    with pytest.raises(InputError, match="damaged"):
        tiny.run(tmp_path / "run", resume=True)
    assert not Path("executed").exists()


@pytest.mark.parametrize("content", [None, "", "step,loss\n1,2\n", "\0\x01"])
def test_a_damaged_history_is_named_with_the_remedy(tmp_path: Path, content: str | None) -> None:
    interrupted(tmp_path / "run", 6)
    path = tmp_path / "run" / "history.csv"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InputError, match=r"history\.csv is .*--overwrite"):
        tiny.run(tmp_path / "run", resume=True)


@pytest.mark.slow
def test_killed_three_times_at_random_moments_the_weights_are_the_same_to_the_bit(tmp_path: Path) -> None:
    settings = {"steps": 240, "validate_every": 11, "log_every": 4, "patience": 0, "tensorboard": True}

    def start(out: Path, **more: Any) -> subprocess.Popen[bytes]:
        arguments = [str(out), json.dumps(settings | more)]
        command = [sys.executable, "-m", "tests.training.tiny", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})

    assert start(tmp_path / "undisturbed").wait() == 0
    seconds = json.loads((tmp_path / "undisturbed" / "config.json").read_text())["training"]["seconds"]
    delays, out = random.Random(), tmp_path / "run"
    kills = []
    for attempt in range(3):
        process = start(out, resume=attempt > 0)
        marker = out / "config.json"
        began = marker.stat().st_mtime_ns if marker.exists() else 0
        while not marker.exists() or marker.stat().st_mtime_ns == began:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(delays.uniform(0.0, 0.3 * seconds))
        process.kill()
        process.wait()
        kills.append(
            tiny.checkpoint(out)["state"]["step"] if any(out.glob("checkpoints/last.ckpt")) else None
        )
    print(f"killed after {kills} steps' checkpoints of {settings['steps']}")
    assert not (out / "model.safetensors").exists()
    assert start(out, resume=True).wait() == 0
    assert tiny.same_run(tmp_path / "undisturbed", out)
