"""Two processes train as one: the same batches, noise and losses; and one's error is everybody's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch.multiprocessing import ProcessRaisedException

from latentsde.errors import InputError, TrainingDiverged
from latentsde.training.launch import run

from . import tiny, tiny_images

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
# A batch of all nine series: one process gets five of them, the other four.
SETTINGS = {"batch_size": 64, "log_every": 1}


def launch(
    out: Path, *launcher: str, script: str = "tests.training.tiny", **settings: Any
) -> subprocess.CompletedProcess[str]:
    arguments = [*launcher, script, str(out), json.dumps(settings)]
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def numbers(out: Path) -> np.ndarray:
    names = ("loss", "elbo", "log_likelihood", "kl_initial", "kl_path")
    return np.array([[float(row[name] or "nan") for name in names] for row in tiny.history(out)])


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [(), TORCHRUN], ids=["spawn", "torchrun"])
def test_two_processes_have_the_losses_of_one(tmp_path: Path, launcher: tuple[str, ...]) -> None:
    tiny.run(tmp_path / "one", **SETTINGS)
    finished = launch(tmp_path / "two", *launcher, **SETTINGS, processes=2)
    assert finished.returncode == 0, finished.stderr
    one, two = numbers(tmp_path / "one"), numbers(tmp_path / "two")
    difference = np.nanmax(np.abs(one - two))
    print(f"largest difference of the losses and their parts: {difference:.1e}")
    assert difference < 1e-5
    assert [row["step"] for row in tiny.history(tmp_path / "one")] == [
        row["step"] for row in tiny.history(tmp_path / "two")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "launcher"), [("sde-bnn", ()), ("mean-field-odenet", ()), ("sde-bnn", TORCHRUN)]
)
def test_two_processes_train_a_classifier_as_one(
    tmp_path: Path, model: str, launcher: tuple[str, ...]
) -> None:
    tiny_images.trained(tmp_path / "one", replace(tiny_images.MODEL, model=model))
    script = "tests.training.tiny_images"
    finished = launch(tmp_path / "two", *launcher, script=script, model=model, processes=2)
    assert finished.returncode == 0, finished.stderr
    one, two = (
        np.array(
            [
                [float(row[name] or "nan") for name in ("loss", "nll", "accuracy", "kl")]
                for row in tiny.history(tmp_path / run)
            ]
        )
        for run in ("one", "two")
    )
    assert len(one) == len(two) > 6
    assert np.nanmax(np.abs(one - two)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_process_and_the_run_can_be_resumed(
    tmp_path: Path, processes: int, number: signal.Signals
) -> None:
    out = tmp_path / "run"
    settings = {"steps": 100_000, "patience": 0, "processes": processes, "progress": True}
    command = [sys.executable, "-m", "tests.training.tiny", str(out), json.dumps(SETTINGS | settings)]
    # The pipe stays open until the last process that has inherited it is gone.
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, restore_signals=True) as process:
        assert process.stderr is not None
        while b"best at" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(number)
        process.stderr.read()
        assert process.wait() in (-number, 128 + number)
    state = tiny.checkpoint(out)["state"]
    steps = tiny.history(out)[-1]["step"]
    assert 0 < state["step"] <= int(steps) <= state["step"] + 4
    (out / "config.json").write_text(
        (out / "config.json").read_text().replace("100000", str(state["step"] + 3))
    )
    assert (
        tiny.run(out, steps=state["step"] + 3, patience=0, resume=True, **SETTINGS).steps == state["step"] + 3
    )


@pytest.mark.parametrize("kind", [TrainingDiverged, InputError, ZeroDivisionError])
def test_an_error_of_a_spawned_process_arrives_as_what_it_was(kind: type[Exception]) -> None:
    name = f"latentsde.errors.{kind.__name__}" if kind is not ZeroDivisionError else kind.__name__
    text = (
        f"-- Process 1 terminated:\nTraceback (most recent call last):\n  File ...\n{name}: what was wrong\n"
    )

    class Trainer:
        strategy = SimpleNamespace(launcher=None)

        def fit(self, module: object) -> None:
            raise ProcessRaisedException(text, 1, 0)

    # Of what is no sentence for a user the whole traceback is shown.
    expected = ProcessRaisedException if kind is ZeroDivisionError else kind
    with pytest.raises(expected, match="what was wrong"):
        run(Trainer(), None)  # type: ignore[arg-type]


@pytest.mark.slow
def test_divergence_in_a_process_is_reported_in_one_sentence(tmp_path: Path) -> None:
    finished = launch(tmp_path / "run", **SETTINGS, processes=2, learning_rate=1e30, clip=0.0)
    assert finished.returncode == 1
    last = finished.stderr.strip().splitlines()[-1]
    assert last.startswith("latentsde.errors.TrainingDiverged: training diverged at step")
    assert "last.ckpt" in last
    assert not (tmp_path / "run" / "model.safetensors").exists()
