"""One small run from table to page, and what the other commands make of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.commands import QUICK, Ending, latentsde, refused, visits, write

FIT = ("--id", "patient", "--time", "day", "--static", "age,sex", "--likelihood", "visits=poisson")
FILES = {"config.json", "model.safetensors", "metrics.json", "history.csv", "report.html"}
SUMMARY = ["patient", "day", "feature", "mean", "std", "q05", "q50", "q95"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole path")


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    return write(visits(), folder / "data.csv")


@pytest.fixture(scope="module")
def fitted(folder: Path, data: Path) -> Ending:
    return latentsde("fit", data, *FIT, "--out", folder / "run", *QUICK)


@pytest.fixture
def run(folder: Path, fitted: Ending) -> Path:
    return folder / "run"


def test_a_fit_leaves_a_whole_run_and_prints_its_scores(run: Path, fitted: Ending, data: Path) -> None:
    assert fitted.code == 0, fitted
    assert {path.name for path in run.iterdir()} >= FILES
    assert {path.stem for path in (run / "figures").iterdir()} >= {"imputation", "forecast", "calibration"}
    assert not list(run.rglob(".*"))
    for part in ("imputation", "forecast", "latent sde", "climatology", "CRPS", "in 90 %", "report.html"):
        assert part in fitted.out
    assert "Warning" not in fitted.err and "Traceback" not in fitted.err


def test_config_says_all_that_reading_the_data_again_needs(run: Path, fitted: Ending, data: Path) -> None:
    section = json.loads((run / "config.json").read_text())["data"]
    assert section["path"] == str(data)
    assert section["sha256"] == hashlib.sha256(data.read_bytes()).hexdigest()
    assert (section["id"], section["time"]) == ("patient", "day")
    assert (section["values"], section["static"]) == (["pulse", "visits"], ["age", "sex"])
    assert section["static_levels"] == {"sex": ["f", "m"]}
    sizes = {name: part["series"] for name, part in section["splits"].items()}
    assert sizes == {"train": 10, "validation": 1, "test": 1}
    named = [name for part in section["splits"].values() for name in part["names"]]
    assert sorted(named) == sorted(f"p{s}" for s in range(12))


def test_metrics_compare_the_model_with_baselines(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"imputation", "forecast", "scale"} == set(metrics)
    for task in ("imputation", "forecast"):
        assert {"latent_sde", "last_observation", "climatology", "gaussian_process"} <= set(metrics[task])
        assert {"mse", "crps", "nll", "coverage90"} <= set(metrics[task]["latent_sde"])


def test_a_finished_run_is_resumed_by_doing_nothing(run: Path, data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    again = latentsde("fit", data, *FIT, "--out", run, *QUICK, "--resume")
    assert again.code == 0
    assert "imputation" in again.out
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()} == before


def test_a_run_without_its_scores_is_resumed_by_scoring(run: Path, data: Path, folder: Path) -> None:
    copy = Path(shutil.copytree(run, folder / "unscored"))
    (copy / "report.html").unlink()
    (copy / "metrics.json").unlink()
    assert latentsde("fit", data, *FIT, "--out", copy, *QUICK, "--resume").code == 0
    assert (copy / "metrics.json").read_bytes() == (run / "metrics.json").read_bytes()


def test_a_run_is_replaced_only_on_demand(run: Path, data: Path) -> None:
    before = (run / "config.json").read_bytes()
    message = refused(latentsde("fit", data, *FIT, "--out", run, *QUICK))
    assert "--resume" in message and "--overwrite" in message
    assert (run / "config.json").read_bytes() == before


def test_other_settings_are_not_resumed(run: Path, data: Path) -> None:
    other = (*QUICK, "--learning-rate", "0.1")
    message = refused(latentsde("fit", data, *FIT, "--out", run, *other, "--resume"))
    assert "learning_rate" in message and str(run) in message


def test_every_series_of_the_fit_is_predicted_at_every_time(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "pred.csv"
    ending = latentsde("predict", run, "--times=-2:12:3.5", "--out", out, "--samples", 40)
    assert ending.code == 0, ending
    frame = pd.read_csv(out)
    assert list(frame) == SUMMARY
    assert len(frame) == 12 * 5 * 2
    assert frame["day"].unique().tolist() == [-2.0, 1.5, 5.0, 8.5, 12.0]
    assert np.isfinite(frame[["mean", "std", "q05", "q50", "q95"]]).all(axis=None)
    assert (frame["q05"] <= frame["q50"]).all() and (frame["q50"] <= frame["q95"]).all()
    assert [path.name for path in out.parent.iterdir()] == ["pred.csv"]


def test_predictions_repeat_with_the_seed_and_change_with_it(run: Path, tmp_path: Path) -> None:
    texts = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        out = tmp_path / f"{name}.csv"
        options = ("--times", "0:2:1", "--samples", 20, "--seed", seed)
        assert latentsde("predict", run, *options, "--out", out).code == 0
        texts.append(out.read_text())
    assert texts[0] == texts[1] != texts[2]


def test_new_series_are_read_as_those_of_the_fit(run: Path, tmp_path: Path) -> None:
    frame = visits(series=2, seed=5)
    # One sex alone would have no levels of its own; a lone row and an unused column are no obstacle either.
    frame = frame[(frame["patient"] == "p1") & (frame.index < 8)].assign(note="x")
    new = write(frame, tmp_path / "new.csv")
    ending = latentsde(
        "predict", run, "--data", new, "--times", "0:1:1", "--out", tmp_path / "p.csv.gz", "--samples", 5
    )
    assert ending.code == 0, ending
    assert set(pd.read_csv(tmp_path / "p.csv.gz")["patient"]) == {"p1"}


def test_times_of_a_file_choose_the_series(run: Path, tmp_path: Path) -> None:
    (tmp_path / "when.csv").write_text("patient,day\np3,1.25\np7,2\np3,0.5\n")
    out = tmp_path / "p.csv"
    assert latentsde("predict", run, "--times", tmp_path / "when.csv", "--out", out, "--samples", 5).code == 0
    rows = pd.read_csv(out)[["patient", "day"]].drop_duplicates().to_numpy().tolist()
    assert rows == [["p3", 0.5], ["p3", 1.25], ["p7", 2.0]]


def test_paths_have_one_column_for_each_feature(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    assert latentsde("predict", run, "--times", "0:1:0.5", "--paths", 4, "--out", out).code == 0
    frame = pd.read_csv(out)
    assert list(frame) == ["patient", "path", "day", "pulse", "visits"]
    assert len(frame) == 12 * 4 * 3 and frame["path"].nunique() == 4


def test_samples_are_new_series_with_counts_that_are_counts(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.csv"
    assert latentsde("sample", run, "--times", "0:5:1", "--n", 3, "--out", out).code == 0
    frame = pd.read_csv(out)
    assert list(frame) == ["patient", "day", "pulse", "visits"]
    assert frame["patient"].nunique() == 3 and len(frame) == 18
    assert (frame["visits"] == frame["visits"].round()).all() and (frame["visits"] >= 0).all()


def test_a_report_scores_and_draws_as_the_fit_did(run: Path, folder: Path) -> None:
    copy = Path(shutil.copytree(run, folder / "reported"))
    shutil.rmtree(copy / "figures")
    (copy / "report.html").unlink()
    ending = latentsde("report", copy, "--samples", 20)
    assert ending.code == 0, ending
    assert (copy / "metrics.json").read_bytes() == (run / "metrics.json").read_bytes()
    assert {p.name for p in (copy / "figures").iterdir()} == {p.name for p in (run / "figures").iterdir()}
    assert (copy / "report.html").exists()


def test_without_its_data_a_run_is_reported_and_predicts_other_data(
    run: Path, data: Path, folder: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(run, folder / "moved"))
    changed = Path(shutil.copy(data, tmp_path / "copy.csv"))
    config = json.loads((copy / "config.json").read_text())
    config["data"]["path"] = str(changed)
    (copy / "config.json").write_text(json.dumps(config))
    changed.write_text(changed.read_text().replace("p1,", "q1,"))
    options = ("--times", "0:1:1", "--samples", 5, "--out", tmp_path / "p.csv")
    message = refused(latentsde("predict", copy, *options))
    assert str(changed) in message and "changed" in message and "--data" in message
    changed.unlink()
    message = refused(latentsde("predict", copy, *options))
    assert str(changed) in message and "--data" in message
    assert not (tmp_path / "p.csv").exists()
    assert latentsde("predict", copy, *options, "--data", data).code == 0
    assert latentsde("report", copy).code == 0
    assert latentsde("report", copy, "--page-only").code == 0


@pytest.mark.parametrize("command", ["predict", "sample", "report"])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"damaged", b"{}"])
def test_a_run_with_a_missing_or_damaged_file_is_refused_with_its_name(
    command: str, name: str, content: bytes | None, run: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    (copy / name).unlink() if content is None else (copy / name).write_bytes(content)
    rest = () if command == "report" else ("--times", "0:1:1", "--out", tmp_path / "out.csv")
    message = refused(latentsde(command, copy, *rest))
    assert str(copy / name) in message
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("--times 0:1:1 --out OUT.txt", ["OUT.txt", ".csv"]),
        ("--times 0:1:1 --out RUN", ["RUN"]),
        ("--times 5:1:1 --out OUT.csv", ["--times", "5:1:1"]),
        ("--times 0:1e9:1e5 --out OUT.csv", ["--times", "solver steps"]),
        ("--times 0:0.05:0.000001 --out OUT.csv", ["--times", "one solver step"]),
        ("--times 0:1:1 --out OUT.csv --samples 1", ["'--samples'", "2 to"]),
        ("--times 0:1:1 --out OUT.csv --paths 0", ["'--paths'", "1 to"]),
        ("--times 0:1:1 --out OUT.csv --data none.csv", ["none.csv"]),
        ("--times 0:1:1 --out DATA --data DATA", ["DATA", "own input"]),
    ],
)
def test_a_prediction_that_cannot_be_made_is_refused(
    options: str, parts: list[str], run: Path, data: Path, tmp_path: Path
) -> None:
    before = data.read_bytes()
    places = {"OUT": str(tmp_path / "out"), "RUN": str(run), "DATA": str(data)}
    for word, path in places.items():
        options, parts = options.replace(word, path), [part.replace(word, path) for part in parts]
    # The test's folder has a blank in its name.
    arguments = [part.replace("\0", " ") for part in options.replace("whole path", "whole\0path").split()]
    message = refused(latentsde("predict", run, *arguments))
    assert all(part in message for part in parts), message
    assert list(tmp_path.iterdir()) == [] and data.read_bytes() == before
