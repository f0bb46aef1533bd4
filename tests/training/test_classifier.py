"""Training classifiers of images: every model, killed and resumed, bad input, what is shown in training."""

from __future__ import annotations

import csv
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


def training_of(config: ClassifierTrainingConfig = CONFIG, **options: Any) -> ClassifierTraining:
    """Of a network whose average and whose drift of the weights are not what they were at the start."""
    model = Averaged(build(replace(MODEL, **options)))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return ClassifierTraining(model, images(20), images(10, 1), config, TrainingState(), None, "last")


@pytest.mark.parametrize("name", ["sde-bnn", "mean-field-odenet"])
@pytest.mark.parametrize("own", [[3, 4, 8], list(range(12))])
def test_it_is_trained_on_the_bound(name: str, own: list[int]) -> None:
    training = training_of(replace(CONFIG, tempering=0.5), model=name)
    loss, sums = training.loss(0, np.array(own), len(own))
    log_likelihood, _, kl, examples = sums.tolist()
    assert examples == len(own) and kl > 0.1
    # Of an image: KL / N with N all 20 training images, whatever the batch.
    assert loss.item() == pytest.approx((-log_likelihood + 0.5 * kl / 20) / len(own), rel=1e-5)


def test_a_share_of_a_batch_counts_by_its_images() -> None:
    whole, part = (training_of().loss(0, np.arange(4), count)[0] for count in (4, 16))
    assert part.item() == pytest.approx(whole.item() / 4, rel=1e-6)


def test_the_average_is_validated_by_its_mean_probabilities() -> None:
    training = training_of()
    training.model.eval()
    held_out = images(10, 1)
    sums = training.judged(np.arange(10))
    with torch.no_grad():
        seed = training.schedule.validation_seed
        logits = training.model.average(held_out.images, seed=seed, samples=2).output
        others = training.model.network(held_out.images, seed=seed, samples=2).output
    assert not torch.allclose(logits, others, rtol=0.1)
    log_likely = logits.softmax(-1).mean(0).log()
    expected = log_likely.gather(1, held_out.labels[:, None]).sum()
    assert float(sums[0]) == pytest.approx(float(expected), rel=1e-5)
    assert int(sums[1]) == int((log_likely.argmax(1) == held_out.labels).sum()) and int(sums[3]) == 10


def test_the_weights_of_the_best_validation_are_kept(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=12, validate_every=1, learning_rate=0.05, average=0.0, warmup_steps=0)
    result = trained(tmp_path / "run", config=config)
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").open()))
    judged = {int(row["step"]): float(row["nll"]) for row in rows if row["split"] == "validation"}
    best = min(judged, key=judged.__getitem__)
    assert best not in (1, 12)  # or any rule would do
    assert result.best_step == best
    # And the weights are those that were judged so.
    model = Averaged(result.network).eval()
    training = ClassifierTraining(model, images(20), images(10, 1), config, TrainingState(), None, "last")
    sums = training.judged(np.arange(10))
    assert -float(sums[0] / sums[3]) == pytest.approx(judged[best], rel=1e-6)


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
    # The seed says which images are held out as well; what was changed is named, not what follows.
    with pytest.raises(InputError, match=r"training\.seed is '0', now '5'"):
        other = replace(CONFIG, seed=5)
        trained(tmp_path / "run", replace(MODEL, mean=(0.4,)), config=other, resume=True)
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
        ({"dropout": 1.0}, "dropout must be below 1"),
        ({"dropout": float("nan")}, "dropout must be a finite number"),
        ({"sigma": float("nan")}, "sigma must be a finite number above 0"),
        ({"blocks": ()}, "blocks must be whole numbers"),
        ({"blocks": (1.5,)}, "blocks must be a whole number of at least 1, got '1.5'"),
        ({"blocks": (900, 101)}, "blocks are 1,001, more than 1,000"),
        ({"width": 0}, "width must be a whole number of at least 1, got '0'"),
        ({"rank": "x"}, "rank must be a whole number"),
        ({"sticking_the_landing": "no"}, "sticking_the_landing must be True or False"),
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
    with pytest.raises(InputError, match="trained with equal steps"):
        trained(tmp_path / "run", replace(MODEL, depth=Depth(method="heun", tolerance=0.1)))
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
