"""Interleaved measurement, by contenders that move an injected clock: no test here waits for anything."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import torch

from latentsde.benchmarks.timing import Contender, Timing, fitting_steps, interleave, torch_threads


@dataclass
class Machine:
    """A clock that only work moves, and a list of who worked."""

    now: float = 0.0
    ran: list[tuple[str, int]] = field(default_factory=list)
    slowdown: Callable[[float], float] = lambda now: 1.0

    def clock(self) -> float:
        return self.now

    def contender(self, name: str, cost: float, full: int = 8, increments: int = 1) -> Contender:
        """Takes `cost` seconds a step, times what else the machine does at that time."""

        def prepare(steps: int) -> Callable[[], None]:
            def work() -> None:
                assert not gc.isenabled()
                self.ran.append((name, steps))
                self.now += steps * cost * self.slowdown(self.now)

            return work

        return Contender(name, full, prepare, increments)


def test_every_round_runs_each_contender_once_in_turn() -> None:
    machine = Machine()
    pair = [machine.contender("a", 0.01), machine.contender("b", 0.03)]
    timings = interleave(pair, rounds=3, limit=1.0, budget=100.0, clock=machine.clock)
    assert machine.ran[-6:] == [("a", 8), ("b", 8)] * 3
    assert [len(timing.seconds) for timing in timings.values()] == [3, 3]


def test_seconds_are_those_of_an_increment() -> None:
    machine = Machine()
    there_and_back = machine.contender("a", 0.5, increments=2)
    timing = interleave([there_and_back], rounds=1, limit=10.0, budget=100.0, clock=machine.clock)["a"]
    assert timing.seconds == pytest.approx((0.25,))


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    ours = Timing("ours", 1, 1, (1.0, 10.0, 2.0))
    peer = Timing("peer", 1, 1, (3.0, 20.0, 12.0))
    assert ours.times_faster(peer) == 3.0  # of 3, 2 and 6; the ratio of the medians would be 6
    assert (ours.median, peer.median) == (2.0, 12.0)


def test_a_machine_that_slows_down_does_not_move_the_ratio() -> None:
    machine = Machine(slowdown=lambda now: 1.0 + now // 1.0)
    pair = [machine.contender("ours", 0.001), machine.contender("peer", 0.004)]
    found = interleave(pair, rounds=31, limit=1.0, budget=1e9, clock=machine.clock)
    assert found["peer"].seconds[-1] > 2 * found["peer"].seconds[0]
    assert found["ours"].times_faster(found["peer"]) == pytest.approx(4.0)


def test_a_slow_pattern_is_cut_to_a_power_of_two() -> None:
    machine = Machine()
    cut = machine.contender("slow", 0.01, full=1000)
    gc.disable()
    try:
        assert fitting_steps(cut, 0.5, machine.clock) == 32
        assert fitting_steps(machine.contender("fast", 1e-6, full=1000), 0.5, machine.clock) == 1000
        assert fitting_steps(machine.contender("stuck", 60.0, full=1000), 0.5, machine.clock) == 1
        assert fitting_steps(machine.contender("free", 0.0, full=1000), 0.5, machine.clock) == 1000
    finally:
        gc.enable()


def test_a_pattern_whose_cost_depends_on_its_length_is_never_cut() -> None:
    machine = Machine()
    gc.disable()
    try:
        whole = replace(machine.contender("whole", 1.0, full=1000), whole=True)
        assert fitting_steps(whole, 0.5, machine.clock) == 1000
    finally:
        gc.enable()


def test_rounds_beyond_the_budget_are_left_out_but_never_the_first() -> None:
    machine = Machine()
    slow = machine.contender("slow", 1.0, full=1)
    assert len(interleave([slow], rounds=50, limit=1.0, budget=7.0, clock=machine.clock)["slow"].seconds) == 5
    assert machine.now <= 7.0
    assert len(interleave([slow], rounds=50, limit=1.0, budget=0.1, clock=machine.clock)["slow"].seconds) == 1


def test_the_garbage_collector_comes_back_on_also_after_an_error() -> None:
    def prepare(steps: int) -> Callable[[], None]:
        raise RuntimeError("cannot prepare")

    with pytest.raises(RuntimeError, match="cannot prepare"):
        interleave([Contender("a", 1, prepare)], rounds=1, limit=1.0, budget=1.0)
    assert gc.isenabled()


def test_threads_are_as_before_after_the_block() -> None:
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
