"""What ours is timed against does the same: the hand-written loops, and torchsde's and diffrax' problem."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde.benchmarks.installed import missing
from latentsde.benchmarks.solver import loops, peers
from latentsde.benchmarks.solver.ours import Ours, every_method
from latentsde.benchmarks.solver.plan import Size
from latentsde.benchmarks.solver.problem import KINDS, problem, start
from latentsde.brownian import Increments
from latentsde.solvers import solve

SIZE, STEPS = Size(3, 2, 4), 8


class Given:
    """A path with the increments that a hand-written loop was given."""

    def __init__(self, dW: Tensor) -> None:
        self.dW, self.shape = dW, tuple(dW.shape[1:])

    def increments(self, times: Tensor) -> Increments:
        first = round(float(times[0]) * STEPS)
        return Increments(self.dW[first : first + len(times) - 1], None)


@pytest.mark.parametrize("method", sorted(loops.LOOPS))
def test_a_hand_written_loop_is_the_method(method: str) -> None:
    sde: Any = problem("ito" if method == "euler" else "stratonovich", SIZE)
    dW = loops.noise((SIZE.batch, SIZE.channels), STEPS)
    by_hand = loops.run(method, sde, start(SIZE), STEPS, dW)
    ours = solve(sde, start(SIZE), (0.0, 1.0), method=method, dt=1.0 / STEPS, path=Given(dW)).ys[-1]
    torch.testing.assert_close(by_hand, ours, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ours", every_method(), ids=lambda ours: ours.method)
def test_a_solve_takes_the_steps_and_evaluations_that_the_bare_side_makes(ours: Ours) -> None:
    sde: Any = problem(ours.kind, SIZE)
    calls = {"f": 0, "g": 0}
    for name in calls:
        if hasattr(sde, name):
            setattr(sde, name, counted(calls, name, getattr(sde, name)))
    with torch.no_grad():
        stats = ours.solve(sde, start(SIZE), STEPS).stats
    assert stats.steps == STEPS
    assert (calls["f"], calls["g"]) == ours.evaluations(STEPS)
    calls.update(f=0, g=0)
    loops.bare(sde, start(SIZE), *ours.evaluations(STEPS))
    assert (calls["f"], calls["g"]) == ours.evaluations(STEPS)


def counted(calls: dict[str, int], name: str, function: Any) -> Any:
    def call(*arguments: Any) -> Any:
        calls[name] += 1
        return function(*arguments)

    return call


@pytest.mark.parametrize("kind", [*KINDS, "dense"])
def test_a_problem_is_the_same_each_time(kind: str) -> None:
    for one, other in zip(problem(kind, SIZE).parameters(), problem(kind, SIZE).parameters(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(start(SIZE), start(SIZE))


def test_noise_of_a_channel_depends_on_that_channel_alone() -> None:
    sde: Any = problem("ito", SIZE)
    y = start(SIZE)[:1]
    jacobian = torch.autograd.functional.jacobian(lambda y: sde.g(0.0, y[None])[0], y[0])
    assert torch.equal(jacobian, jacobian.diag().diag())


@pytest.mark.skipif(missing("jax", "diffrax") is not None, reason="the peer is not installed")
def test_every_contender_of_diffrax_runs() -> None:
    for backward, tree in ((False, True), (False, False), (True, True)):
        contender = peers.diffrax_solve(SIZE, STEPS, backward=backward, tree=tree)
        found: Any = contender.prepare(1)()
        end = found[1] if backward else found  # the gradient by y0, or the end
        assert end.shape == (SIZE.batch, SIZE.channels) and bool((abs(end) < 1e3).all())
