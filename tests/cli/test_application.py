"""The application around the commands: help, version, start, interruption, the demo's and fit's defaults."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from latentsde.cli import pipeline
from latentsde.cli.fit import fit
from latentsde.cli.likelihoods import parse_likelihoods
from latentsde.errors import TrainingDiverged
from latentsde.models import LatentSDEConfig
from latentsde.training import TrainingConfig
from latentsde.version import __version__
from tests.cli.commands import latentsde, visits, write

COMMANDS = ("demo", "fit", "predict", "sample", "report")
COLUMNS = ("--id", "patient", "--time", "day", "--values", "pulse")
SCRIPT = "import sys; from latentsde.cli import main; sys.exit(main())"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    ending = latentsde(command, "--help")
    assert ending.code == 0 and ending.err == ""
    assert f"latentsde {command}" in ending.out.split("Example:")[1]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_overview_names_every_command(arguments: list[str]) -> None:
    ending = latentsde(*arguments)
    assert ending.code == 0
    assert all(f"\n  {command} " in ending.out for command in COMMANDS)


def test_version_is_the_packages() -> None:
    assert latentsde("--version").out == f"latentsde {__version__}\n"


def test_help_starts_at_once_because_nothing_heavy_is_loaded() -> None:
    look = "main(['fit', '--help']); print(sorted(sys.modules), file=sys.stderr)"
    check = SCRIPT.replace("sys.exit(main())", look)
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert "--likelihood" in done.stdout
    for module in ("torch", "lightning", "pandas", "sklearn", "matplotlib"):
        assert f"'{module}'" not in done.stderr


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (TrainingConfig, "steps batch_size learning_rate patience seed device processes"),
        (LatentSDEConfig, "period latent hidden"),
    ],
)
def test_defaults_of_fit_are_those_of_the_library(config: type, names: str) -> None:
    ours, theirs = inspect.signature(fit).parameters, inspect.signature(config).parameters
    for name in names.split():
        assert ours[name].default == theirs[name].default, name


def test_few_steps_still_warm_up_anneal_and_validate() -> None:
    usual = TrainingConfig()
    assert TrainingConfig(**pipeline.schedule_for(usual.steps)) == usual
    for steps in (1, 2, 9, 50):
        short = TrainingConfig(**pipeline.schedule_for(steps))
        assert short.anneal_steps <= steps and short.warmup_steps <= steps and short.validate_every <= steps


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("laplace", "laplace"),
        ("a=poisson", {"a": "poisson"}),
        ("a=poisson, b = student-t", {"a": "poisson", "b": "student-t"}),
        ('"a,b"=laplace', {"a,b": "laplace"}),
        ("a=b=normal", {"a=b": "normal"}),
    ],
)
def test_likelihoods_are_for_all_or_for_each(text: str, expected: object) -> None:
    assert parse_likelihoods(text) == expected


def test_divergence_ends_with_one_line_and_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: object, **__: object) -> None:
        raise TrainingDiverged("training diverged at step 3: the loss is not finite")

    monkeypatch.setattr(pipeline, "fit", diverge)
    data = write(visits(), tmp_path / "data.csv")
    ending = latentsde("fit", data, *COLUMNS, "--out", tmp_path / "r")
    assert ending.code == 1
    assert ending.err == "error: training diverged at step 3: the loss is not finite\n"


def test_a_full_disk_ends_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pipeline, "fit", fail)
    data = write(visits(), tmp_path / "data.csv")
    ending = latentsde("fit", data, *COLUMNS, "--out", tmp_path / "r")
    assert (ending.code, ending.err.count("\n")) == (2, 1)
    assert "No space left" in ending.err


def test_a_fault_of_the_package_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "fit", fail)
    data = write(visits(), tmp_path / "data.csv")
    with pytest.raises(ZeroDivisionError):
        latentsde("fit", data, *COLUMNS, "--out", tmp_path / "r")


def test_interrupted_a_fit_says_how_to_resume_and_resumes(tmp_path: Path) -> None:
    data = write(visits(), tmp_path / "data.csv")
    out = tmp_path / "run"
    # So many steps that on a busy machine the signal comes before the last of them.
    sizes = ("--samples", "20", "--latent", "2", "--hidden", "8", "--steps", "150")
    arguments = ["fit", str(data), *COLUMNS, "--out", str(out), *sizes]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # A shell starts what runs in its background with the signal ignored, and tests with it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("step ")
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    last = rest.splitlines()[-1]
    assert process.returncode == 130
    assert last.startswith("error: interrupted") and "--resume" in last and str(out) in last
    assert "Traceback" not in rest
    assert not (out / "model.safetensors").exists()
    assert latentsde(*arguments, "--resume").code == 0
    assert (out / "report.html").exists()


@pytest.mark.slow
def test_the_demo_runs_without_arguments_and_predicts_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ending = latentsde("demo", "--steps", "5", "--samples", "20")
    assert ending.code == 0, ending
    for name in ("same hour yesterday", "temp, °F", "runs/demo/report.html"):
        assert name in ending.out
    options = ("--times", "0:96:24", "--samples", "5", "--out", "p.csv")
    assert latentsde("predict", "runs/demo", *options).code == 0
    assert latentsde("demo", "--steps", "5", "--samples", "20", "--resume").code == 0
    assert latentsde("demo").code == 2
