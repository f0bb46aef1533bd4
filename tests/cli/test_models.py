"""Every model through the command line: fitted, scored, drawn, sampled from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from latentsde import plotting
from latentsde.evaluation.page import model_title
from latentsde.models import MODELS
from tests.cli.commands import QUICK, latentsde, refused, visits, write

COLUMNS = ("--id", "patient", "--time", "day", "--static", "age,sex", "--likelihood", "visits=poisson")


@pytest.mark.parametrize("name", [name for name in MODELS if name != "latent_sde"])
def test_a_model_is_fitted_scored_drawn_and_sampled_from(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = set()

    def keep(figure: Figure, path: Path) -> Path:
        """To write the pictures takes longer than all the rest, and is the same for every model."""
        drawn.add(path.stem)
        return path

    monkeypatch.setattr(plotting, "save", keep)
    # Two series of them: without validation, and with the fewest panels to draw.
    data, run = write(visits(series=2, rows=6), tmp_path / "data.csv"), tmp_path / "run"
    ending = latentsde(
        "fit", data, *COLUMNS, "--model", name.replace("_", "-"), "--out", run, *QUICK, "--steps", 2
    )
    assert ending.code == 0, ending
    metrics = json.loads((run / "metrics.json").read_text())
    assert next(iter(metrics["forecast"])) == name and metrics["forecast"][name]["crps"] > 0
    assert json.loads((run / "config.json").read_text())["model"]["name"] == name
    page = (run / "report.html").read_text(encoding="utf-8")
    assert f"<title>data.csv: {model_title(name)} report</title>" in page
    assert drawn >= {"forecast", "prior_samples", "latent_paths", "calibration", "metrics"}
    out = tmp_path / "new.csv"
    assert latentsde("sample", run, "--n", 2, "--times", "0:4:2", "--out", out).code == 0
    assert len(pd.read_csv(out)) == 6


def test_the_help_names_every_model() -> None:
    shown = re.sub(r"[\s│]", "", latentsde("fit", "--help").out)  # a long name may be broken at its dash
    for name in MODELS:
        assert name.replace("_", "-") in shown


def test_an_unknown_model_is_refused_in_one_sentence(tmp_path: Path) -> None:
    data = write(visits(), tmp_path / "data.csv")
    said = refused(latentsde("fit", data, *COLUMNS, "--model", "lstm", "--out", tmp_path / "run"))
    assert "'lstm' is not known; choose from latent-sde, " in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "title"),
    [("latent_sde", "latent SDE"), ("gru_d", "GRU-D"), ("rnn_delta_t", "RNN delta t"), (None, "model")],
)
def test_names_of_models_as_words(name: str | None, title: str) -> None:
    assert model_title(name) == title
