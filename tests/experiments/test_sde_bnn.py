"""The experiments of SDE Bayesian networks run on tiny plans, print their tables and draw their figures."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from experiments import (
    sde_bnn_corruption,
    sde_bnn_dial,
    sde_bnn_gradient_variance,
    sde_bnn_images,
    sde_bnn_memory,
    sde_bnn_toy,
)
from experiments.seeds import Experiment, run
from latentsde.data.images import LabelledImages

ROOT = Path(__file__).resolve().parents[2]
TINY: dict[str, tuple[Any, Any, str]] = {
    "sde_bnn_toy": (
        sde_bnn_toy,
        sde_bnn_toy.Plan(iterations=2, hidden=3, samples=2, steps=3, drawn=20),
        "90 % band",
    ),
    "sde_bnn_gradient_variance": (
        sde_bnn_gradient_variance,
        sde_bnn_gradient_variance.Plan(at=(1, 2), paths=4),
        "plain / sticking",
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_each_runs_and_prints_its_table(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, plan, heading = TINY[name]
    run(Experiment(name, plan, module.one, module.table, module.draw), [0], tmp_path, None)
    assert heading in capsys.readouterr().out
    assert (tmp_path / f"{name}.png").stat().st_size > 5000
    assert json.loads((tmp_path / f"{name}.json").read_text())["seeds"]["0"]


def test_the_toy_has_no_points_between_and_beside_its_clusters() -> None:
    x, y = sde_bnn_toy.points(200, 0.1, 0)
    low, high = sde_bnn_toy.CLUSTERS
    inside = ((x >= low[0]) & (x <= low[1])) | ((x >= high[0]) & (x <= high[1]))
    assert inside.all() and ((x < 0).sum(), (x > 0).sum()) == (100, 100)
    assert (y - sde_bnn_toy.curve(x)).std() == pytest.approx(0.1, rel=0.2)


def images(count: int) -> LabelledImages:
    generator = np.random.default_rng(count)
    pixels = generator.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    return LabelledImages(
        torch.from_numpy(pixels), torch.arange(count) % 10, tuple("0123456789"), "not digits"
    )


def test_images_are_compared_in_one_table_over_several_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sde_bnn_images, "read_images", lambda name, root: (images(60), images(30)))
    tiny = ["--data", "mnist", "--root", str(tmp_path), "--steps", "2", "--width", "2", "--depth-steps", "2"]
    page = tmp_path / "docs" / "results" / "page.md"
    for models in (["sde-bnn"], ["odenet", "resnet32"]):
        given = [*tiny, "--models", *models, "--out", str(tmp_path / "out"), "--page", str(page)]
        monkeypatch.setattr(sys, "argv", ["sde_bnn_images", *given])
        sde_bnn_images.main()
    text = capsys.readouterr().out.split("MNIST")[-1]
    rows = [line for line in text.splitlines() if line.startswith("| ") and "published" not in line]
    assert [row.split(" | ")[0] for row in rows] == ["| sde-bnn", "| odenet", "| resnet32"]
    assert all(" | 2 | 2.0 | " in row and row.endswith(", float32 |") for row in rows)
    assert "(not digits)" in text and "99.46 / 2.88" in rows[2]
    assert (tmp_path / "docs" / "figures" / "sde_bnn_mnist.png").exists()
    results = json.loads((tmp_path / "docs" / "results" / "sde_bnn_mnist.json").read_text())["results"]
    assert {row["model"] for row in results} == {"sde-bnn", "odenet", "resnet32"}
    assert all(0.0 <= row["scores"]["accuracy"] <= 1.0 and len(row["curve"]) >= 1 for row in results)

    with pytest.raises(SystemExit) as refused:
        monkeypatch.setattr(sys, "argv", ["sde_bnn_images", *given, "--validations", "0"])
        sde_bnn_images.main()
    assert refused.value.code == 2 and "--validations must be" in capsys.readouterr().err

    # A finished run scored again, here on another machine, was still trained where it was trained.
    monkeypatch.setattr(sde_bnn_images, "circumstances", lambda: {"machine": {"cpu": "another"}})
    monkeypatch.setattr(sys, "argv", ["sde_bnn_images", *given])
    sde_bnn_images.main()
    again = json.loads((tmp_path / "docs" / "results" / "sde_bnn_mnist.json").read_text())["results"]
    assert all(len(row["sessions"]) == 1 for row in results)
    assert [row["sessions"] for row in again] == [row["sessions"] for row in results]

    # What was trained is asked further questions: of its dials, and of images unlike those of training.
    for module in (sde_bnn_dial, sde_bnn_corruption):
        monkeypatch.setattr(module, "read_test_images", lambda name, root: images(30))
    monkeypatch.setattr(sde_bnn_dial, "TOLERANCES", (0.5,))
    monkeypatch.setattr(sde_bnn_dial, "STEPS", (1, 2))
    runs, common = tmp_path / "out" / "runs", ["--root", str(tmp_path), "--out", str(tmp_path / "more")]
    monkeypatch.setattr(sys, "argv", ["sde_bnn_dial", "--run", str(runs / "sde-bnn"), *common])
    sde_bnn_dial.main()
    dials = json.loads((tmp_path / "more" / "sde_bnn_dial.json").read_text())
    assert [row["samples"] for row in dials["samples"]] == list(sde_bnn_dial.SAMPLES)
    monkeypatch.setattr(sys, "argv", ["sde_bnn_corruption", "--runs", str(runs), *common])
    sde_bnn_corruption.main()
    found = json.loads((tmp_path / "more" / "sde_bnn_corruption_mnist.json").read_text())["models"]
    assert set(found) == {"sde-bnn", "odenet", "resnet32"}
    for scores in found.values():
        assert [row["severity"] for row in scores["rotated"]] == [0, 15, 30, 45, 60, 90]
        assert len({row["nll"] for row in scores["rotated"]}) == 6


class Interrupt(pl.Callback):
    def on_train_batch_end(self, *arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt


def test_every_session_of_a_training_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sde_bnn_images, "read_images", lambda name, root: (images(60), images(30)))
    plan = sde_bnn_images.Plan(data="mnist", width=2, depth_steps=2)
    fit, machines = sde_bnn_images.fit_classifier, iter("ab")
    monkeypatch.setattr(
        sde_bnn_images, "circumstances", lambda: {"date": "2026-01-01", "machine": {"cpu": next(machines)}}
    )
    asked = (plan, "odenet", 2, 1, "float32", tmp_path, tmp_path)
    interrupted = functools.partial(fit, callbacks=[Interrupt()])
    monkeypatch.setattr(sde_bnn_images, "fit_classifier", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sde_bnn_images.one(*asked)
    monkeypatch.setattr(sde_bnn_images, "fit_classifier", fit)
    row = sde_bnn_images.one(*asked)
    assert sde_bnn_images.processors(row) == ["a", "b"]
    assert any("| a and b, float32 |" in line for line in sde_bnn_images.table(plan, [row]))


@pytest.mark.parametrize("module", [sde_bnn_dial, sde_bnn_corruption, sde_bnn_images])
def test_bad_input_is_one_sentence_and_code_2(module: Any, tmp_path: Path) -> None:
    runs = {sde_bnn_dial: ["--run", "none"], sde_bnn_corruption: ["--runs", "none"]}
    options = [*runs.get(module, ["--data", "mnist"]), "--root", "nowhere", "--out", str(tmp_path)]
    command = [sys.executable, "-m", module.__name__, *options]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: no") and ended.stderr.count("\n") == 1, ended.stderr


def test_memory_is_measured_of_every_gradient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sde_bnn_memory, "STEPS", (2, 4))
    monkeypatch.setattr(sys, "argv", ["sde_bnn_memory", "--batch", "2", "--out", str(tmp_path)])
    sde_bnn_memory.main()
    found = json.loads((tmp_path / "sde_bnn_memory.json").read_text())["megabytes"]
    assert set(found) == {"direct", "checkpointed", "backsolve", "reversible"}
    assert found["direct"][1] > found["direct"][0] > 0.0
