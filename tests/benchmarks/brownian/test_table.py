"""Verdicts, and the table's lines."""

from __future__ import annotations

from latentsde.benchmarks.brownian import table
from latentsde.benchmarks.brownian.cases import ONE_CALL, Case, Group
from latentsde.benchmarks.brownian.comparison import Comparison
from latentsde.benchmarks.brownian.memory import Growth
from latentsde.benchmarks.brownian.sweeps import randn
from latentsde.benchmarks.timing import Timing

WORK = randn("work", (1,), 1)


def comparison(
    ours: float, peer: float, *, at_least: float | None = None, at_most: float | None = None
) -> Comparison:
    case = Case("tree, one call a step", WORK, WORK, at_least, at_most)
    title = ONE_CALL if at_most else "torch.randn"
    return Comparison(title, (32, 3), case, Timing("a", 64, 1024, (ours,)), Timing("b", 8, 8, (peer,)))


def growth(long: float, *, done: int = 1000, required: bool = True) -> Growth:
    return Growth("tree", (10, 1000), (10, 300.0), [(10, 299.0), (done, long)], 2.0, required)


def test_faster_is_met_from_the_required_ratio_on() -> None:
    assert comparison(1.0, 25.0, at_least=25.0).met is True
    assert comparison(1.0, 24.0, at_least=25.0).met is False
    assert comparison(1.0, 24.0).met is None


def test_overhead_is_judged_by_its_time_and_not_by_the_peer() -> None:
    assert comparison(14e-6, 1e-6, at_most=15e-6).met is True
    assert comparison(16e-6, 1.0, at_most=15e-6).met is False


def test_memory_is_judged_only_where_both_sweeps_ended() -> None:
    assert growth(305.0).met is True
    assert growth(305.1).met is False
    assert growth(400.0, done=999).met is None
    assert growth(400.0, required=False).met is None


def test_a_line_has_times_ratio_requirement_verdict_and_the_cut() -> None:
    row = comparison(12e-6, 480e-6, at_least=25.0)
    (line,) = table.lines(Group(row.title, row.shape, (row.case,)), [row])
    assert line.split() == [
        *("tree,", "one", "call", "a", "step", "(32,3)", "64", "of", "1024", "12.0", "µs", "480", "µs"),
        *("40", ">=", "25", "met"),
    ]
    (line,) = table.lines(Group(row.title, row.shape, (row.case,)), [comparison(1.0, 24.0, at_least=25.0)])
    assert line.endswith("NOT MET")


def test_an_absent_peer_is_a_line_with_the_remedy() -> None:
    (line,) = table.lines(Group("peer", (2, 3), absent="not installed: pip install peer"), [])
    assert line.split(maxsplit=1) == ["(2,3)", "not installed: pip install peer"]


def test_a_sweep_that_was_cut_off_says_so() -> None:
    line = table.memory_line(growth(303.0, done=500))
    assert "10 / 500" in line and "cut off after 2 s, of 1,000 steps" in line and "met" not in line


def test_the_verdict_counts_what_is_required() -> None:
    found = [comparison(1.0, 2.0, at_least=1.0), comparison(3.0, 2.0, at_least=1.0), comparison(1.0, 2.0)]
    grown = [growth(303.0), growth(303.0, done=5), growth(900.0, required=False)]
    assert table.verdict(found, grown) == "2 of 4 requirements met, 1 not measured to the end"
    assert table.verdict(found[:1], []) == "1 of 1 requirements met"
