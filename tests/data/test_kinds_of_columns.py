"""Columns of classes and values known by their limits: what is read is what was written."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentsde.data import IrregularSeries, Scaler, collate
from latentsde.data.limits import format_limits, parse_limits, representative
from latentsde.errors import InputError

INF = math.inf


def read(**options: object) -> IrregularSeries:
    columns = {name: options.pop(name) for name in ("stage", "crp") if name in options}
    table = pd.DataFrame({"id": ["b", "a", "a", "b"], "t": [1, 2, 1, 0], **columns})
    return IrregularSeries.from_frame(table, id="id", time="t", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("<0.3", (-INF, 0.3)),
        ("< 5", (-INF, 5.0)),
        ("<=5", (-INF, 5.0)),
        ("≤1e-3", (-INF, 1e-3)),
        (">40", (40.0, INF)),
        ("≥ -40.5", (-40.5, INF)),
        ("5-10", (5.0, 10.0)),
        ("-5--3", (-5.0, -3.0)),
        (".5..0.75", (0.5, 0.75)),
        ("10-5", None),
        ("5-5", None),
        ("<", None),
        ("<high", None),
        ("1e999-2e999", None),
        ("<1e999", None),
        ("2020-01-02", None),
        ("about 3", None),
    ],
)
def test_limits_are_read_as_laboratories_write_them(text: str, ends: tuple[float, float] | None) -> None:
    assert parse_limits(text) == ends


@given(
    st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)).filter(
        lambda e: e[0] < e[1] and np.isfinite(e).any()
    )
)
def test_limits_are_written_as_they_are_read(ends: tuple[float, float]) -> None:
    assert parse_limits(format_limits(*ends)) == ends
    lower, upper = ends
    assert lower <= float(representative(np.array(ends))) <= upper or upper - lower == INF


def test_a_column_may_mix_values_and_limits() -> None:
    series = read(crp=["<0.3", "1.5", None, "2-4"])
    assert series.features == ("crp",)
    np.testing.assert_array_equal(series.values[:, 0], [3.0, 0.3, np.nan, 1.5])  # sorted by series and time
    assert series.limits is not None
    np.testing.assert_array_equal(
        series.limits[:, 0], [[2.0, 4.0], [-INF, 0.3], [np.nan, np.nan], [np.nan, np.nan]]
    )
    frame = series.to_frame()
    assert frame["crp"].tolist()[:2] == ["2.0..4.0", "<0.3"]
    again = IrregularSeries.from_frame(frame, id="id", time="t")
    assert again.limits is not None
    np.testing.assert_array_equal(again.limits, series.limits)
    part = series.select([1])
    assert part.limits is not None and np.isnan(part.limits).all()
    assert read(crp=[1.0, 2.0, None, 3.0]).limits is None


def test_a_batch_has_scaled_limits_of_what_is_observed() -> None:
    series = read(crp=["<0.3", "1.5", "1", "2-4"])
    scaler = Scaler(("crp",), np.array([1.0]), np.array([2.0]), np.zeros(0), np.ones(0))
    batch = collate(series, [0, 1], scaler)
    assert batch.limits is not None and batch.limits.dtype == torch.float32
    first = batch.limits[0, :, 0]  # series b: 2-4 at 0, <0.3 at 1
    torch.testing.assert_close(first, torch.tensor([[0.5, 1.5], [-INF, -0.35]]))
    assert batch.limits[1].isnan().all()
    visible, withheld = series.hold_out_after(time=0.5)
    hidden = collate(visible, [0], scaler)
    assert hidden.limits is not None and hidden.limits.shape == (1, 1, 1, 2)
    assert withheld.limits is series.limits


def test_classes_by_name_are_numbered_alphabetically_and_come_back() -> None:
    series = read(stage=["late", "early", None, "middle"], categories=["stage"])
    assert series.levels == {"stage": ("early", "late", "middle")}
    np.testing.assert_array_equal(series.values[:, 0], [2.0, 1.0, np.nan, 0.0])
    assert series.to_frame()["stage"].tolist() == ["middle", "late", None, "early"]
    again = IrregularSeries.from_frame(series.to_frame(), id="id", time="t", categories=series.levels)
    np.testing.assert_array_equal(again.values, series.values)


@pytest.mark.parametrize("numbers", [[3, 1, 4, 1], ["3", "1.0", "4", "1"], [3.0, 1.0, 4.0, 1.0]])
def test_classes_by_number_stand_for_themselves(numbers: list[object]) -> None:
    series = read(stage=numbers, categories="stage")
    assert series.levels == {"stage": ("1", "3", "4")}
    np.testing.assert_array_equal(series.values[:, 0], [0.0, 1.0, 2.0, 0.0])


def test_other_data_are_read_with_the_classes_known() -> None:
    series = read(stage=["late"] * 4, categories={"stage": ("early", "late")})
    assert series.levels == {"stage": ("early", "late")} and (series.values == 1.0).all()


@pytest.mark.parametrize(
    ("stage", "categories", "words"),
    [
        (
            ["a", "b", "c", "d"],
            {"stage": ("a", "b")},
            "row 2, column 'stage': 'c' is none of the classes known",
        ),
        ([1, 2, 1.7, 1], ["stage"], "row 2, column 'stage': 1.7 is no class"),
        (["a"] * 4, ["stage"], "'stage' holds 1 class; a categorical column has 2 to 200"),
        (["a", "b", "a", "b"], ["grade"], "no column 'grade' to be categorical"),
        (["a", "b", "a", "b"], ["id"], "'id' is to be categorical but is not among the values"),
    ],
)
def test_what_is_no_class_is_refused(stage: list[object], categories: object, words: str) -> None:
    with pytest.raises(InputError) as error:
        read(stage=stage, categories=categories)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_categories_have_to_be_among_the_values_named() -> None:
    with pytest.raises(InputError, match="'stage' is to be categorical but is not among the values"):
        read(stage=["a", "b", "a", "b"], crp=[1, 2, 3, 4], values=["crp"], categories=["stage"])
