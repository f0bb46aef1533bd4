"""A path takes the memory of its parameters, however many steps it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentsde.benchmarks.brownian.memory import ALLOWED, growths
from latentsde.benchmarks.brownian.plan import MemoryPlan
from latentsde.brownian import kernels


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's own peak")
def test_a_million_steps_take_the_memory_of_a_thousand() -> None:
    # Small shapes: one of (1024, 16) is the benchmark's. Each sweep is a process of its own.
    if kernels.cpu() is None:
        pytest.skip("the C++ kernel is not built, and without it a million steps take too long")
    plan = MemoryPlan(
        shape=(16, 16),
        short=20_000,  # more than one block, whose answer is 16 MB
        long=1_000_000,
        long_back=0,
        seconds=60.0,
        every_pattern=False,
        peer_seconds=0.0,
    )
    found = list(growths(plan, threads=1))
    assert [growth.what for growth in found] == ["tree, one call a step", "aligned, by blocks"]
    for growth in found:
        assert growth.complete and growth.grown <= ALLOWED, growth
