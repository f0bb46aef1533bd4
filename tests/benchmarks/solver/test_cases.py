"""Which cases `latentsde bench solver` has, and their bars."""

from __future__ import annotations

import sys

import pytest

from latentsde.benchmarks.installed import REMEDY
from latentsde.benchmarks.solver.cases import (
    BARE,
    COMPILED,
    CONSTANT,
    DIFFRAX,
    DIRECT,
    TORCHSDE,
    TORCHSDE_ADJOINT,
    Case,
    cases,
)
from latentsde.benchmarks.solver.ours import every_method
from latentsde.benchmarks.solver.plan import FULL, LARGE, MEDIUM, QUICK, SMALL, Size
from latentsde.benchmarks.solver.problem import problem
from latentsde.solvers import METHODS
from latentsde.solvers.choice import fits
from latentsde.solvers.equation import Equation


@pytest.fixture(scope="module")
def full() -> list[Case]:
    return list(cases(FULL))


def bars(full: list[Case], title: str, what: str = "") -> set[tuple[Size, str]]:
    chosen = [case for case in full if case.title == title and case.what.startswith(what) and case.bar]
    return {(case.size, str(case.bar)) for case in chosen}


def test_the_sizes_are_those_of_the_specification() -> None:
    assert [str(size) for size in FULL.sizes] == ["32x4x32", "256x4x64", "1024x16x128"]
    assert FULL.steps == 200 and not FULL.quick and QUICK.quick


def test_the_bars_are_those_of_the_specification(full: list[Case]) -> None:
    larger = (MEDIUM, LARGE)
    assert bars(full, BARE, "euler, ") == {(SMALL, "<= 1.25")} | {(size, "<= 1.15") for size in larger}
    for method in METHODS.keys() - {"euler"}:
        assert bars(full, BARE, f"{method}, ") == {(SMALL, "<= 1.40")} | {(s, "<= 1.25") for s in larger}
    assert bars(full, DIRECT) == {(size, "<= 1.10") for size in FULL.sizes}
    assert bars(full, CONSTANT) == {(size, "<= 1.60") for size in FULL.sizes}
    assert bars(full, TORCHSDE_ADJOINT) == {(SMALL, ">= 4"), (MEDIUM, ">= 4"), (LARGE, ">= 2.8")}
    assert bars(full, COMPILED) == {(SMALL, ">= 2")}
    assert bars(full, TORCHSDE) == bars(full, DIFFRAX) == set()


def test_every_method_is_held_against_its_own_evaluations(full: list[Case]) -> None:
    for size in FULL.sizes:
        named = [case.what.split(",")[0] for case in full if case.title == BARE and case.size == size]
        methods = [name for name in named if not name.startswith("for comparison")]
        assert methods == list(METHODS) and len(named) > len(methods)


def test_every_method_is_measured_on_a_problem_that_it_takes() -> None:
    assert [ours.method for ours in every_method()] == list(METHODS)
    for ours in every_method():
        assert fits(METHODS[ours.method], Equation(problem(ours.kind, SMALL)))


def test_costs_are_ours_over_the_peer_and_speeds_the_other_way_round(full: list[Case]) -> None:
    above = {case.title for case in full if case.ours_above}
    assert above == {BARE, DIRECT, CONSTANT}
    assert all((case.bar.most is not None) == case.ours_above for case in full if case.bar)


def test_absent_peers_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for peer in ("torchsde", "jax", "diffrax"):
        monkeypatch.setitem(sys.modules, peer, None)
    titles = {case.title for case in cases(QUICK) if case.absent == REMEDY}
    assert titles == {TORCHSDE_ADJOINT, TORCHSDE, DIFFRAX}


def test_the_quick_plan_compiles_nothing_and_takes_the_smallest_size() -> None:
    quick = list(cases(QUICK))
    assert {case.size for case in quick} == {SMALL}
    assert all(case.title != COMPILED for case in quick)


@pytest.mark.parametrize("text", ["32x4", "32x4x0", "axbxc", "", "1x2x3x4"])
def test_a_size_is_three_positive_numbers(text: str) -> None:
    assert Size.read(str(LARGE)) == LARGE
    with pytest.raises(ValueError):
        Size.read(text)
