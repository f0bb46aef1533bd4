"""Every bad input ends in one sentence that names the file, the row or column, and the remedy."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from latentsde.data import IrregularSeries
from latentsde.errors import InputError

GOOD = b"id,time,x,y\na,0,1.5,2\na,1,,3\nb,0,2.5,4\nb,2,1,1\n"


def complaint(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        IrregularSeries.from_file(path, **{"id": "id", "time": "time", **options})
    message = str(error.value)
    assert "\n" not in message
    return message


def complaint_about_frame(frame: pd.DataFrame, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        IrregularSeries.from_frame(frame, **{"id": "id", "time": "time", **options})
    message = str(error.value)
    assert "\n" not in message
    return message


CONTENTS: dict[str, tuple[bytes, dict[str, Any], tuple[str, ...]]] = {
    "empty file": (b"", {}, ("is empty",)),
    "blank lines only": (b"\n  \n\n", {}, ("is empty",)),
    "header only": (b"id,time,x\n", {}, ("has no rows",)),
    "binary": (b"id,time,x\na,0,\x00\x01\n", {}, ("binary", "byte 14")),
    "not UTF-8": (b"id,time,x\na,0,1\n\xe9,1,2\n", {}, ("line 3", "UTF-8")),
    "damaged gzip": (b"\x1f\x8b\x08\x00damaged", {}, ("damaged gzip",)),
    "a field too few": (b"id,time,x\na,0,1\na,1\n", {}, ("line 3 has 2 fields", "header has 3")),
    "a field too many": (b"id,time,x\na,0,1,7\na,1,2\n", {}, ("line 2 has 4 fields", "header has 3")),
    "ragged after quotes over two lines": (
        b'id,time,x,note\n"a",0,1,"two\nlines"\n\na,1\n',
        {},
        ("line 5 has 2 fields",),
    ),
    "open quotation mark": (b'id,time,x\na,0,"1\na,1,2\n', {}, ("line 2 opens a quotation mark", "close it")),
    "separated by semicolons": (b"id;time;x\na;0;1\n", {}, ("no column 'id'", "semicolons", "commas")),
    "id column missing": (GOOD, {"id": "Id "}, ("no column 'Id '", "did you mean 'id'?")),
    "time column missing": (GOOD, {"time": "when"}, ("no column 'when'", "'id', 'time', 'x', 'y'")),
    "value column missing": (GOOD, {"values": ["x", "z"]}, ("no column 'z'",)),
    "static column missing": (GOOD, {"static": ["sex"]}, ("no column 'sex'",)),
    "same column twice": (GOOD, {"values": ["x", "x"]}, ("'x' is named 2 times",)),
    "value is the time": (GOOD, {"values": ["x", "time"]}, ("'time' is named 2 times",)),
    "no values named": (GOOD, {"values": []}, ("no value columns", "--values")),
    "two columns with one name": (b"id,time,x,x\na,0,1,2\na,1,1,2\n", {}, ("several columns called 'x'",)),
    "no column of numbers": (b"id,time,x\na,0,red\na,1,blue\n", {}, ("no column of numbers",)),
    "text in numbers": (
        b"id,time,x\na,0,1\n\na,1,high\na,2,3\na,3,low\n",
        {},
        ("line 4, column 'x'", "'high' is not a number", "empty"),
    ),
    "text in named numbers": (
        b"id,time,x\na,0,red\na,1,blue\n",
        {"values": ["x"]},
        ("line 2, column 'x'", "'red' is not a number"),
    ),
    "decimal comma": (b'id,time,x\na,0,"1,5"\na,1,2\n', {"values": "x"}, ("line 2", "'1,5' is not a number")),
    "infinite value": (b"id,time,x\na,0,1\na,1,-inf\n", {}, ("line 3, column 'x'", "infinite")),
    "infinite value among text": (b"id,time,x\na,0,True\na,1,inf\n", {}, ("line 3, column 'x'", "infinite")),
    "time missing": (b"id,time,x\na,0,1\na,,2\n", {}, ("line 3, column 'time'", "missing")),
    "time infinite": (b"id,time,x\na,0,1\na,inf,2\n", {}, ("line 3, column 'time'", "infinite")),
    "time unparsable": (
        b"id,time,x\na,0,1\na,1,2\na,soon,2\n",
        {},
        ("line 4, column 'time'", "'soon' is not a time"),
    ),
    "date unparsable": (
        b"id,time,x\na,2013-01-01,1\na,2013-02-30,2\n",
        {"time_unit": "h"},
        ("line 3, column 'time'", "'2013-02-30'", "ISO 8601"),
    ),
    "date missing": (
        b"id,time,x\na,2013-01-01,1\na,,2\n",
        {"time_unit": "h"},
        ("line 3, column 'time'", "missing"),
    ),
    "dates without a unit": (
        b"id,time,x\na,2013-01-01,1\na,2013-01-02,2\n",
        {},
        ("column 'time'", "--time-unit", "s, min, h, D, W"),
    ),
    "unknown unit": (
        b"id,time,x\na,2013-01-01,1\na,2013-01-02,2\n",
        {"time_unit": "fortnight"},
        ("'fortnight'", "s, min, h, D, W"),
    ),
    "time zone missing in one": (
        b"id,time,x\na,2013-01-01T00:00Z,1\na,2013-01-02T00:00,2\n",
        {"time_unit": "h"},
        ("line 3, column 'time'", "no time zone"),
    ),
    "year out of range": (
        b"id,time,x\na,2013-01-01,1\na,1066-10-14,2\n",
        {"time_unit": "D"},
        ("line 3, column 'time'", "1066-10-14"),
    ),
    "one row": (b"id,time,x\na,0,1\n", {}, ("only one row",)),
    "all missing": (b"id,time,x,y\na,0,,\na,1,,NA\n", {"values": ["x", "y"]}, ("no observed value",)),
    "feature without a value": (
        b"id,time,x,y\na,0,1,\na,1,2,\n",
        {},
        ("column 'y' has no observed value", "--values"),
    ),
    "duplicate time": (
        b"id,time,x\na,0.5,1\nb,0.5,1\na,1,1\na,0.5,2\n",
        {},
        ("line 2 and line 5", "series 'a'", "time 0.5 twice"),
    ),
    "duplicate date": (
        b"id,time,x\na,2013-01-01T02:00Z,1\na,2013-01-01T03:00+01:00,2\n",
        {"time_unit": "h"},
        ("line 2 and line 3", "2013-01-01T02:00"),
    ),
    "empty id": (b"id,time,x\na,0,1\n,1,2\n", {}, ("line 3, column 'id'", "id is empty")),
    "blank id": (b"id,time,x\na,0,1\n  ,1,2\n", {}, ("line 3, column 'id'", "id is empty")),
    "static with three texts": (
        b"id,time,x,c\na,0,1,u\nb,0,1,v\nc,0,1,w\n",
        {"static": ["c"]},
        ("static column 'c'", "3 different texts", "0/1"),
    ),
    "static with one text": (
        b"id,time,x,c\na,0,1,u\nb,0,1,u\n",
        {"static": ["c"]},
        ("static column 'c'", "1 different text "),
    ),
    "text in a static number": (
        b"id,time,x,c\na,0,1,40\nb,0,1,old\nc,0,1,60\n",
        {"static": ["c"]},
        ("line 3, column 'c'", "'old' is not a number"),
    ),
    "static that varies": (
        b"id,time,x,c\na,0,1,5\nb,0,1,1\nb,1,1,2\n",
        {"static": ["c"]},
        ("static column 'c'", "series 'b'"),
    ),
    "unknown origin": (GOOD, {"origin": "somewhere"}, ("'somewhere'", "common, series")),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_a_faulty_csv_is_one_sentence_with_place_and_remedy(case: str, tmp_path: Path) -> None:
    content, options, fragments = CONTENTS[case]
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    message = complaint(path, **options)
    for fragment in fragments:
        assert fragment in message


def test_file_that_does_not_exist(tmp_path: Path) -> None:
    assert "nowhere.csv does not exist" in complaint(tmp_path / "nowhere.csv")


def test_directory_in_place_of_a_file(tmp_path: Path) -> None:
    assert "is a directory" in complaint(tmp_path)


def test_unknown_extension_names_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "data.xlsx"
    path.write_bytes(GOOD)
    assert ".csv, .csv.gz or .parquet" in complaint(path)


def test_truncated_gzip(tmp_path: Path) -> None:
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress(GOOD)[:-12])
    assert "damaged gzip" in complaint(path)


@pytest.mark.parametrize("content", [b"", b"not parquet at all"])
def test_parquet_that_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(content)
    assert "data.parquet" in complaint(path)


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(
        b'\xef\xbb\xbf\r\nid,time,x,note\r\na,0,1,"one\r\ntwo"\r\n \r\na,1,bad,\r\na,2,3,\r\na,3,3,\r\n'
    )
    assert "line 6, column 'x'" in complaint(path)


def test_a_frame_is_told_the_row_by_position() -> None:
    frame = pd.DataFrame({"id": "a", "time": [0.0, 1.0, np.nan], "x": 1.0}, index=[7, 7, 9])
    assert "the frame, row 2, column 'time'" in complaint_about_frame(frame)


def test_long_and_broken_text_is_quoted_on_one_line_and_cut(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text('id,time,x\na,0,1\na,1,"two\nlines' + "!" * 1000 + '"\n', encoding="utf-8")
    message = complaint(path)
    assert "line 3, column 'x': 'two lines!!!" in message and len(message) < len(str(path)) + 200


def test_times_as_values_and_durations_as_times_are_refused() -> None:
    frame = pd.DataFrame({"id": "a", "time": [0, 1], "x": pd.to_datetime(["2013-01-01", "2013-01-02"])})
    assert "column 'x' holds times" in complaint_about_frame(frame, values=["x"])
    frame = pd.DataFrame({"id": "a", "time": pd.to_timedelta([0, 1], unit="h"), "x": 1.0})
    assert "column 'time' is not a time" in complaint_about_frame(frame)


def test_static_levels_of_the_fit_refuse_a_new_text() -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "time": 0.0, "x": 1.0, "sex": ["f", "x"]})
    message = complaint_about_frame(frame, static=["sex"], static_levels={"sex": ("f", "m")})
    assert "row 1, column 'sex'" in message and "neither 'f' nor 'm'" in message
