"""Points, predictions and verdicts from given figures; the processes on a tiny problem."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from latentsde.benchmarks.adjoint_memory import growth as module
from latentsde.benchmarks.adjoint_memory import process, table
from latentsde.benchmarks.adjoint_memory.contenders import BY_NAME, CONTENDERS, Contender
from latentsde.benchmarks.adjoint_memory.figure import spread
from latentsde.benchmarks.adjoint_memory.growth import Growth, Point, SolveFailed, grow, in_a_process
from latentsde.benchmarks.adjoint_memory.plan import FULL
from latentsde.benchmarks.adjoint_memory.process import Solve, carry_out

DIRECT, BACKSOLVE = BY_NAME["direct"], BY_NAME["backsolve"]


def linear(solve: Solve) -> tuple[float, float]:
    return 10.0 + 1.5 * solve.steps, 1e-3 * solve.steps


def points(*megabytes: float) -> tuple[Point, ...]:
    return tuple(Point(steps, mb, 1.0) for steps, mb in zip(FULL.steps, megabytes, strict=False))


def test_the_plan_is_that_of_the_specification() -> None:
    assert str(FULL.size) == "1024x16x128"
    assert FULL.steps == (100, 300, 1_000, 3_000, 10_000)
    named = {contender.adjoint for contender in CONTENDERS}
    assert {"direct", "checkpointed", "backsolve", "reversible", "sdeint", "sdeint_adjoint"} <= named
    assert {contender.name for contender in CONTENDERS if contender.constant} == {"backsolve", "reversible"}


def test_what_would_not_fit_is_predicted_from_the_points_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_mb", lambda device: 8_000.0)
    found = grow(DIRECT, FULL, 1, linear)
    assert [point.mb for point in found.points] == [160.0, 460.0, 1510.0, None, None]
    assert [point.predicted_mb for point in found.points[3:]] == pytest.approx([4510.0, 15010.0])
    assert "3,000, 10,000 steps left out" in found.note and "50%" in found.note
    assert "[15,010]" in table.memory_row(found)


def test_the_first_two_points_are_measured_whatever_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_mb", lambda device: 0.0)
    assert [point.mb for point in grow(DIRECT, FULL, 1, linear).points][:2] == [160.0, 460.0]


def test_where_free_memory_is_not_known_everything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_mb", lambda device: None)
    assert len(grow(DIRECT, FULL, 1, linear).measured) == 5


def test_constant_memory_is_met_within_five_per_cent() -> None:
    assert Growth(BACKSOLVE, points(20.0, 20.0, 22.0, 20.0, 21.0)).met is True
    assert Growth(BACKSOLVE, points(20.0, 20.0, 20.0, 20.0, 21.1)).met is False
    assert Growth(BACKSOLVE, (*points(20.0, 20.0), Point(1_000))).met is None
    assert Growth(DIRECT, points(20.0, 60.0)).met is None


def test_linear_growth_has_the_power_one() -> None:
    assert Growth(DIRECT, points(15.0, 45.0, 150.0)).power == pytest.approx(1.0)
    assert Growth(BACKSOLVE, points(15.0, 15.0)).power == pytest.approx(0.0)
    assert Growth(DIRECT, ()).power is None


def test_a_solve_that_fails_ends_its_line_with_the_reason() -> None:
    def fails(solve: Solve) -> tuple[float, float]:
        if solve.steps > 300:
            raise SolveFailed("MemoryError")
        return linear(solve)

    found = grow(DIRECT, FULL, 1, fails)
    assert len(found.points) == 2 and found.note == "1,000 steps: MemoryError"
    assert "(1,000 steps: MemoryError)" in table.memory_row(found)


def test_a_contender_that_is_not_there_is_named() -> None:
    found = grow(Contender("none", "ito", "euler", "diffrax"), replace(FULL, device="cuda"), 1, linear)
    assert found.points == () and found.note == "jax allocates by itself"
    assert found.note in table.memory_row(found) and table.time_row(found).strip() == "none"


def test_the_verdict_counts_what_must_not_grow() -> None:
    found = [
        Growth(BACKSOLVE, points(20.0, 20.0)),
        Growth(BY_NAME["reversible"], points(20.0, 30.0)),
        Growth(replace(BACKSOLVE, name="new"), (), "missing: not yet"),
        Growth(DIRECT, points(20.0, 60.0)),
    ]
    assert table.verdict(found) == "1 of 3 bars met, 1 not measured"


def test_a_line_has_the_peaks_their_growth_and_the_verdict() -> None:
    line = table.memory_row(Growth(BACKSOLVE, points(20.0, 20.0, 20.0, 20.0, 21.0)))
    assert line.split() == ["backsolve", *["20.0"] * 4, "21.0", "1.05", "<=", "1.05", "met"]
    line = table.time_row(Growth(BACKSOLVE, points(20.0, 20.0)))
    assert line.split() == ["backsolve", "1.00", "s", "1.00", "s", "3.33", "ms"]


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_every_contender_has_memory_and_time(contender: Contender, monkeypatch: pytest.MonkeyPatch) -> None:
    if absent := contender.missing():
        pytest.skip(absent)
    monkeypatch.setattr(
        process, "_WATCHED", 12
    )  # a peak of so few steps may be missed: its size is not looked at
    mb, seconds = carry_out(Solve(contender.name, "4x2x3", 6, 1))
    assert mb >= 0.0 and seconds > 0.0


def test_a_point_is_measured_in_a_process_of_its_own() -> None:
    mb, seconds = in_a_process(Solve("direct", "512x4x128", 40, 1))
    # Two layers of 512 x 128 numbers are saved in each step, and less than as much again of smaller ones.
    assert 20.0 < mb < 40.0 and seconds > 0.0


def test_a_process_that_fails_shows_why() -> None:
    with pytest.raises(SolveFailed, match="KeyError: 'nothing'"):
        in_a_process(Solve("nothing", "4x2x3", 6, 1))


def test_names_are_moved_apart_and_stay_in_order() -> None:
    assert spread([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
    places = spread([0.1, 0.12, 0.13, 0.25, 0.9], 0.1)
    assert all(later - earlier >= 0.1 - 1e-9 for earlier, later in pairwise(places))
