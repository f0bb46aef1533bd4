"""What methods make of a path's second level: Jacobians, differences, Lévy areas, tuples of components."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from experiments.solver_orders import slope, strong_errors
from experiments.solver_problems import Nonlinear
from latentsde import VirtualBrownianTree, solve
from latentsde.brownian import AlignedPath
from latentsde.solvers import METHODS
from tests.solvers.equations import DOUBLE, Counted, Learned
from tests.solvers.paths import Column, SmoothIncrements


class Nilpotent:
    """dy = A y dW with A = [[0, 2], [0, 0]]: y2 stays, y1 = y1(0) + 2 y2 W. torchsde 0.2.6 multiplies by A
    transposed.
    """

    noise_type = "scalar"

    def __init__(self, calculus: str) -> None:
        self.sde_type = calculus

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(y)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([2.0 * y[..., 1], torch.zeros_like(y[..., 1])], -1).unsqueeze(-1)


@pytest.mark.parametrize(
    ("method", "calculus"),
    [
        (name, c)
        for name in sorted(METHODS)
        if "scalar" in METHODS[name].noise
        for c in sorted(METHODS[name].calculus)
    ],
)
def test_scalar_noise_that_couples_components_follows_its_jacobian(method: str, calculus: str) -> None:
    path = VirtualBrownianTree(0, 1, (50, 1), seed=1, levy_area="space-time", dtype=DOUBLE)
    y0 = torch.tensor([0.0, 1.0], dtype=DOUBLE).expand(50, 2)
    y1 = solve(Nilpotent(calculus), y0, [0, 1], dt=0.1, path=path, method=method).ys[-1]
    assert (y1[:, 1] == 1.0).all()
    torch.testing.assert_close(y1[:, :1], 2.0 * path(0, 1), rtol=0.0, atol=1e-13)


def test_srk_makes_seven_evaluations_where_torchsde_makes_twenty() -> None:
    torchsde = pytest.importorskip("torchsde")
    theirs, ours = Counted(Learned("diagonal", "ito")), Counted(Learned("diagonal", "ito"))
    y0 = torch.ones(2, 3, dtype=DOUBLE)
    with torch.no_grad():
        torchsde.sdeint(theirs, y0, torch.tensor([0.0, 1.0], dtype=DOUBLE), dt=0.25, method="srk")
        stats = solve(ours, y0, [0, 1], dt=0.25, seed=0, method="srk").stats
    assert (ours.drifts, ours.diffusions) == (3 * stats.steps, 4 * stats.steps)
    assert theirs.drifts + theirs.diffusions == 20 * stats.steps + 2  # two to see shapes


@pytest.mark.parametrize("noise_type", ["diagonal", "scalar", "commutative"])
@pytest.mark.parametrize("calculus", ["ito", "stratonovich"])
def test_milstein_with_and_without_derivatives_differ_by_less_than_their_error(
    noise_type: str, calculus: str
) -> None:
    # Their difference in one step is of order h^1.5: over a hundredth of the step, a thousandth.
    equation, differences = Nonlinear(noise_type, calculus), []
    y0 = torch.tensor([1.0, -0.7], dtype=DOUBLE).expand(500, 2)
    for h in (1e-2, 1e-4):
        shape = (500, 1 if noise_type == "scalar" else 2)
        path = VirtualBrownianTree(0, h, shape, seed=3, dtype=DOUBLE)
        ends = [
            solve(equation, y0, [0, h], dt=h, path=path, method=name).ys[-1]
            for name in ("milstein", "milstein_derivative")
        ]
        differences.append(float((ends[0] - ends[1]).square().mean().sqrt()))
    assert 800 < differences[0] / differences[1] < 1250


def test_milsteins_own_derivative_leaves_no_graph_behind() -> None:
    y0 = torch.ones(3, 2, dtype=DOUBLE)
    for calculus in ("ito", "stratonovich"):
        fixed, learned = Nonlinear("commutative", calculus), Learned("diagonal", calculus)
        assert not solve(fixed, y0, [0, 1], dt=0.5, seed=0, method="milstein_derivative").ys.requires_grad
        with torch.no_grad():
            ys = solve(learned, y0, [0, 1], dt=0.5, seed=0, method="milstein_derivative").ys
        assert not ys.requires_grad
        ys = solve(learned, y0, [0, 1], dt=0.5, seed=0, method="milstein_derivative").ys
        assert ys.requires_grad


def test_milsteins_own_derivative_keeps_gradients_of_one_component_of_a_tuple() -> None:
    parts = Coupled("commutative", "ito")
    y0 = (torch.tensor([[0.4, -1.0]], dtype=DOUBLE), torch.tensor([[0.3, 0.7]], dtype=DOUBLE))

    def end(first: Tensor) -> Tensor:
        return torch.cat(
            solve(parts, (first, y0[1]), [0, 1], dt=0.5, seed=0, method="milstein_derivative").ys, -1
        )

    assert torch.autograd.gradcheck(end, y0[0].requires_grad_())


class TrueAreas:
    """A path that has its Lévy areas from the increments of a finer grid."""

    def __init__(self, samples: int, levels: int) -> None:
        self.grid = torch.linspace(0.0, 1.0, 2**levels + 1, dtype=DOUBLE)
        self.shape, self.steps = (samples, 2), 2**levels
        self.path = AlignedPath(self.shape, self.grid, seed=5, levy_area="space-time", dtype=DOUBLE)
        self.fine = self.path.increments(self.grid)

    def increments(self, times: Tensor) -> SmoothIncrements:
        W, H = self.path.increments(times)
        assert H is not None and self.fine.H is not None
        count = len(times) - 1
        first = round(float(times[0]) * self.steps)
        per = round(float(times[1] - times[0]) * self.steps)
        w = self.fine.W[first : first + count * per].unflatten(0, (count, per))
        h = self.fine.H[first : first + count * per].unflatten(0, (count, per))
        # Within a cell of the fine grid, the area given its W and H.
        middle = w.cumsum(1) - 0.5 * w
        product = torch.einsum("nkbi,nkbj->nbij", middle, w) + torch.einsum("nkbi,nkbj->nbij", 2.0 * h, w)
        return SmoothIncrements(W, H, 0.5 * (product - product.transpose(-1, -2)))


def test_with_true_levy_areas_the_log_ode_has_order_one_for_general_noise() -> None:
    path, y0 = TrueAreas(400, 11), torch.tensor([1.0, -0.7], dtype=DOUBLE).expand(400, 2)
    equation = Nonlinear("general", "stratonovich")
    with torch.no_grad():
        ends = [
            solve(equation, y0, [0, 1], dt=2.0**-level, path=path, method="log_ode").ys[-1]
            for level in (3, 4, 5, 6, 10)
        ]
    errors = [float((end - ends[-1]).square().mean().sqrt()) for end in ends[:-1]]
    assert abs(slope(errors, (3, 4, 5, 6)) - 1.0) < 0.15


def test_more_of_the_path_makes_smaller_errors_for_general_noise() -> None:
    # Nothing of the areas, drawn areas, their mean.
    with torch.no_grad():
        errors = {
            name: strong_errors(name, "general", "stratonovich")[-1]
            for name in ("midpoint", "log_ode", "spark", "general_shark")
        }
    assert errors["log_ode"] < 0.85 * errors["midpoint"]
    assert max(errors["spark"], errors["general_shark"]) < 0.85 * errors["log_ode"]


class Coupled:
    """Two components of two numbers each, every one with noises of its own, all depending on both."""

    def __init__(self, noise_type: str, calculus: str) -> None:
        self.noise_type, self.sde_type = noise_type, calculus

    def f(self, t: Tensor, y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return torch.sin(y[1]), -0.5 * y[0]

    def g(self, t: Tensor, y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        first = torch.stack([torch.cos(y[0] + y[1]), 0.4 * torch.sin(y[1])], -1)
        return first, torch.stack([0.3 + 0.5 * torch.sin(y[0] * y[1]), 0.6 * torch.cos(y[1])], -1)


class SideBySide:
    """`Coupled` as one state of four numbers with four noises."""

    def __init__(self, parts: Coupled) -> None:
        self.parts, self.noise_type, self.sde_type = parts, parts.noise_type, parts.sde_type

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.cat(self.parts.f(t, (y[:, :2], y[:, 2:])), -1)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        first, second = self.parts.g(t, (y[:, :2], y[:, 2:]))
        zero = torch.zeros_like(first)
        return torch.cat([torch.cat([first, zero], -1), torch.cat([zero, second], -1)], -2)


class Pair(Column):
    """Two channels of a path as a path of their own."""

    def __init__(self, path: VirtualBrownianTree, channel: int) -> None:
        super().__init__(path, channel)
        self.shape = (path.shape[0], 2)

    def increments(self, times: Tensor) -> Any:
        W, H = self.path.increments(times)
        two = slice(self.channel, self.channel + 2)
        assert H is not None
        A = torch.einsum("nbi,nbj->nbij", H, W)
        return SmoothIncrements(W[..., two], H[..., two], (A - A.transpose(-1, -2))[..., two, two])


class Block(Pair):
    """All four channels, whose areas between the two pairs are 0."""

    def increments(self, times: Tensor) -> Any:
        W, H = self.path.increments(times)
        A = torch.zeros(*W.shape, 4, dtype=DOUBLE)
        for channel in (0, 2):
            A[..., channel : channel + 2, channel : channel + 2] = (
                Pair(self.path, channel).increments(times).A
            )
        return SmoothIncrements(W, H, A)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "noise_type", "calculus"),
    [
        (name, noise_type, calculus)
        for name in sorted(METHODS)
        for noise_type in ("commutative", "general")
        for calculus in sorted(METHODS[name].calculus)
        if noise_type in METHODS[name].noise
    ],
)
def test_a_tuple_with_columns_of_noise_is_its_parts_side_by_side(
    method: str, noise_type: str, calculus: str
) -> None:
    path = VirtualBrownianTree(0, 1, (3, 4), seed=1, levy_area="space-time", dtype=DOUBLE)
    block = Block(path, 0)
    block.shape = (3, 4)
    y0 = torch.tensor([[0.4, -1.0, 0.3, 0.7], [1.3, 0.2, -0.1, 0.5], [0.1, 0.6, 0.9, -0.4]], dtype=DOUBLE)
    parts = Coupled(noise_type, calculus)
    together = solve(SideBySide(parts), y0, [0, 1], dt=0.1, path=block, method=method).ys
    ys = solve(
        parts, (y0[:, :2], y0[:, 2:]), [0, 1], dt=0.1, path=(Pair(path, 0), Pair(path, 2)), method=method
    ).ys
    torch.testing.assert_close(torch.cat(ys, -1), together, rtol=1e-12, atol=1e-12)
