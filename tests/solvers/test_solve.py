"""What `solve` takes and gives: noise and its paths, seeds, tuples, gradients, functionals."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.brownian import AlignedPath
from latentsde.solvers import METHODS, SDE, ConstantStep
from tests.significance import bound, correlation_z, variance_z
from tests.solvers.equations import DOUBLE, Geometric, Given, Growth, Learned, noise_shape

NOISE_TYPES = ["diagonal", "scalar", "additive", "general"]


# Noise and its paths


@pytest.mark.parametrize(
    ("noise_type", "y_shape", "g_shape", "path_shape"),
    [
        ("diagonal", (5, 3), (5, 3), (5, 3)),
        ("diagonal", (5,), (5,), (5,)),
        ("diagonal", (5, 2, 4), (5, 2, 4), (5, 2, 4)),
        ("scalar", (5, 3), (5, 3, 1), (5, 1)),
        ("scalar", (5,), (5, 1), (5, 1)),
        ("scalar", (5, 2, 4), (5, 2, 4, 1), (5, 1)),
        ("additive", (5, 3), (5, 3, 7), (5, 7)),
        ("additive", (5,), (5, 2), (5, 2)),
        ("general", (5, 3), (5, 3, 7), (5, 7)),
        ("general", (5, 2, 4), (5, 2, 4, 3), (5, 3)),
    ],
)
def test_noise_types_have_their_shapes(
    noise_type: str, y_shape: tuple[int, ...], g_shape: tuple[int, ...], path_shape: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(0)
    diffusion = torch.randn(g_shape, generator=generator, dtype=DOUBLE)
    sde = Given(noise_type, g=lambda t, y: diffusion)
    path = VirtualBrownianTree(0, 1, path_shape, seed=1, dtype=DOUBLE)
    y0 = torch.zeros(y_shape, dtype=DOUBLE)
    end = solve(sde, y0, [0, 1], dt=0.25, path=path, method="euler").ys[-1]
    w = path(0, 1)
    expected = diffusion * w if noise_type == "diagonal" else torch.einsum("b...m,bm->b...", diffusion, w)
    torch.testing.assert_close(end, expected, rtol=0.0, atol=1e-13)
    solve(sde, y0, [0, 1], dt=0.25, seed=0, method="euler")
    wrong = VirtualBrownianTree(0, 1, (*path_shape[:-1], path_shape[-1] + 1), seed=1)
    with pytest.raises(ValueError) as error:
        solve(sde, y0, [0, 1], dt=0.25, path=wrong, method="euler")
    assert str(wrong.shape) in str(error.value) and str(path_shape) in str(error.value)


def test_the_noise_made_from_a_seed_is_independent_over_steps_samples_and_channels() -> None:
    # False alarm: 2e-5.
    ys = solve(Given(), torch.zeros(10_000, 3, dtype=DOUBLE), [0, 0.25, 0.5, 1], dt=0.25, seed=1).ys
    steps = torch.cat(list(ys.diff(dim=0)), 1)
    assert correlation_z(steps, steps).fill_diagonal_(0).abs().max() < bound(36)
    variances = torch.tensor([0.25, 0.25, 0.5], dtype=DOUBLE).repeat_interleave(3)
    assert variance_z(steps, variances).abs().max() < bound(9)


@pytest.mark.parametrize("noise_type", NOISE_TYPES)
def test_a_path_given_with_ids_makes_a_sample_the_same_in_any_batch(noise_type: str) -> None:
    equation = Learned(noise_type, "ito")
    y0 = torch.linspace(-1, 1, 12, dtype=DOUBLE).view(6, 2)
    ids = torch.tensor([3, 1, 2**40, 8, -5, 0])
    shape = noise_shape(noise_type, y0)[1:]

    def run(rows: Tensor) -> Tensor:
        path = VirtualBrownianTree(0, 1, (len(rows), *shape), seed=1, ids=ids[rows], dtype=DOUBLE)
        return solve(equation, y0[rows], [0, 0.4, 1], dt=0.1, path=path).ys

    together = run(torch.arange(6))
    for rows in (torch.tensor([4, 0]), torch.tensor([2]), torch.tensor([5, 4, 3, 2, 1, 0])):
        assert torch.equal(run(rows), together[:, rows])


def test_a_sample_of_a_seed_is_the_same_in_a_longer_batch() -> None:
    equation, y0 = Learned("diagonal", "ito"), torch.ones(6, 2, dtype=DOUBLE)
    long, short = (solve(equation, y0[:n], [0, 1], dt=0.1, seed=1).ys for n in (6, 2))
    assert torch.equal(long[:, :2], short)


def test_a_path_aligned_to_the_steps_is_a_path() -> None:
    equation, y0 = Learned("diagonal", "ito"), torch.ones(3, 2, dtype=DOUBLE)
    grid = ConstantStep(0.1).grid(torch.tensor([0.0, 0.35, 1.0], dtype=DOUBLE))
    path = AlignedPath((3, 2), grid.points, seed=5, dtype=DOUBLE)
    given = solve(equation, y0, [0, 0.35, 1], dt=0.1, path=path)
    made = solve(equation, y0, [0, 0.35, 1], dt=0.1, seed=5)
    assert torch.equal(given.ys, made.ys)
    with pytest.raises(ValueError, match="not a point"):
        solve(equation, y0, [0, 0.35, 1], dt=0.05, path=path)


def test_times_outside_the_given_path_are_an_error_that_names_its_interval() -> None:
    path = VirtualBrownianTree(0, 1, (3, 2), seed=1)
    for ts in ([0, 1.5], [-0.5, 1], [1, -1], torch.tensor([[0.0, 0.0, 0.0], [0.5, 2.0, 0.5]])):
        with pytest.raises(ValueError, match=r"\[0.0, 1.0\]"):
            solve(Given(), torch.zeros(3, 2), ts, dt=0.1, path=path)


def test_a_long_noise_is_drawn_in_blocks_of_the_same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    equation, y0 = Weighed(vectorized=True), torch.ones(3, 2, dtype=DOUBLE)
    per_sample = torch.tensor([[0.0, 0.0, 0.0], [0.3, 1.0, 0.7]], dtype=DOUBLE)
    for ts in ([0, 0.35, 1], per_sample):
        whole = solve(equation, y0, ts, dt=0.1, seed=5)
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["latentsde.solvers.timeline"], "_LONG_BLOCK_NUMBERS", 4 * y0.numel())
            blocks = solve(equation, y0, ts, dt=0.1, seed=5)
        assert torch.equal(whole.ys, blocks.ys) and whole.stats == blocks.stats
        assert whole.functional is not None and blocks.functional is not None
        torch.testing.assert_close(whole.functional, blocks.functional, rtol=1e-14, atol=1e-14)


# Seeds


def test_a_fresh_seed_is_recorded_and_reproduces_the_run() -> None:
    equation, y0 = Learned("diagonal", "ito"), torch.ones(3, 2, dtype=DOUBLE)
    first, second = (solve(equation, y0, [0, 1], dt=0.1) for _ in range(2))
    assert isinstance(first.stats.seed, int) and first.stats.seed != second.stats.seed
    assert not torch.equal(first.ys, second.ys)
    again = solve(equation, y0, [0, 1], dt=0.1, seed=first.stats.seed)
    assert torch.equal(first.ys, again.ys) and again.stats == first.stats


def test_a_seed_is_recorded_only_where_it_made_the_path() -> None:
    y0 = torch.ones(3, 2)
    assert solve(Given(), y0, [0, 1], dt=0.5, seed=7).stats.seed == 7
    path = VirtualBrownianTree(0, 1, (3, 2), seed=1)
    assert solve(Given(), y0, [0, 1], dt=0.5, path=path).stats.seed is None
    assert solve(Growth(), y0, [0, 1], dt=0.5, seed=7).stats.seed is None


def test_no_global_generator_is_read_or_set() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    solve(Given(), torch.ones(3, 2), [0, 1], dt=0.1)
    assert torch.equal(torch.get_rng_state(), before)


# Tuples


class Weights:
    """A state (a, b, c): a and c have noise of their own, b follows a."""

    def __init__(self, noise_type: str, columns: int) -> None:
        self.noise_type, self.sde_type, self.columns = noise_type, "ito", columns

    def f(self, t: Tensor, y: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        a, b, c = y
        return -a, a.sum(-1) - b, torch.zeros_like(c)

    def g(self, t: Tensor, y: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        a, _, c = y
        if self.noise_type == "diagonal":
            return torch.cos(a), None, torch.ones_like(c)
        return (
            torch.cos(a).unsqueeze(-1).expand(*a.shape, self.columns),
            None,
            torch.ones(*c.shape, 1 if self.noise_type == "scalar" else 4),
        )


@pytest.mark.parametrize(
    ("noise_type", "columns"), [("diagonal", 0), ("scalar", 1), ("general", 3), ("additive", 3)]
)
@pytest.mark.parametrize("per_sample", [False, True])
def test_parts_of_a_tuple_have_shapes_and_noise_of_their_own(
    noise_type: str, columns: int, per_sample: bool
) -> None:
    y0 = (torch.ones(5, 2), torch.zeros(5), torch.zeros(5, 3, 2))
    ts = torch.tensor([[0.0] * 5, [0.5] * 5, [1.0, 0.6, 0.5, 0.9, 1.0]]) if per_sample else [0, 0.5, 1]
    solution = solve(Weights(noise_type, columns), y0, ts, dt=0.1, seed=3)
    assert isinstance(solution.ys, tuple)
    assert [tuple(part.shape) for part in solution.ys] == [(3, 5, 2), (3, 5), (3, 5, 3, 2)]
    assert all(torch.equal(part[0], start) for part, start in zip(solution.ys, y0, strict=True))
    again = solve(Weights(noise_type, columns), y0, ts, dt=0.1, seed=3)
    assert all(torch.equal(x, y) for x, y in zip(solution.ys, again.ys, strict=True))
    # The third part is its own noise alone: it is the noise of the path given for it.
    shapes = {"diagonal": ((5, 2), (5, 3, 2)), "scalar": ((5, 1), (5, 1))}.get(
        noise_type, ((5, columns), (5, 4))
    )
    paths = [VirtualBrownianTree(0, 1, shape, seed=4) for shape in shapes]
    given = solve(Weights(noise_type, columns), y0, ts, dt=0.1, path=(paths[0], None, paths[1]))
    w = paths[1](0.0, torch.as_tensor(ts)[-1])
    expected = w if noise_type == "diagonal" else w.sum(-1).view(5, 1, 1).expand(5, 3, 2)
    torch.testing.assert_close(given.ys[2][-1], expected, rtol=0.0, atol=1e-5)
    with pytest.raises(ValueError, match="this equation's noise needs"):
        solve(Weights(noise_type, columns), y0, ts, dt=0.1, path=(paths[0], None, None))


def test_parts_of_a_tuple_have_independent_noise() -> None:
    # False alarm: 1e-5.
    class Two(Given):
        def __init__(self) -> None:
            self.noise_type, self.sde_type = "diagonal", "ito"
            self.f = lambda t, y: tuple(torch.zeros_like(part) for part in y)
            self.g = lambda t, y: tuple(torch.ones_like(part) for part in y)

    y0 = (torch.zeros(20_000, 1), torch.zeros(20_000, 1))
    first, second = (part[-1] for part in solve(Two(), y0, [0, 1], dt=0.5, seed=3).ys)
    assert correlation_z(first, second).abs().max() < bound(1)


def test_a_tuple_without_noise_is_an_ode() -> None:
    class Pair:
        def f(self, t: Tensor, y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return y[1], -y[0]

    x, v = solve(Pair(), (torch.ones(2, dtype=DOUBLE), torch.zeros(2, dtype=DOUBLE)), [0, 1], dt=0.01).ys
    torch.testing.assert_close(x[-1], torch.ones(2, dtype=DOUBLE).mul(1.0).cos(), rtol=0.0, atol=1e-4)
    torch.testing.assert_close(v[-1], -torch.ones(2, dtype=DOUBLE).sin(), rtol=0.0, atol=1e-4)


# Gradients


def test_gradients_reach_the_start_parameters_and_captured_inputs_on_grids_of_samples() -> None:
    equation = Learned("general", "ito")
    captured = torch.tensor([0.3, -0.2], dtype=DOUBLE, requires_grad=True)
    y0 = torch.ones(2, 2, dtype=DOUBLE, requires_grad=True)
    ts = torch.tensor([[0.0, 0.0], [0.5, 0.2], [0.5, 1.0]], dtype=DOUBLE)
    drift = equation.f
    equation.f = lambda t, y: drift(t, y) + captured  # type: ignore[method-assign]

    def total() -> Tensor:
        return solve(equation, y0, ts, dt=0.1, seed=2).ys[1:].square().sum()

    gradients = torch.autograd.grad(total(), [y0, captured, equation.rate, equation.size])
    for leaf, gradient in zip([y0, captured, equation.rate, equation.size], gradients, strict=True):
        flat = leaf.data.view(-1)
        for index in range(flat.numel()):
            ends = []
            for shift in (1e-6, -2e-6):
                flat[index] += shift
                ends.append(float(total().detach()))
            flat[index] += 1e-6
            assert abs((ends[0] - ends[1]) / 2e-6 - float(gradient.reshape(-1)[index])) < 1e-6


def test_no_tape_is_kept_without_gradients() -> None:
    with torch.no_grad():
        assert not solve(
            Learned("diagonal", "ito"), torch.ones(2, 2, dtype=DOUBLE), [0, 1], dt=0.1
        ).ys.requires_grad


# Functionals


class Weighed(Learned):
    """`Learned` with the functional ∫ t |y|² dt + ∫ y·dW."""

    def __init__(self, vectorized: bool, noise_type: str = "diagonal") -> None:
        super().__init__(noise_type, "stratonovich")
        self.functional_vectorized = vectorized

    def functional(self, t: Tensor, y: Tensor, h: Any, dW: Tensor) -> Tensor:
        return (t * y.square() * h + y * dW).sum(-1)


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("per_sample", [False, True])
def test_a_functional_is_its_left_point_sum_whatever_the_method(vectorized: bool, per_sample: bool) -> None:
    y0, path = torch.ones(3, 2, dtype=DOUBLE), VirtualBrownianTree(0, 1, (3, 2), seed=1, dtype=DOUBLE)
    ts = torch.tensor([0.0, 0.25, 1.0], dtype=DOUBLE)
    fine = torch.linspace(0, 1, 9, dtype=DOUBLE)
    shaped = ts.unsqueeze(1).expand(3, 3) if per_sample else ts
    for method in ("heun", "midpoint", "reversible_heun"):
        solution = solve(Weighed(vectorized), y0, shaped, dt=0.125, path=path, method=method)
        at = solve(Weighed(vectorized), y0, fine, dt=0.125, path=path, method=method).ys
        w = path.increments(fine).W
        terms = (fine[:-1].view(-1, 1, 1) * at[:-1].square() * 0.125 + at[:-1] * w).sum(-1)
        running = torch.cat([torch.zeros(1, 3, dtype=DOUBLE), terms.cumsum(0)])
        assert solution.functional is not None and solution.functional.shape == (3, 3)
        torch.testing.assert_close(solution.functional, running[[0, 2, 8]], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_functional_stands_still_where_a_sample_does(vectorized: bool) -> None:
    y0 = torch.ones(3, 2, dtype=DOUBLE)
    ts = torch.tensor([[0.0, 0.0, 0.5], [0.3, 0.4, 0.5], [0.3, 1.0, 0.5]], dtype=DOUBLE)
    solution = solve(Weighed(vectorized), y0, ts, dt=0.1, seed=1)
    assert solution.functional is not None
    total = solution.functional.detach()
    assert float(total[1, 0]) == float(total[2, 0]) != 0.0
    assert (total[:, 2] == 0).all()
    nothing = solve(Weighed(vectorized), y0, torch.full((2, 3), 0.5), dt=0.1, seed=1)
    assert nothing.functional is not None and torch.equal(nothing.functional, torch.zeros(2, 3, dtype=DOUBLE))
    assert solve(Learned("diagonal", "ito"), y0, ts, dt=0.1).functional is None


class Prepared(Learned):
    """`Learned` that keeps what it was prepared with and asked for."""

    def prepare(self, ts: Any) -> None:
        assert not hasattr(self, "ts")
        self.ts = list(ts)
        self.asked: list[Tensor] = []

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        self.asked.append(t)
        return super().f(t, y)


@pytest.mark.parametrize("per_sample", [False, True])
def test_an_equation_may_prepare_for_the_very_times_it_will_be_asked_at(per_sample: bool) -> None:
    ts = torch.tensor([[0.0, 0.0], [0.5, 0.3], [1.0, 0.3]], dtype=DOUBLE) if per_sample else [0, 0.5, 1]
    for noise_type in ("diagonal", "general"):
        equation = Prepared(noise_type, "stratonovich")
        steps = solve(equation, torch.ones(2, 2, dtype=DOUBLE), ts, dt=0.1, seed=0, method="heun").stats.steps
        assert len(equation.ts) == steps + 1
        assert {id(t) for t in equation.asked} == {id(t) for t in equation.ts}


# What counts as an equation


def test_diagonal_noise_that_says_additive_is_for_both_calculi() -> None:
    path = VirtualBrownianTree(0, 1, (3, 2), seed=1, levy_area="space-time")
    for calculus in ("ito", "stratonovich"):
        sde = Given("diagonal", calculus)
        sde.additive = True  # type: ignore[attr-defined]
        for method in [name for name in METHODS if "diagonal" in METHODS[name].noise]:
            end = solve(sde, torch.zeros(3, 2), [0, 1], dt=0.5, path=path, method=method).ys[-1]
            torch.testing.assert_close(end, path(0, 1), rtol=0.0, atol=1e-6)


def test_any_object_with_the_words_of_the_field_is_an_sde() -> None:
    assert isinstance(Given(), SDE) and isinstance(Geometric("ito"), SDE)
    assert not isinstance(Growth(), SDE)  # an ODE


def test_an_empty_batch_has_an_empty_solution() -> None:
    solution = solve(Given(), torch.zeros(0, 2), [0, 0.5, 1], dt=0.1, seed=0)
    assert solution.ys.shape == (3, 0, 2)
