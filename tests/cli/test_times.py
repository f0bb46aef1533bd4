"""`--times`: grids that end where one says, and files of times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentsde.cli.times import asked_times, parse_range
from latentsde.data import IrregularSeries
from latentsde.errors import InputError

decimals = st.decimals(-1000, 1000, places=3)
steps = st.decimals("0.001", 100, places=3)


@given(decimals, steps, st.integers(0, 500))
def test_stop_is_included_when_it_is_on_the_grid(start, step, count) -> None:
    stop = start + step * count
    times = parse_range(f"{start}:{stop}:{step}")
    assert len(times) == count + 1
    assert times[0] == float(start) and times[-1] == float(stop)


@given(decimals, steps, st.integers(0, 500), st.floats(0.01, 0.99))
def test_nothing_is_after_a_stop_between_the_grid_and_the_next_point_would_be(
    start, step, count, part
) -> None:
    stop = float(start + step * count) + part * float(step)
    times = parse_range(f"{start}:{stop}:{step}")
    assert len(times) == count + 1
    assert times[-1] < stop < times[-1] + float(step)


@given(decimals, steps, st.integers(2, 500))
def test_times_are_the_numbers_one_writes(start, step, count) -> None:
    times = parse_range(f"{start}:{start + step * count}:{step}")
    assert (np.diff(times) > 0).all()
    assert [float(start + step * k) for k in range(count + 1)] == times.tolist()


@pytest.mark.parametrize("step", ["0.333333333333", "0.33333333333333331"])
def test_stop_is_included_up_to_rounding(step: str) -> None:
    assert parse_range(f"0:1:{step}").tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=1e-11)
    assert parse_range(f"0:1:{step}")[-1] == 1.0


@pytest.mark.parametrize("text", ["0:48:12", "-5:5:2.5", " 1e1 : 2E1 : 5. ", ".5:.5:1", "+1:+2:1"])
def test_usual_ways_to_write_numbers_are_understood(text: str) -> None:
    start, stop, step = (float(part) for part in text.split(":"))
    assert parse_range(text).tolist() == np.arange(start, stop + 1e-9, step).tolist()


@pytest.mark.parametrize(
    "text",
    [
        "3:1:1",
        "0:1:0",
        "0:1:-1",
        "0:1e9:1e-3",
        "0:1:1e-999999",
        "1e16:1.0000000000000001e16:0.5",
        "0:1e400:1e399",
    ],
)
def test_a_grid_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--times"):
        parse_range(text)


@pytest.mark.parametrize("text", ["", "1:2", "nan:1:1", "0:inf:1", "0:1:x", "a:b:c", "1:2:3:4", "missing"])
def test_what_is_neither_grid_nor_file_is_refused(text: str, series: IrregularSeries) -> None:
    with pytest.raises(InputError, match=r"START:STOP:STEP|directory|does not exist"):
        asked_times(text, series)


@pytest.fixture
def series() -> IrregularSeries:
    frame = pd.DataFrame({"id": ["a", "a", "b", "b"], "t": [0.0, 1.0, 0.0, 2.0], "x": [1.0, 2.0, 3.0, 4.0]})
    return IrregularSeries.from_frame(frame, id="id", time="t")


@pytest.fixture
def dated() -> IrregularSeries:
    days = ["2020-01-01", "2020-01-02", "2020-02-01", "2020-02-03"]
    frame = pd.DataFrame({"id": ["a", "a", "b", "b"], "t": days, "x": [1.0, 2.0, 3.0, 4.0]})
    return IrregularSeries.from_frame(frame, id="id", time="t", time_unit="D")


def file_of(tmp_path: Path, text: str) -> str:
    (tmp_path / "when.csv").write_text(text)
    return str(tmp_path / "when.csv")


def test_one_column_is_for_every_series_sorted_and_each_once(tmp_path: Path, series: IrregularSeries) -> None:
    chosen, asked = asked_times(file_of(tmp_path, "t\n3\n1\n3\n"), series)
    assert list(chosen.names) == ["a", "b"]
    assert [part.tolist() for part in asked] == [[1.0, 3.0], [1.0, 3.0]]


def test_with_ids_each_series_has_its_own_times_and_the_others_are_left_out(
    tmp_path: Path, series: IrregularSeries
) -> None:
    chosen, asked = asked_times(file_of(tmp_path, "t,id\n5,b\n4,b\n"), series)
    assert list(chosen.names) == ["b"]
    assert [part.tolist() for part in asked] == [[4.0, 5.0]]


def test_dates_count_from_the_origin_of_their_series(tmp_path: Path, dated: IrregularSeries) -> None:
    _, asked = asked_times(file_of(tmp_path, "t\n2020-02-02\n"), dated)
    assert [part.tolist() for part in asked] == [[32.0], [1.0]]


def test_numbers_for_dated_series_count_in_their_unit(tmp_path: Path, dated: IrregularSeries) -> None:
    _, asked = asked_times(file_of(tmp_path, "t\n0.5\n"), dated)
    assert [part.tolist() for part in asked] == [[0.5], [0.5]]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "empty"),
        ("t\n", "no rows"),
        ("t\n1\n2\nx\n", "line 4, column 't'"),
        ("t\n1\ninf\n", "line 3, column 't'"),
        ("1\n2\n", "line 1"),
        ("id,u\na,1\n", "line 1"),
        ("id,t\na,1\nc,2\n", "line 3, column 'id'"),
        ("id,t\na,1\n,2\n", "line 3, column 'id'"),
        ("id,t\na,1,2\n", "line 2"),
        ("t\n2020-01-01\n", "column 't'"),
    ],
)
def test_a_faulty_file_is_refused_with_the_place(
    tmp_path: Path, series: IrregularSeries, text: str, place: str
) -> None:
    with pytest.raises(InputError) as caught:
        asked_times(file_of(tmp_path, text), series)
    assert "when.csv" in str(caught.value) and place in str(caught.value)
