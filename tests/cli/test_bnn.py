"""`latentsde bnn`: train, resume, evaluate, on CIFAR-10 in miniature; bad input is one line and code 2."""

from __future__ import annotations

import functools
import inspect
import json
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

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
    reader = functools.partial(read_parts, parts=("train", "test"), batch=20)
    monkeypatch.setitem(READERS, "cifar10", reader)


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
        ("--model", "deep-ensemble", "--members", 2, "--widths", "2-2-2", "--validation", 30),
        ("--model", "mc-dropout", "--dropout", 0.5, "--widths", "2-3-4"),
    ],
)
def test_every_choice_of_the_library_is_an_option(
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
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("mc-dropout", ("--dropout", 1), ("dropout", "1")),
        ("odenet", ("--blocks", "9999"), ("9,999", "1,000")),
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
        patch.setitem(READERS, "cifar10", functools.partial(read_parts, parts=("train", "test"), batch=20))
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
