"""`latentsde bnn`: train, resume, evaluate, on CIFAR-10 in miniature; bad input is one line and code 2."""

from __future__ import annotations

import functools
import gzip
import importlib
import inspect
import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from latentsde import memory
from latentsde.cli.bnn import train
from latentsde.data.images.cifar10 import read_parts
from latentsde.data.images.reading import READERS
from latentsde.models.classifiers import ClassifierConfig
from latentsde.models.sde_bnn import Depth
from latentsde.training import ClassifierTrainingConfig

from .commands import latentsde, refused

FEW = ("--steps", 4, "--batch-size", 8)
SMALL = ("--width", 2, "--augment", 0, "--blocks", "1", "--depth-steps", 2, *FEW)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the binary version of CIFAR-10, its images noise."""
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for name in (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"):
        records = generator.integers(0, 256, (20, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(20) % 10
        (folder / name).write_bytes(records.tobytes())
    return folder


@pytest.fixture(autouse=True)
def _few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READERS, "cifar10", functools.partial(read_parts, batch=20))


def test_train_resume_and_evaluate(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ("bnn", "train", "--data", "cifar10", "--root", root, "--out", run, *SMALL)
    ending = latentsde(*command)
    assert ending.code == 0, ending
    weights = (run / "model.safetensors").read_bytes()
    assert "holds a run" in refused(latentsde(*command))
    assert latentsde(*command, "--resume").code == 0
    assert (run / "model.safetensors").read_bytes() == weights

    ending = latentsde("bnn", "evaluate", run, "--root", root, "--samples", 3)
    assert ending.code == 0 and "accuracy" in ending.out, ending
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"]["count"] == 20 and metrics["dial"]["samples"] == 3
    assert 0.0 <= metrics["test"]["ece"] <= 1.0
    # MNIST is not beside it: said, not made up.
    assert metrics["ood_auc"] is None and "mnist" in metrics["ood_note"].lower()
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == 2 + (run / "figures" / "learning.png").exists()
    assert "sde-bnn" in page

    ending = latentsde("bnn", "evaluate", run, "--root", root, "--samples", 2, "--tolerance", 0.5)
    assert ending.code == 0
    assert json.loads((run / "metrics.json").read_text())["dial"]["samples"] == 2
    assert "'tpu'" in refused(latentsde("bnn", "evaluate", run, "--root", root, "--device", "tpu"))


@pytest.mark.parametrize(
    "options",
    [
        (*SMALL, "--rank", 1, "--unit", 0.5, "--initial", "normal", "--samples", 2, "--validation", 0),
        (*SMALL, "--reduce", 2, "--prior", "brownian", "--sigma", 0.2, "--hidden", "3-2", "--tempering", 0.5),
        (*SMALL, "--average", 0.5, "--crop", 1, "--precision", "bfloat16", "--method", "heun", "--seed", 3),
        (*SMALL, "--adjoint", "reversible", "--method", "reversible_heun", "--learning-rate", 0.01),
        (*SMALL, "--warmup-steps", 0, "--final-learning-rate", 1.0),
        ("--model", "deep-ensemble", "--members", 2, "--widths", "2-2-2", "--validation", 30),
        ("--model", "mc-dropout", "--dropout", 0.5, "--widths", "2-3-4"),
    ],
)
def test_what_an_option_asks_for_is_in_the_configuration(
    options: tuple[object, ...], root: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    ending = latentsde("bnn", "train", "--data", "cifar10", "--root", root, "--out", run, *FEW, *options)
    assert ending.code == 0, ending
    config = json.loads((run / "config.json").read_text())
    classifier, training = config["classifier"], config["training"]
    told = classifier | training | classifier["depth"] | {"steps": training["steps"]}
    told |= {"depth_steps": classifier["depth"]["steps"], "validation": training["validation_images"]}
    for name, value in zip(options[::2], options[1::2], strict=True):
        found = told[str(name).removeprefix("--").replace("-", "_")]
        assert "-".join(map(str, found)) == value if isinstance(found, list) else found == value, name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "svhn"), ("svhn", "mnist")),
        (("--model", "cnn"), ("'cnn'", "sde-bnn")),
        (("--root", "nowhere"), ("nowhere",)),
        (("--hidden", "2-x"), ("2-x", "2-64-2")),
        (("--prior", "wiener"), ("wiener", "brownian")),
        (("--method", "eulr"), ("eulr",)),
        (("--adjoint", "reversible"), ("reversible_heun",)),
        (("--precision", "float16"), ("float16", "bfloat16")),
        (("--average", "1.5"), ("average", "1.5")),
        (("--final-learning-rate", "1.5"), ("final_learning_rate", "1.5")),
        (("--sigma", "0"), ("--sigma",)),
        (("--initial", "uniform"), ("uniform", "normal")),
        (("--validation", "100"), ("100", "held out")),
        (("--widths", "16-32-64"), ("--widths", "sde-bnn", "leave it out")),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: tuple[str, ...], words: tuple[str, ...], root: Path, tmp_path: Path
) -> None:
    given = {"--data": "cifar10", "--root": str(root)} | dict([arguments])
    options = [part for pair in given.items() for part in pair]
    message = refused(latentsde("bnn", "train", *options, "--out", tmp_path / "run", *SMALL))
    assert all(word in message for word in words), message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--width", 4096),
        ("--hidden", "9999-9999"),
        ("--samples", 1000, "--width", 512),
        ("--model", "hyper-odenet", "--depth-steps", 9999, "--width", 256),
        ("--model", "mean-field-resnet32", "--samples", 1000, "--widths", "64-64-64"),
        ("--model", "deep-ensemble", "--members", 1000),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_any_is_made(
    options: tuple[object, ...], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: 2**30)

    def made(*_: object, **__: object) -> None:
        raise AssertionError("weights are made")

    monkeypatch.setattr(importlib.import_module("latentsde.training.fit_classifier"), "build", made)
    command = ("bnn", "train", "--data", "cifar10", "--root", root, "--out", tmp_path / "run", *options)
    message = refused(latentsde(*command))
    assert "GiB are free" in message and "parameters" in message and "smaller width" in message
    assert not (tmp_path / "run").exists()


def test_too_many_samples_for_evaluation_are_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    common = ("--data", "cifar10", "--root", root, "--out", run, "--model", "mean-field-resnet32")
    assert latentsde("bnn", "train", *common, *FEW, "--widths", "2-2-2").code == 0
    monkeypatch.setattr(memory, "free_bytes", lambda: 10**7)
    message = refused(latentsde("bnn", "evaluate", run, "--root", root, "--samples", 1000))
    assert "1,000 samples of" in message and "take fewer samples" in message
    assert not (run / "metrics.json").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda found: found[:-7], ("data_batch_3.bin", "whole records")),
        (lambda found: bytes([77]) + found[1:], ("data_batch_3.bin", "label 77", "0 to 9")),
        (lambda found: gzip.compress(found)[:-7], ("data_batch_3.bin", "damaged gzip")),
        (None, ("lacks data_batch_3.bin",)),
    ],
)
def test_damaged_and_missing_files_are_refused(
    damage: Callable[[bytes], bytes] | None, words: tuple[str, ...], root: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(root, damaged)
    file = damaged / "data_batch_3.bin"
    found = file.read_bytes()
    file.unlink()
    if damage is not None:
        file.write_bytes(damage(found))
    command = ("bnn", "train", "--data", "cifar10", "--root", damaged, "--out", tmp_path / "run", *SMALL)
    message = refused(latentsde(*command))
    assert all(word in message for word in words), message
    assert not (tmp_path / "run").exists()


def test_images_of_another_world_that_are_damaged_are_refused(
    trained_run: Path, root: Path, tmp_path: Path
) -> None:
    run, data = tmp_path / "run", tmp_path / "data"
    shutil.copytree(trained_run, run)
    shutil.copytree(root, data)
    (data / "mnist").mkdir()
    (data / "mnist" / "t10k-images-idx3-ubyte").write_bytes(b"")
    assert "lacks train-images" in refused(latentsde("bnn", "evaluate", run, "--root", data))
    assert not (run / "metrics.json").exists()


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("mc-dropout", ("--dropout", 1), ("dropout", "1")),
        ("odenet", ("--blocks", "9999"), ("9,999", "1,000")),
        ("odenet", ("--blocks", "1-1-1-1-1-1"), ("6 times", "32 by 32 are one pixel after 5")),
        ("resnet32", ("--widths", "16-32"), ("three widths",)),
        ("resnet32", ("--sigma", 0.1), ("--sigma", "resnet32")),
        ("odenet", ("--tempering", 0.1), ("--tempering", "odenet")),
        ("deep-ensemble", ("--samples", 3), ("--samples", "deep-ensemble")),
        ("hyper-odenet", ("--plain",), ("--plain", "hyper-odenet")),
        ("hyper-odenet", ("--unit", 0.1, "--sigma", 0.3), ("--sigma", "hyper-odenet")),
        ("mean-field-odenet", ("--adjoint", "checkpointed"), ("mean-field-odenet", "direct")),
    ],
)
def test_an_option_that_a_model_does_not_take_is_refused(
    model: str, options: tuple[object, ...], words: tuple[str, ...], root: Path, tmp_path: Path
) -> None:
    common = ("--data", "cifar10", "--root", root, "--out", tmp_path / "run", "--model", model)
    message = refused(latentsde("bnn", "train", *common, *FEW, *options))
    assert all(word in message for word in words), message
    assert not (tmp_path / "run").exists()


def test_what_is_no_run_of_a_classifier_is_refused(root: Path, tmp_path: Path) -> None:
    assert "bnn train" in refused(latentsde("bnn", "evaluate", tmp_path / "none", "--root", root))
    (tmp_path / "config.json").write_text("{}")
    assert "classifier" in refused(latentsde("bnn", "evaluate", tmp_path, "--root", root))


def test_an_ensemble_has_no_samples_to_choose(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    common = ("--data", "cifar10", "--root", root, "--out", run, "--model", "deep-ensemble")
    assert latentsde("bnn", "train", *common, *FEW, "--members", 2, "--widths", "2-2-2").code == 0
    assert "all 2 members" in refused(latentsde("bnn", "evaluate", run, "--root", root, "--samples", 3))
    assert latentsde("bnn", "evaluate", run, "--root", root).code == 0
    assert json.loads((run / "metrics.json").read_text())["how"]["samples"] == 2


def test_samples_of_weights_that_are_not_random_are_refused(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    common = ("--data", "cifar10", "--root", root, "--out", run, "--model", "odenet")
    assert latentsde("bnn", "train", *common, *SMALL).code == 0
    message = refused(latentsde("bnn", "evaluate", run, "--root", root, "--samples", 3))
    assert "weights are not random; leave the samples out" in message
    assert not (run / "metrics.json").exists()
    assert latentsde("bnn", "evaluate", run, "--root", root).code == 0
    assert json.loads((run / "metrics.json").read_text())["how"]["samples"] == 1


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("classifier", {"width": 3.5}),
        ("classifier", {"rank": "x"}),
        ("classifier", {"hidden": [2.5]}),
        ("classifier", {"reduce": 1.5}),
        ("classifier", {"augment": -1}),
        ("training", []),
        ("training", None),
    ],
)
def test_a_damaged_configuration_is_one_sentence(
    section: str, change: object, trained_run: Path, root: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    content = json.loads((run / "config.json").read_text())
    content[section] = content[section] | change if isinstance(change, dict) else change
    (run / "config.json").write_text(json.dumps(content))
    assert "config.json" in refused(latentsde("bnn", "evaluate", run, "--root", root))
    assert not (run / "metrics.json").exists()


@pytest.fixture(scope="module")
def trained_run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(READERS, "cifar10", functools.partial(read_parts, batch=20))
        run = tmp_path_factory.mktemp("trained") / "run"
        command = ("bnn", "train", "--data", "cifar10", "--root", root, "--out", run, *SMALL)
        assert latentsde(*command).code == 0
    return run


def test_the_defaults_are_the_library_s() -> None:
    told = {name: p.default for name, p in inspect.signature(train).parameters.items()}
    ours = {f.name: f.default for f in (*fields(ClassifierTrainingConfig), *fields(ClassifierConfig))}
    ours |= {f.name: getattr(Depth(6), f.name) for f in fields(Depth)} | {"steps": 5000}
    ours |= {"depth_steps": 6, "training_samples": ClassifierTrainingConfig.samples}
    same = {name for name in told.keys() & ours.keys() if name not in ("model", "steps")}
    assert {"sigma", "prior", "average", "method", "adjoint", "precision", "crop", "unit"} <= same
    for name in same:
        expected = ours[name]
        expected = "-".join(map(str, expected)) if isinstance(expected, tuple) else expected
        assert told[name] == expected, name
    assert ClassifierConfig.__dataclass_fields__["depth"].default_factory() == Depth(6)
    assert told["steps"] == ClassifierTrainingConfig.steps
