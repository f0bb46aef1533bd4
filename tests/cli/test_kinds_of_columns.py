"""Columns of every kind in one fit: measured, counted, yes or no, classes by name, limits of a laboratory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.commands import QUICK, latentsde, refused, write

KINDS = "stage=categorical,ascites=bernoulli,bili=student-t,crp=censored-normal,falls=poisson"
STAGES = ["early", "late", "middle"]


def clinic(series: int = 20, rows: int = 10, seed: int = 0) -> pd.DataFrame:
    """Visits: stage (text), ascites (0/1), bilirubin, C-reactive protein with limits, falls (counts)."""
    rng = np.random.default_rng(seed)
    n = series * rows
    crp = rng.normal(2.0, 2.0, n).round(2)
    frame = pd.DataFrame(
        {
            "patient": np.repeat([f"p{s}" for s in range(series)], rows),
            "day": np.concatenate(
                [(0.01 + rng.exponential(1.0, rows)).cumsum().round(3) for _ in range(series)]
            ),
            "stage": rng.choice(STAGES, n),
            "ascites": rng.integers(0, 2, n),
            "bili": rng.normal(1.0, 0.5, n).round(2),
            "crp": [f"<{0.3}" if c < 0.3 else ">4" if c > 4 else str(c) for c in crp],
            "falls": rng.poisson(1.0, n),
            "remark": "as before",
        }
    )
    return frame.mask(rng.random(frame.shape) < np.where(frame.columns.isin(["patient", "day"]), 0.0, 0.2))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clinic")
    data = write(clinic(), folder / "clinic.csv")
    columns = ("--id", "patient", "--time", "day", "--likelihood", KINDS)
    ending = latentsde("fit", data, *columns, "--out", folder / "run", *QUICK)
    assert ending.code == 0, ending
    return folder / "run"


def test_every_kind_is_scored_beside_the_baselines_in_its_own_way(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    for task in ("imputation", "forecast"):
        assert {"latent_sde", "last_observation", "climatology", "gaussian_process"} <= set(metrics[task])
        for scores in metrics[task].values():
            assert scores["n"] > 0 and None not in [scores[s] for s in ("mse", "crps", "nll", "coverage90")]
            by_feature = scores["per_feature"]
            assert list(by_feature) == ["stage", "ascites", "bili", "crp", "falls"]
            for name, own in by_feature.items():
                assert own["n"] > 0
                classes = name in ("stage", "ascites")
                assert (own["coverage90"] is None) == classes == ("accuracy" in own) == ("ece" in own)
            assert by_feature["ascites"]["mse"] == pytest.approx(by_feature["ascites"]["crps"])
            assert by_feature["stage"]["mse"] == pytest.approx(2.0 * by_feature["stage"]["crps"])
            assert 0.0 <= by_feature["stage"]["accuracy"] <= 1.0
    page = (run / "report.html").read_text()
    assert "expected calibration error" in page


def test_predictions_have_a_row_for_each_class_with_its_probability(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    assert latentsde("predict", run, "--times", "0:4:2", "--samples", 25, "--out", out).code == 0
    frame = pd.read_csv(out)
    assert list(frame.columns) == ["patient", "day", "feature", "mean", "std", "q05", "q50", "q95"]
    names = [*(f"stage={stage}" for stage in STAGES), "ascites", "bili", "crp", "falls"]
    assert frame["feature"].tolist()[:7] == names and len(frame) == 20 * 3 * 7
    classes = frame[frame["feature"].str.startswith("stage=")]
    totals = classes.groupby(["patient", "day"])["mean"].sum()
    assert np.allclose(totals, 1.0, atol=1e-5)
    assert classes[["q05", "q50", "q95"]].isin([0.0, 1.0]).all(axis=None)
    assert np.allclose(classes["std"], np.sqrt(classes["mean"] * (1.0 - classes["mean"])), atol=1e-6)
    assert frame.loc[frame["feature"] == "ascites", "mean"].between(0.0, 1.0).all()


def test_paths_and_invented_series_name_the_classes(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "paths.csv"
    assert latentsde("predict", run, "--times", "0:4:2", "--paths", 3, "--out", out).code == 0
    paths = pd.read_csv(out)
    assert list(paths.columns)[3:] == [*(f"stage={s}" for s in STAGES), "ascites", "bili", "crp", "falls"]
    assert latentsde("sample", run, "--times", "0:4:1", "--n", 6, "--out", out).code == 0
    invented = pd.read_csv(out)
    assert set(invented["stage"]) <= set(STAGES) and set(invented["ascites"]) <= {0, 1}
    assert (invented["falls"] == invented["falls"].round()).all()


def test_new_data_are_read_with_the_classes_of_the_fit(run: Path, tmp_path: Path) -> None:
    new = clinic(series=2, seed=3).query("stage != 'early'")
    options = ("--times", "0:4:2", "--samples", 5, "--out", tmp_path / "p.csv")
    assert (
        latentsde("predict", run, "--data", write(new, tmp_path / "new.csv"), *options).code == 0
    )  # one class less
    assert {f"stage={s}" for s in STAGES} <= set(pd.read_csv(tmp_path / "p.csv")["feature"])
    new.iloc[2, new.columns.get_loc("stage")] = "unheard of"
    message = refused(latentsde("predict", run, "--data", write(new, tmp_path / "new.csv"), *options))
    assert "line 4, column 'stage'" in message and "'unheard of' is none of the classes" in message


def test_the_report_can_be_made_again(run: Path) -> None:
    before = json.loads((run / "metrics.json").read_text())
    assert latentsde("report", run, "--samples", 20).code == 0
    assert set(json.loads((run / "metrics.json").read_text())) == set(before)


@pytest.mark.parametrize(
    ("column", "value", "kinds", "words"),
    [
        ("ascites", 0.5, KINDS, ("'ascites' is to be bernoulli but is 0.5", "of series 'p0'", "0 or 1")),
        ("falls", -2, KINDS, ("'falls' is to be poisson but is -2", "whole numbers from 0")),
        ("bili", "<0.3", KINDS, ("'bili' is to be student-t but is <0.3", "censored-normal")),
        ("bili", "3-1", KINDS, ("line 2, column 'bili'", "'3-1' is not a number")),
        (
            "falls",
            1.7,
            KINDS.replace("poisson", "categorical"),
            ("line 2, column 'falls'", "1.7 is no class"),
        ),
        ("remark", "new", KINDS + ",site=categorical", ("no column 'site' to be categorical",)),
        ("remark", None, KINDS + ",remark=categorical", ("'remark' holds 1 class;", "2 to 200")),
    ],
)
def test_a_value_that_its_likelihood_cannot_have_ends_in_one_sentence(
    column: str, value: object, kinds: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    frame = clinic().astype({column: object})
    frame.loc[0, column] = value
    data = write(frame, tmp_path / "data.csv")
    columns = ("--id", "patient", "--time", "day", "--likelihood", kinds)
    message = refused(latentsde("fit", data, *columns, "--out", tmp_path / "run", *QUICK))
    for word in words:
        assert word in message


def test_observation_times_are_data_where_they_are_said_to_be(tmp_path: Path) -> None:
    """With follow-up that goes on after the last row, in dates and with a rhythm."""
    frame = clinic(series=4).drop(columns=["stage", "crp", "remark"])
    first = pd.Timestamp(2021, 5, 1, 8)
    frame["when"] = [(first + pd.Timedelta(d, unit="D")).isoformat() for d in frame.pop("day")]
    frame["seen_until"] = "2021-06-30"
    data = write(frame, tmp_path / "data.csv")
    columns = ("--id", "patient", "--time", "when", "--time-unit", "D", "--period", 7)
    kinds = ("--observation-times", "poisson", "--follow-up", "seen_until", "--values", "bili")
    ending = latentsde("fit", data, *columns, *kinds, "--out", tmp_path / "run", *QUICK)
    assert ending.code == 0, ending
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model"]["observation_times"] == "poisson" and config["data"]["follow_up"] == "seen_until"
    out = tmp_path / "p.csv"
    options = ("--times", "0:4:2", "--samples", 5, "--out", out)
    assert latentsde("predict", tmp_path / "run", "--data", data, *options).code == 0
    assert latentsde("report", tmp_path / "run", "--samples", 20).code == 0
    early = write(frame.assign(seen_until="2021-05-02"), tmp_path / "early.csv")
    message = refused(latentsde("fit", early, *columns, *kinds, "--out", tmp_path / "other", *QUICK))
    assert "follow-up of series 'p0' ends before its last row" in message
    wrong = ("--observation-times", "hawkes", "--out", tmp_path / "other")
    assert "'given' or 'poisson'" in refused(latentsde("fit", data, *columns, "--values", "bili", *wrong))
