"""Training classifiers of images: every model, killed and resumed, bad input, what is shown in training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor

from latentsde.errors import InputError, TrainingDiverged
from latentsde.models.classifiers import NAMES, Averaged, ClassifierConfig, build, load_classifier
from latentsde.models.sde_bnn import Depth
from latentsde.training import ClassifierTrainingConfig
from latentsde.training.classifier import ClassifierTraining
from latentsde.training.state import TrainingState

from .tiny_images import CONFIG, MODEL, images, trained


@pytest.mark.parametrize("name", NAMES)
def test_every_model_trains_is_saved_and_predicts_the_same(name: str, tmp_path: Path) -> None:
    result = trained(tmp_path / "run", replace(MODEL, model=name))
    assert result.steps == 6
    network, config, content = load_classifier(tmp_path / "run")
    assert config.model == name and content["training"]["finished"]
    shown = images(4).images
    with torch.no_grad():
        ours, theirs = (net(shown, seed=1, samples=2).output for net in (result.network, network))
    assert torch.equal(ours, theirs)


def test_it_learns(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=60, learning_rate=0.02, average=0.9, validate_every=60)
    trained(tmp_path / "run", config=config)
    network, *_ = load_classifier(tmp_path / "run")
    fresh = images(50, 2)
    with torch.no_grad():
        found = network(fresh.images, seed=0, samples=4).output.softmax(-1).mean(0).argmax(-1)
    assert (found == fresh.labels).double().mean() > 0.9


class Killed(pl.Callback):
    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
        if module.state.step == 3:
            raise KeyboardInterrupt


def test_a_run_that_was_killed_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", callbacks=[Killed()])
    resumed = trained(tmp_path / "killed", resume=True)
    for ours, theirs in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    again = trained(tmp_path / "killed", resume=True)
    assert again.steps == resumed.steps and again.seconds == pytest.approx(resumed.seconds, abs=1e-3)


def test_a_run_of_another_model_or_other_images_is_not_resumed(tmp_path: Path) -> None:
    trained(tmp_path / "run")
    with pytest.raises(InputError, match=r"classifier\.width is '3', now '4'"):
        trained(tmp_path / "run", replace(MODEL, width=4), resume=True)
    with pytest.raises(InputError, match=r"training\.validation_sha256"):
        trained(tmp_path / "run", validation=images(10, 7), resume=True)
    with pytest.raises(InputError, match="holds a run"):
        trained(tmp_path / "run")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (replace(MODEL, image=(1, 9, 8)), r"images are \(1, 8, 8\), the model takes \(1, 9, 8\)"),
        (
            replace(MODEL, classes=("dark", "light")),
            "images have classes dark, bright, the model dark, light",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused(model: ClassifierConfig, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        trained(tmp_path / "run", model)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "cnn"}, "unknown model 'cnn'; choose from sde-bnn, "),
        ({"image": (1, 4, 8)}, r"\(1, 4, 8\) cannot be classified here"),
        ({"classes": ("one",)}, "two classes or more, got 1"),
        ({"mean": (0.1, 0.2)}, "for each of the 1 channels"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1"),
        ({"sigma": float("nan")}, "sigma must be a positive number"),
        ({"blocks": ()}, "blocks must be whole numbers"),
        ({"width": 0}, "width must be at least 1, got 0"),
    ],
)
def test_a_configuration_out_of_range_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(MODEL, **change)


def shown(config: ClassifierTrainingConfig, seed: int, which: list[int]) -> Tensor:
    training = ClassifierTraining(
        Averaged(build(MODEL)), images(20), None, config, TrainingState(), None, "last"
    )
    return training._shown(np.array(which), seed)


def test_training_images_are_windows_of_framed_ones_by_seed_and_image() -> None:
    config = replace(CONFIG, crop=2, flip=True)
    some, all_of_them = shown(config, 3, [4, 9]), shown(config, 3, list(range(20)))
    assert torch.equal(some, all_of_them[[4, 9]])
    assert not torch.equal(all_of_them, shown(config, 4, list(range(20))))
    framed = torch.nn.functional.pad(images(20).images, (2, 2, 2, 2))
    places = set()
    for k in range(20):
        windows = framed[k].unfold(1, 8, 1).unfold(2, 8, 1)[0]  # (5, 5, 8, 8)
        for mirrored, one in ((False, windows), (True, windows.flip(-1))):
            hits = (one == all_of_them[k, 0]).all(-1).all(-1).nonzero()
            places |= {(mirrored, *map(int, hit)) for hit in hits}
    assert len(places) > 12 and {place[0] for place in places} == {True, False}
    assert torch.equal(shown(replace(CONFIG, crop=0, flip=False), 3, [4, 9]), images(20).images[[4, 9]])


def test_numbers_that_are_not_finite_end_the_training_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"training diverged at step .*last\.ckpt"):
        trained(tmp_path / "run", config=replace(CONFIG, learning_rate=1e20, warmup_steps=0))


def test_what_cannot_be_trained_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    reversible = replace(MODEL, depth=Depth(2, "reversible_heun", "reversible"))
    with pytest.raises(InputError, match="take 'float32', or adjoint 'direct'"):
        trained(tmp_path / "run", reversible, config=replace(CONFIG, precision="bfloat16"))
    with pytest.raises(InputError, match="'dopri5' is not for weights with noise"):
        trained(tmp_path / "run", replace(MODEL, depth=Depth(2, "dopri5")))
    assert not (tmp_path / "run").exists()


def test_bfloat16_trains_in_the_direction_of_float32(tmp_path: Path) -> None:
    changes = []
    start = torch.cat([p.detach().flatten() for p in build(MODEL, seed=CONFIG.seed).parameters()])
    for precision in ("float32", "bfloat16"):
        # Adam's first step is the gradient's sign, of which the tiniest gradients make the largest noise.
        steps = {"steps": 20, "warmup_steps": 0, "validate_every": 20}
        trained(tmp_path / precision, config=replace(CONFIG, precision=precision, average=0.0, **steps))
        network, *_ = load_classifier(tmp_path / precision)
        changes.append(torch.cat([p.detach().flatten() for p in network.parameters()]) - start)
    assert not torch.equal(*changes)
    assert torch.cosine_similarity(*changes, dim=0) > 0.9
