"""Bad input: exit code 2, one sentence with the place, no traceback, nothing written."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.cli.commands import QUICK, latentsde, refused, visits, write

GOOD = "patient,day,pulse\na,1,70\na,2,\nb,1,71\nb,3,72\n"
BAD_FILES = {
    "empty": (b"", ["empty"]),
    "header only": (b"patient,day,pulse\n", ["no rows"]),
    "binary": (b"patient,day,pulse\n\x00\x01\x02\n", ["binary"]),
    "not utf-8": (b"patient,day,pulse\na,1,7\xff\n", ["line 2", "UTF-8"]),
    "damaged gzip": (gzip.compress(GOOD.encode())[:-12], ["gzip"]),
    "ragged": (GOOD.encode() + b"b,4,1,2\n", ["line 6", "4 fields"]),
    "missing column": (b"patient,hour,pulse\na,1,70\n", ["column 'day'"]),
    "text in numbers": (GOOD.replace("72", "high").encode(), ["line 5", "column 'pulse'", "'high'"]),
    "missing time": (GOOD.replace("b,3", "b,").encode(), ["line 5", "column 'day'"]),
    "NaN time": (GOOD.replace("b,3", "b,nan").encode(), ["line 5", "column 'day'"]),
    "infinite time": (GOOD.replace("b,3", "b,inf").encode(), ["line 5", "column 'day'"]),
    "infinite value": (GOOD.replace("72", "inf").encode(), ["line 5", "column 'pulse'", "infinite"]),
    "one row": (b"patient,day,pulse\na,1,70\n", ["one row"]),
    "all missing": (b"patient,day,pulse\na,1,\na,2,\nb,1,\n", ["no observed value"]),
    "time twice": (GOOD.replace("a,2", "a,1").encode(), ["line 2", "line 3", "'a'", "twice"]),
    "empty id": (GOOD.replace("b,3", ",3").encode(), ["line 5", "column 'patient'", "empty"]),
    "no values": (b"patient,day,note\na,1,x\na,2,y\n", ["no column of numbers"]),
    "dates without unit": (b"patient,day,pulse\na,2020-01-01,1\na,2020-01-02,2\n", ["'day'", "--time-unit"]),
}


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_faulty_table_is_refused_with_its_place(fault: str, tmp_path: Path) -> None:
    content, places = BAD_FILES[fault]
    data = tmp_path / "data.csv"
    data.write_bytes(content)
    ending = latentsde("fit", data, "--id", "patient", "--time", "day", "--out", tmp_path / "run", *QUICK)
    message = refused(ending)
    assert all(place in message for place in [str(data), *places]), message
    assert ending.out == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["none.csv", "folder", "data.xlsx"])
def test_what_is_no_table_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "data.xlsx").write_text("x")
    ending = latentsde("fit", tmp_path / name, "--id", "patient", "--time", "day", "--out", tmp_path / "run")
    assert str(tmp_path / name) in refused(ending)
    assert not (tmp_path / "run").exists()


BAD_OPTIONS = {
    "--steps 0": ["'--steps'", "0", "1 to"],
    "--steps many": ["'--steps'", "'many'"],
    "--batch-size -3": ["'--batch-size'", "-3"],
    "--learning-rate 0": ["'--learning-rate'", "above 0"],
    "--learning-rate nan": ["'--learning-rate'", "nan"],
    "--dt -1": ["'--dt'", "-1", "above 0"],
    "--dt 1e-9": ["--dt", "steps"],
    "--period inf": ["'--period'", "inf"],
    "--latent 0": ["'--latent'", "1 to 4096"],
    "--hidden 0": ["'--hidden'", "1 to 65536"],
    "--patience -1": ["'--patience'", "0 to"],
    "--samples 1": ["'--samples'", "2 to"],
    "--threads 0": ["'--threads'", "1 to 1024"],
    "--processes 0": ["'--processes'", "1 to 4096"],
    "--batch-size 5 --processes 2": ["5", "2 processes"],
    "--processes 64": ["64 processes", "training series"],
    "--seed -1": ["'--seed'", "-1"],
    "--device tpu": ["'tpu'", "--device cpu"],
    "--origin middle": ["'middle'", "common, series"],
    "--likelihood gamma": ["--likelihood", "'gamma'", "poisson"],
    "--likelihood pulse=": ["--likelihood", "''"],
    "--likelihood pulse=normal,pulse=laplace": ["--likelihood", "'pulse'"],
    "--likelihood speed=poisson": ["'speed'", "pulse"],
    "--likelihood pulse=poisson": ["'pulse'", "whole numbers"],
    "--values pulse,,visits": ["--values", "empty name"],
    "--values pulse,puls": ["column 'puls'", "'pulse'"],
    "--values pulse,day": ["'day'", "2 times"],
    "--static pulse": ["'pulse'", "changes within"],
    "--resume --overwrite": ["--resume", "--overwrite"],
    "--colour red": ["--colour"],
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_an_option_that_makes_no_sense_is_refused_by_name_and_value(options: str, tmp_path: Path) -> None:
    data = write(visits().drop(columns="sex"), tmp_path / "data.csv")
    ending = latentsde(
        "fit", data, "--id", "patient", "--time", "day", "--out", tmp_path / "run", *options.split()
    )
    message = refused(ending)
    assert all(part in message for part in BAD_OPTIONS[options]), message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments", ["fit", "fit data.csv", "predict run", "sample", "report", "bake", "--colour"]
)
def test_an_incomplete_command_line_is_refused_with_where_to_read(arguments: str) -> None:
    assert "--help" in refused(latentsde(*arguments.split()))


@pytest.mark.parametrize("command", ["fit", "demo"])
def test_a_directory_that_is_taken_is_refused_before_the_data_are_read(command: str, tmp_path: Path) -> None:
    rest = ("none.csv", "--id", "a", "--time", "b") if command == "fit" else ()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    for out, why in (
        ("file", "is a file"),
        ("file/run", "file"),
        ("notes", "'mine.txt'"),
        ("run", "--resume"),
    ):
        message = refused(latentsde(command, *rest, "--out", tmp_path / out))
        assert str(tmp_path / out) in message and why in message
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "config.json",
        "file",
        "mine.txt",
        "notes",
        "run",
    ]


def test_few_values_in_what_is_trained_on_are_refused_with_the_column(tmp_path: Path) -> None:
    frame = visits(series=4).drop(columns=["sex", "age"])
    frame["rare"] = None
    frame.loc[frame.groupby("patient").tail(1).index, "rare"] = 1.0
    data = write(frame, tmp_path / "data.csv")
    ending = latentsde("fit", data, "--id", "patient", "--time", "day", "--out", tmp_path / "run")
    message = refused(ending)
    assert str(data) in message and "'rare'" in message and "--values" in message
