"""Steps are counted, every requested time is a step point, and no step is a rounding error wide."""

from __future__ import annotations

import itertools
import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import example, given
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import ConstantStep, GivenGrid
from latentsde.solvers.grid import read_times
from tests.significance import bound, variance_z
from tests.solvers.equations import DOUBLE, Growth


class Noise:
    """dy = dW."""

    noise_type, sde_type, additive = "diagonal", "ito", True

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(y)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.ones_like(y)


def grid_of(times: list[float], dt: float) -> Tensor:
    grid = ConstantStep(dt).grid(torch.tensor(times, dtype=DOUBLE))
    assert torch.equal(grid.points[grid.outputs], torch.tensor(times, dtype=DOUBLE))
    return grid.points


@pytest.mark.parametrize(
    ("times", "dt", "steps"),
    [
        ([0, 1], 0.1, 10),
        ([0, 1], 0.01, 100),
        ([0, 1], 1e-3, 1000),
        ([0, 20], 1e-3, 20_000),
        ([0, 0.3], 0.1, 3),
        ([0.1, 0.7], 0.1, 6),
        ([0, 1], 0.3, 4),
        ([0, 1], 5.0, 1),
        ([1, 0], 0.1, 10),
        ([1e6, 1e6 + 1], 0.1, 10),
        ([0, 0.05, 1], 0.1, 11),
        ([k / 10 for k in range(11)], 0.1, 10),
        ([0, 0.30000001], 0.1, 4),
        ([0, 0.30000001192092896], 0.1, 3),  # 0.3 in float32
        ([1e6, 1e6 + 1], 0.05, 20),
        (torch.linspace(0, 1, 11).tolist(), 0.1, 10),
        (torch.linspace(1, 0, 101).tolist(), 0.01, 100),
        (torch.linspace(0, 20, 201).tolist(), 0.1, 200),
    ],
)
def test_steps_are_counted(times: list[float], dt: float, steps: int) -> None:
    assert len(grid_of(times, dt)) - 1 == steps
    assert solve(Growth(), torch.ones(1), times, dt=dt, method="euler").stats.steps == steps


@given(st.integers(1, 3000), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_a_whole_number_of_steps_is_that_number(steps: int, dt: float, start: float) -> None:
    # Unless the start is so far away that the end is rounded to another fraction of a step.
    end = start + steps * dt
    if abs(abs(end - start) / dt - steps) < 1e-9 * steps / 2:
        assert len(grid_of([start, end], dt)) - 1 == steps


times_1d = st.lists(st.floats(-100, 100), min_size=2, max_size=6, unique=True).map(sorted)


@given(times_1d, st.floats(0.03, 50), st.booleans())
@example([0.0, 1.0], 0.1, False)
@example([0.0, 5e-324], 0.1, False)
@example([0.0, 0.1, 0.1 + 1e-16 * 16], 0.1, True)
def test_steps_are_equal_within_an_interval_and_never_longer_than_asked(
    times: list[float], dt: float, descending: bool
) -> None:
    times = times[::-1] if descending else times
    points = grid_of(times, dt)
    steps = points.diff() * (-1 if descending else 1)
    assert (steps > 0).all()
    assert float(steps.max()) <= dt * (1 + 1e-3)
    count = 0
    for a, b in itertools.pairwise(times):
        inside = int(((points > min(a, b)) & (points < max(a, b))).sum()) + 1
        own = steps[count : count + inside]
        assert float((own - abs(b - a) / inside).abs().max()) <= 2e-15 * max(abs(a), abs(b))
        assert inside == 1 or abs(b - a) / (inside - 1) > dt  # one step fewer would be too long
        count += inside
    assert count == len(steps)


@given(st.lists(times_1d, min_size=1, max_size=4), st.floats(0.5, 50), st.booleans())
@example([[0.0, 0.30000001192092896], [0.0, 0.1]], 0.1, False)
def test_grids_of_samples_are_those_of_each_alone(
    grids: list[list[float]], dt: float, descending: bool
) -> None:
    own = [times[::-1] if descending else times for times in grids]
    width = max(len(times) for times in own)
    padded = torch.tensor([times + times[-1:] * (width - len(times)) for times in own], dtype=DOUBLE).t()
    grid = ConstantStep(dt).grid(read_times(padded, len(own)))
    assert grid.per_sample and torch.equal(grid.points.gather(0, grid.outputs), padded)
    alone = [grid_of(times, dt) for times in own]
    assert grid.steps == max(len(points) for points in alone) - 1
    for sample, points in enumerate(alone):
        assert torch.equal(grid.points[: len(points), sample], points)
        assert (grid.points[len(points) - 1 :, sample] == own[sample][-1]).all()


def test_a_repeated_time_of_a_sample_makes_no_step() -> None:
    times = torch.tensor([[0.0, 0.0], [0.0, 0.5], [0.2, 0.5], [0.2, 1.0]], dtype=DOUBLE)
    grid = ConstantStep(0.1).grid(read_times(times, 2))
    assert grid.steps == 10
    assert grid.outputs.tolist() == [[0, 0], [0, 5], [2, 5], [2, 10]]


@pytest.mark.parametrize("ts", [[0.0, 0.05, 0.17, 1.0], [1.0, 0.95, 0.05, 0.0]])
def test_every_requested_time_has_the_path_there_and_not_a_chord(ts: list[float]) -> None:
    path = VirtualBrownianTree(0, 1, (50, 2), seed=1, dtype=DOUBLE)
    ys = solve(Noise(), torch.zeros(50, 2, dtype=DOUBLE), ts, dt=0.1, path=path).ys
    for time, y in zip(ts, ys, strict=True):
        torch.testing.assert_close(y, path(ts[0], time), rtol=0.0, atol=1e-14)


def test_variance_off_the_step_grid_is_that_of_the_time() -> None:
    # torchsde 0.2.6 interpolates: its Var W(0.05) at dt = 0.1 is 0.0253. False alarm: 1e-5.
    n = 50_000
    y = solve(Noise(), torch.zeros(n), [0.0, 0.05, 1.0], dt=0.1, seed=3).ys
    assert torch.stack([variance_z(y[1], 0.05), variance_z(y[2], 1.0)]).abs().max() < bound(2)


class Recorder:
    """dy = dW, and the times at which it was asked."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self) -> None:
        self.times: list[Tensor] = []

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        self.times.append(t)
        return torch.zeros_like(y)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        self.times.append(t)
        return torch.ones_like(y)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("method", ["euler", "milstein"])
def test_time_arrives_as_a_number_of_the_states_type(dtype: torch.dtype, method: str) -> None:
    sde = Recorder()
    solve(sde, torch.zeros(3, 2, dtype=dtype), [0.0, 0.25, 1.0], dt=0.1, method=method)
    assert {(t.shape, t.dtype) for t in sde.times} == {(torch.Size(()), dtype)}
    assert float(sde.times[0]) == 0.0


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 2, 4, 4)])
def test_time_of_each_sample_arrives_shaped_to_broadcast(shape: tuple[int, ...]) -> None:
    sde = Recorder()
    ts = torch.tensor([[0.0, 0.1, 0.2], [1.0, 0.4, 0.2]], dtype=DOUBLE)
    solve(sde, torch.zeros(shape), ts, dt=0.25, method="euler")
    assert {(t.shape, t.dtype) for t in sde.times} == {((3, *(1,) * (len(shape) - 1)), torch.float32)}
    assert sde.times[0].flatten().tolist() == ts[0].float().tolist()


@pytest.mark.parametrize(
    "ts",
    [
        [0, 1],
        (0.0, 0.5, 1.0),
        range(3),
        torch.tensor([0, 1, 2]),
        torch.linspace(0, 1, 5),
        torch.linspace(1, 0, 5, dtype=DOUBLE),
    ],
    ids=str,
)
def test_times_may_be_any_sequence_or_tensor(ts: object) -> None:
    y0 = torch.rand(4, 2)
    solution = solve(Noise(), y0, ts, dt=0.3, seed=0)
    wanted = torch.as_tensor(ts, dtype=DOUBLE).detach()
    assert solution.ts.dtype == DOUBLE and torch.equal(solution.ts, wanted)
    assert solution.ys.shape == (len(wanted), 4, 2) and torch.equal(solution.ys[0], y0)


def test_a_given_grid_is_stood_on_together_with_the_requested_times() -> None:
    sde = Recorder()
    points = [0.9, -1.0, 0.0, 0.2, 0.25, 1.0, 3.0]
    stats = solve(
        sde, torch.zeros(1, 1, dtype=DOUBLE), [0.0, 0.5, 1.0], controller=GivenGrid(points), method="euler"
    ).stats
    assert [float(t) for t in sde.times[::2]] == [0.0, 0.2, 0.25, 0.5, 0.9]
    assert stats.steps == 5
    sde = Recorder()
    solve(
        sde,
        torch.zeros(1, 1, dtype=DOUBLE),
        [1.0, 0.1],
        controller=GivenGrid(torch.tensor(points)),
        method="euler",
    )
    assert [round(float(t), 6) for t in sde.times[::2]] == [1.0, 0.9, 0.25, 0.2]


@pytest.mark.parametrize(
    "points", [[k * 0.1 for k in range(11)], torch.linspace(0, 1, 11), torch.arange(11) / 10]
)
@pytest.mark.parametrize("ts", [[0.0, 0.3, 0.6, 1.0], [1.0, 0.7, 0.3, 0.0]])
def test_a_given_point_that_is_a_requested_time_up_to_rounding_makes_no_second_step(
    points: Tensor | list[float], ts: list[float]
) -> None:
    # 3 · 0.1 is not 0.3, and in float32 neither is 0.3.
    grid = GivenGrid(points).grid(torch.tensor(ts, dtype=DOUBLE))
    assert grid.steps == 10
    assert grid.points[grid.outputs].tolist() == ts


def test_given_points_that_are_one_up_to_rounding_are_one_step_point() -> None:
    assert GivenGrid([0.1 + 0.2, 0.3, 0.5]).grid(torch.tensor([0.0, 1.0], dtype=DOUBLE)).steps == 3


def test_a_given_grid_makes_the_steps_of_a_constant_one() -> None:
    y0 = torch.ones(2, 2, dtype=DOUBLE)
    path = VirtualBrownianTree(0, 1, (2, 2), seed=1, dtype=DOUBLE)
    constant = solve(Noise(), y0, [0, 1], dt=0.125, path=path)
    given_ = solve(Noise(), y0, [0, 1], controller=GivenGrid(torch.linspace(0, 1, 9)), path=path)
    assert torch.equal(constant.ys, given_.ys)
    controlled = solve(Noise(), y0, [0, 1], controller=ConstantStep(0.125), path=path)
    assert torch.equal(constant.ys, controlled.ys) and constant.stats == controlled.stats


@pytest.mark.parametrize(
    ("ts", "message"),
    [
        ([0.0], "at least two"),
        ([], "at least two"),
        (0.5, "at least two"),
        (torch.zeros(2, 4, 1), r"\(times, batch\)"),
        (torch.zeros(2, 5), "4 samples"),
        ([0.0, math.nan], "not finite"),
        ([0.0, math.inf], "not finite"),
        ([0.0, 1.0, 1.0], r"ts\[2\]"),
        ([0.0, 1.0, 0.5, 2.0], r"ts\[2\]"),
        ([3.0, 2.0, 2.5, 1.0], r"ts\[2\]"),
        ([3.0, 3.0, 2.5, 1.0], r"ts\[1\]"),
        ([0.0, 0.0], r"ts\[1\]"),
        (torch.tensor([[0.0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 0.5, 2]]), r"ts\[2\]"),
        (torch.tensor([[0.0, 0, 0, 0], [1, 1, -1, 1]]), r"ts\[1\]"),
    ],
)
def test_bad_times_are_an_error_that_says_where(ts: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        solve(Noise(), torch.zeros(4, 2), ts, dt=0.1)


@pytest.mark.parametrize("dt", [0.0, -0.1, math.nan, math.inf])
def test_a_step_that_is_not_positive_is_an_error(dt: float) -> None:
    for ts in ([0, 1], [1, 0]):
        with pytest.raises(ValueError, match="dt must be a positive number"):
            solve(Noise(), torch.zeros(4, 2), ts, dt=dt)


def test_neither_or_both_of_step_and_controller_is_an_error() -> None:
    with pytest.raises(ValueError, match="give dt, or a controller"):
        solve(Noise(), torch.zeros(4, 2), [0, 1])
    with pytest.raises(ValueError, match="not both"):
        solve(Noise(), torch.zeros(4, 2), [0, 1], dt=0.1, controller=ConstantStep(0.1))


def test_a_bad_given_grid_is_an_error() -> None:
    for points in ([0.0, math.nan], torch.zeros(2, 2)):
        with pytest.raises(ValueError, match="finite times"):
            solve(Noise(), torch.zeros(4, 2), [0, 1], controller=GivenGrid(points))
    with pytest.raises(ValueError, match="use dt"):
        solve(Noise(), torch.zeros(4, 2), torch.tensor([[0.0] * 4, [1.0] * 4]), controller=GivenGrid([0.5]))
