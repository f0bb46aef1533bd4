"""The meter tells what work allocates at its peak: not what came before, nor what was freed on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latentsde.benchmarks.adjoint_memory.meter import available_mb, peak_above

MB = 2**18  # numbers of float32

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a process's peak"
)


def test_a_known_allocation_is_measured_to_a_megabyte() -> None:
    for size in (8, 64):
        assert peak_above(lambda size=size: torch.ones(size * MB)) == pytest.approx(size, abs=1.0)


def test_what_is_freed_before_the_next_is_taken_is_not_added_up() -> None:
    def work() -> None:
        for _ in range(20):
            torch.ones(32 * MB)

    assert peak_above(work) == pytest.approx(32, abs=1.0)


def test_what_is_held_together_is_added_up() -> None:
    def work() -> None:
        held = [torch.ones(MB // 2) for _ in range(100)]  # blocks as large as a network's activations
        assert len(held) == 100

    assert peak_above(work) == pytest.approx(50, abs=1.0)


def test_holes_between_blocks_are_not_counted() -> None:
    def work() -> None:
        held = []
        for _ in range(200):  # 64 kB that stay between 64 kB that go: 12.5 MB, not 25
            gone = torch.ones(MB // 16)
            held.append(torch.ones(MB // 16))
            del gone

    assert peak_above(work) == pytest.approx(12.5, abs=1.0)


def test_a_higher_peak_before_the_work_is_not_counted() -> None:
    torch.ones(256 * MB)
    assert peak_above(lambda: torch.ones(16 * MB)) == pytest.approx(16, abs=1.0)


def test_what_was_there_before_is_not_counted() -> None:
    there = torch.ones(64 * MB)
    assert peak_above(lambda: there[: 16 * MB].clone()) == pytest.approx(16, abs=1.0)


def test_the_peak_of_a_backward_pass_has_every_saved_activation() -> None:
    def work() -> None:
        x = torch.ones(MB, requires_grad=True)
        y = x
        for _ in range(20):
            y = y.tanh()  # 1 MB each, all of them saved
        y.sum().backward()

    # x, 20 activations, and up to three gradients that are alive at one time.
    assert 21 <= peak_above(work) <= 26


def test_free_memory_is_known() -> None:
    free = available_mb()
    assert free is not None and free > 100
