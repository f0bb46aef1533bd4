"""`latentsde fit --simulation-free` and `--linearised`: runs like any other, of the one model that has such
posteriors.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentsde.models import MODELS
from tests.cli.commands import QUICK, latentsde, refused, visits, write

COLUMNS = ("--id", "patient", "--time", "day", "--values", "pulse,visits", "--static", "age")


@pytest.mark.parametrize(
    ("option", "posterior"), [("--simulation-free", "marginals"), ("--linearised", "linearised")]
)
def test_a_run_is_fitted_scored_and_predicts(option: str, posterior: str, tmp_path: Path) -> None:
    data, run = write(visits(), tmp_path / "visits.csv"), tmp_path / "run"
    ending = latentsde("fit", data, *COLUMNS, "--out", run, option, *QUICK)
    assert ending.code == 0, ending
    assert json.loads((run / "config.json").read_text())["model"]["posterior"] == posterior
    assert "latent_sde" in json.loads((run / "metrics.json").read_text())["imputation"]
    out = tmp_path / "predictions.csv"
    assert latentsde("predict", run, "--times", "0:9:1", "--out", out, "--samples", "20").code == 0
    predicted = pd.read_csv(out)
    assert np.isfinite(predicted[["mean", "std", "q05", "q95"]].to_numpy()).all()


@pytest.mark.parametrize("option", ["--simulation-free", "--linearised"])
def test_another_model_has_no_such_posterior(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "other", ("series_model", "SeriesModel"))
    data = write(visits(), tmp_path / "visits.csv")
    arguments = ("--out", tmp_path / "run", "--model", "other", option)
    message = refused(latentsde("fit", data, *COLUMNS, *arguments))
    assert f"{option} is for the latent SDE; leave it out with --model other" in message


def test_what_cannot_be_linearised_and_two_ways_at_once_are_refused(tmp_path: Path) -> None:
    data = write(visits(), tmp_path / "visits.csv")
    common = ("fit", data, *COLUMNS, "--out", tmp_path / "run", "--linearised")
    assert "choose one" in refused(latentsde(*common, "--simulation-free"))
    assert "'laplace'" in refused(latentsde(*common, "--likelihood", "laplace"))
    assert not (tmp_path / "run").exists()
