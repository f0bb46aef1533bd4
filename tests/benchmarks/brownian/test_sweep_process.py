"""The sweeps of the memory table, carried out in this process: steps, marks, and where they stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from latentsde.benchmarks.brownian import memory
from latentsde.benchmarks.brownian.sweep_process import Sweep, carry_out, peak_mb

SWEEP = Sweep("aligned", "calls", (2, 1), grid=2100, backwards=False, threads=1, seconds=60.0)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("asked", ["calls", "blocks"])
@pytest.mark.parametrize("kind", ["tree", "aligned"])
def test_every_pattern_sweeps_the_steps_asked_for(kind: str, asked: str, backwards: bool) -> None:
    sweep = replace(SWEEP, kind=kind, asked=asked, backwards=backwards, grid=48)
    assert [steps for steps, _ in carry_out(sweep, 32)] == [32]


def test_the_peak_is_noted_along_a_sweep() -> None:
    peaks = carry_out(SWEEP, 2100)
    assert [steps for steps, _ in peaks] == [1000, 2000, 2100]
    megabytes = [mb for _, mb in peaks]
    assert megabytes == sorted(megabytes) and megabytes[0] > 1.0


def test_a_sweep_stops_when_its_time_is_over() -> None:
    assert [steps for steps, _ in carry_out(replace(SWEEP, seconds=0.0), 2100)] == [1]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's own peak")
def test_the_peak_of_a_sweep_is_not_that_of_the_process_that_started_it() -> None:
    ballast = bytearray(b"x") * (256 * 2**20)
    (*_, (steps, child)), _ = memory._in_a_process(replace(SWEEP, grid=20), 20)
    assert steps == 20
    assert 10.0 < child < peak_mb() - len(ballast) / 2**21


def test_a_sweep_that_fails_shows_why() -> None:
    with pytest.raises(memory.SweepFailed, match="there is no path of the kind"):
        memory._in_a_process(replace(SWEEP, kind="nothing"), 20)
