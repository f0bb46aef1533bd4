"""Every sweep asks for what its name says, seen by a path that writes down its queries."""

from __future__ import annotations

import pytest
import torch

from latentsde.benchmarks.brownian import sweeps

TIMES = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)


class Recorder:
    """A path that answers nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, float]] = []
        self.areas: list[tuple[float, float]] = []
        self.blocks: list[list[float]] = []

    def __call__(self, a: float, b: float) -> None:
        self.calls.append((a, b))

    def increment(self, a: float, b: float) -> None:
        self.areas.append((a, b))

    def increments(self, times: torch.Tensor) -> None:
        self.blocks.append(times.tolist())


def test_calls_are_consecutive_intervals_as_numbers() -> None:
    path = Recorder()
    sweeps.calls("a", lambda: path, TIMES).prepare(2)()
    assert path.calls == [(0.0, 0.25), (0.25, 0.5)]
    sweeps.calls("a", lambda: path, TIMES, area=True).prepare(1)()
    assert path.areas == [(0.0, 0.25)]


@pytest.mark.parametrize("turned", [True, False])
def test_the_way_back_asks_the_same_intervals_in_the_opposite_order(turned: bool) -> None:
    path = Recorder()
    sweeps.there_and_back("a", lambda: path, TIMES, turned=turned).prepare(2)()
    back = [(0.5, 0.25), (0.25, 0.0)] if turned else [(0.25, 0.5), (0.0, 0.25)]
    assert path.calls == [(0.0, 0.25), (0.25, 0.5), *back]


def test_blocks_share_their_ends_and_hold_a_bounded_number_of_numbers() -> None:
    path = Recorder()
    width = sweeps.NUMBERS_IN_A_BLOCK // 2
    sweeps.blocks("a", lambda: path, TIMES, width).prepare(3)()
    assert path.blocks == [[0.0, 0.25, 0.5], [0.5, 1.0]]


def test_a_fresh_path_is_made_for_every_run() -> None:
    made: list[Recorder] = []

    def make() -> Recorder:
        made.append(Recorder())
        return made[-1]

    contender = sweeps.at_random("a", make, sweeps.random_pairs(3))
    contender.prepare(3)()
    contender.prepare(3)()
    assert [len(path.calls) for path in made] == [3, 3]
    assert all(0.0 <= a < b <= 1.0 for a, b in made[0].calls)


@pytest.mark.parametrize("times", [sweeps.dyadic(8), sweeps.irregular(7)])
def test_grids_run_from_zero_to_one(times: torch.Tensor) -> None:
    assert times.dtype == torch.float64
    assert (float(times[0]), float(times[-1])) == (0.0, 1.0)
    assert bool((times.diff() > 0).all())
