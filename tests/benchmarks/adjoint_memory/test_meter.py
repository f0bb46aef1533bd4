"""The meter tells what work allocates at its peak: not what came before, nor what was freed on the way."""

from __future__ import annotations

import time

import pytest
import torch

from latentsde.benchmarks.adjoint_memory import meter
from latentsde.benchmarks.adjoint_memory.meter import available_mb, peak_above

MB = 2**18  # numbers of float32

glibc = pytest.mark.skipif(meter._glibc() is None, reason="only glibc tells what malloc has given out")


def hold(*sizes: float) -> None:
    """Tensors of these megabytes, alive together long enough to be seen."""
    held = [torch.ones(int(size * MB)) for size in sizes]
    time.sleep(0.05)
    assert len(held) == len(sizes)


@glibc
@pytest.mark.parametrize("sizes", [(8.0,), (64.0,), (0.5,) * 100, (1 / 16,) * 160])
def test_a_known_allocation_is_measured(sizes: tuple[float, ...]) -> None:
    assert peak_above(lambda: hold(*sizes)) == pytest.approx(sum(sizes), abs=0.2)


@glibc
def test_what_is_freed_before_the_next_is_taken_is_not_added_up() -> None:
    assert peak_above(lambda: [hold(4.0) for _ in range(5)]) == pytest.approx(4.0, abs=0.2)


@glibc
def test_holes_between_blocks_are_not_counted() -> None:
    def work() -> None:
        held = []
        for _ in range(200):  # 64 kB that stay between 64 kB that go
            gone = torch.ones(MB // 16)
            held.append(torch.ones(MB // 16))
            del gone
        time.sleep(0.05)

    assert peak_above(work) == pytest.approx(12.5, abs=0.3)


@glibc
def test_a_higher_peak_before_the_work_is_not_counted() -> None:
    hold(256.0)
    assert peak_above(lambda: hold(16.0)) == pytest.approx(16.0, abs=0.2)


@glibc
def test_what_was_there_before_is_not_counted() -> None:
    there = torch.ones(64 * MB)
    assert peak_above(lambda: hold(16.0)) == pytest.approx(16.0, abs=0.2)
    assert there.numel() == 64 * MB


@glibc
def test_activations_that_a_backward_pass_needs_are_counted() -> None:
    def work() -> None:
        y = torch.ones(MB, requires_grad=True)
        for _ in range(20):
            y = y.tanh()  # 1 MB each, all of them saved
        time.sleep(0.05)
        y.sum().backward()

    # The input, 20 activations, and up to three gradients that are alive at one time.
    assert 20.9 <= peak_above(work) <= 24.2


def test_without_glibc_it_is_what_is_resident(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("resource")
    monkeypatch.setattr(meter, "_glibc", lambda: None)
    already = meter._most_resident()
    peak = peak_above(lambda: hold(64.0))
    assert 0.0 <= peak <= 80.0 and meter._most_resident() >= already


def test_free_memory_is_known_where_the_system_tells() -> None:
    free = available_mb()
    assert free is None or free > 0
