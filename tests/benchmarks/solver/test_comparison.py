"""Ratios and verdicts from given times, and the table's lines. No test here waits for anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from latentsde.benchmarks.solver import table
from latentsde.benchmarks.solver.cases import BARE, COMPILED, TORCHSDE_ADJOINT, Bar, Case
from latentsde.benchmarks.solver.comparison import Comparison, compare
from latentsde.benchmarks.solver.plan import SMALL, Plan
from latentsde.benchmarks.timing import Contender, Timing


def comparison(title: str, bar: Bar | None, ours: tuple[float, ...], peer: tuple[float, ...]) -> Comparison:
    case = Case(title, "euler, ito", SMALL, bar=bar)
    return Comparison(case, Timing("ours", 1, 1, ours), Timing("peer", 1, 1, peer))


def test_a_cost_is_the_median_of_ours_over_the_peer() -> None:
    found = comparison(BARE, Bar(most=1.25), (1.2, 9.0, 3.0), (1.0, 3.0, 2.0))
    assert found.ratio == pytest.approx(1.5) and found.met is False
    assert comparison(BARE, Bar(most=1.25), (1.25,), (1.0,)).met is True


def test_a_speed_is_the_median_of_the_peer_over_ours() -> None:
    found = comparison(TORCHSDE_ADJOINT, Bar(least=4.0), (1.0, 2.0, 1.0), (4.0, 10.0, 3.0))
    assert found.ratio == pytest.approx(4.0) and found.met is True
    assert comparison(TORCHSDE_ADJOINT, Bar(least=4.0), (1.0,), (3.99,)).met is False
    assert comparison(TORCHSDE_ADJOINT, None, (1.0,), (3.99,)).met is None


def test_a_line_has_both_times_the_ratio_the_bar_and_the_verdict() -> None:
    line = table.row(comparison(BARE, Bar(most=1.25), (12e-3,), (10e-3,)))
    assert line.split() == [
        *("euler,", "ito", "32x4x32", "12.0", "ms", "10.0", "ms", "1.2", "<=", "1.25", "met")
    ]
    assert table.row(comparison(BARE, Bar(most=1.25), (13e-3,), (10e-3,))).endswith("NOT MET")


def test_a_missing_case_keeps_its_bar_and_says_why() -> None:
    found = compare(Case(BARE, "new, ito", SMALL, bar=Bar(most=1.4), absent="missing: not yet"), Plan())
    assert found.ratio is None and found.met is None
    assert table.row(found).split() == ["new,", "ito", "32x4x32", "<=", "1.40", "(missing:", "not", "yet)"]
    assert found.row()["ratio"] is None and found.row()["note"] == "missing: not yet"


def test_the_verdict_counts_the_bars() -> None:
    found = [
        comparison(BARE, Bar(most=1.25), (1.2,), (1.0,)),
        comparison(BARE, Bar(most=1.25), (1.3,), (1.0,)),
        comparison(BARE, None, (1.3,), (1.0,)),
        Comparison(Case(BARE, "new", SMALL, bar=Bar(most=1.4), absent="missing")),
    ]
    assert table.verdict(found) == "1 of 3 bars met, 1 not measured"
    assert table.verdict(found[:1]) == "1 of 1 bars met"


class Machine:
    """A clock that only work moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def contender(self, *costs: float) -> Callable[[], Contender]:
        """Takes the costs one call after the other, the last from then on."""
        left = list(costs)

        def work() -> None:
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return lambda: Contender("any", 1, lambda count: work, whole=True)


def test_both_run_once_in_a_round_and_what_is_measured_is_a_whole_solve() -> None:
    machine = Machine()
    case = Case(BARE, "euler", SMALL, machine.contender(0.3), machine.contender(0.2))
    found = compare(case, Plan(rounds=4, budget=100.0), clock=lambda: machine.now)
    assert found.ours and found.ours.seconds == pytest.approx((0.3,) * 4)
    assert found.ratio == pytest.approx(1.5) and found.note == ""


def test_the_time_to_compile_is_told_and_not_counted() -> None:
    machine = Machine()
    case = Case(COMPILED, "euler", SMALL, machine.contender(25.0, 0.1), machine.contender(0.3), first=True)
    found = compare(case, Plan(rounds=3, budget=100.0), clock=lambda: machine.now)
    assert found.ratio == pytest.approx(3.0)
    assert found.note == "first call, which compiles: 25 s"
