"""`latentsde fit --simulation-free`: a run like any other, of the one model that has such a posterior."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentsde.models import MODELS
from tests.cli.commands import QUICK, latentsde, refused, visits, write

COLUMNS = ("--id", "patient", "--time", "day", "--values", "pulse,visits", "--static", "age")


def test_a_run_is_fitted_scored_and_predicts(tmp_path: Path) -> None:
    data, run = write(visits(), tmp_path / "visits.csv"), tmp_path / "run"
    ending = latentsde("fit", data, *COLUMNS, "--out", run, "--simulation-free", *QUICK)
    assert ending.code == 0, ending
    assert json.loads((run / "config.json").read_text())["model"]["posterior"] == "marginals"
    assert "latent_sde" in json.loads((run / "metrics.json").read_text())["imputation"]
    out = tmp_path / "predictions.csv"
    assert latentsde("predict", run, "--times", "0:9:1", "--out", out, "--samples", "20").code == 0
    predicted = pd.read_csv(out)
    assert np.isfinite(predicted[["mean", "std", "q05", "q95"]].to_numpy()).all()


def test_another_model_has_no_such_posterior(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "other", ("series_model", "SeriesModel"))
    data = write(visits(), tmp_path / "visits.csv")
    arguments = ("--out", tmp_path / "run", "--model", "other", "--simulation-free")
    message = refused(latentsde("fit", data, *COLUMNS, *arguments))
    assert "--simulation-free is for the latent SDE; leave it out with --model other" in message
