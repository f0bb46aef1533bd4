"""Compiled chunks give eager's solution, and `solve` may stand inside torch.compile(fullgraph=True)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import PathKL, VirtualBrownianTree, solve
from latentsde.solvers import compiled
from tests.solvers.equations import DOUBLE, Growth, InTuples, Learned, Oscillator

# Both calculi, with and without areas, a carry, columns of noise.
CASES = [
    ("euler", "diagonal", "ito"),
    ("milstein", "scalar", "ito"),
    ("srk", "diagonal", "ito"),
    ("heun", "diagonal", "stratonovich"),
    ("reversible_heun", "general", "stratonovich"),
    ("shark", "additive", "ito"),
]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """A test's graphs are its own."""
    torch._dynamo.reset()
    compiled._compiled_for.cache_clear()
    yield
    torch._dynamo.reset()
    compiled._compiled_for.cache_clear()


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are made and run, but not translated to C++, which takes half a minute each."""
    graph = torch.compile(compiled._chunk, dynamic=False, fullgraph=True, backend="aot_eager")
    monkeypatch.setattr(compiled, "_compiled_for", _Given(graph))


class _Given:
    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def __call__(self, device: str) -> Any:
        return self.graph

    def cache_clear(self) -> None:
        """Nothing is kept."""


def solved(equation: Any, method: str, **options: Any) -> Any:
    y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE, requires_grad=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="compile=True")
        solution = solve(equation, y0, [0.0, 0.3, 1.0], dt=0.1, seed=3, method=method, **options)
    leaves = [y0, *(p for p in equation.parameters() if p.requires_grad)]
    return solution, torch.autograd.grad(solution.ys.square().sum(), leaves)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("method", "noise_type", "calculus"), CASES)
def test_chunks_give_the_plain_steps_values_gradients_and_counts(
    method: str, noise_type: str, calculus: str
) -> None:
    # Ten steps: two chunks of four, and two plain ones.
    plain, chunked = (solved(Learned(noise_type, calculus), method, compile=c) for c in (False, 4))
    torch.testing.assert_close(chunked[0].ys, plain[0].ys, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(chunked[1], plain[1], rtol=1e-10, atol=1e-10)
    # Plain steps use the value of g that its shape was read from.
    extra = chunked[0].stats.diffusion_evaluations - plain[0].stats.diffusion_evaluations
    assert 0 <= extra <= 1 and chunked[0].stats.drift_evaluations == plain[0].stats.drift_evaluations


@pytest.mark.usefixtures("traced")
def test_one_graph_serves_any_number_of_steps_dt_and_seed() -> None:
    equation, y0 = Learned("diagonal", "ito"), torch.ones(2, 2, dtype=DOUBLE)
    counter = torch._dynamo.utils.counters["stats"]
    counter.clear()
    with torch.no_grad():
        for dt, seed, ts in ((0.1, 1, [0, 1]), (0.03, 2, [0, 0.5, 2]), (0.01, 3, [1, 0])):
            solve(equation, y0, ts, dt=dt, seed=seed, method="euler", compile=4)
    assert counter["unique_graphs"] == 1


@pytest.mark.usefixtures("traced")
def test_chunks_of_samples_on_their_own_grids_and_of_tuples() -> None:
    y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE)
    ts = torch.tensor([[0.0, 0.1], [0.7, 0.4], [1.0, 0.9]], dtype=DOUBLE)
    for method, calculus in (("srk", "ito"), ("heun", "stratonovich")):
        equation = Learned("diagonal", calculus)
        plain, chunked = (
            solve(equation, y0, ts, dt=0.1, seed=3, method=method, compile=c).ys for c in (False, 3)
        )
        torch.testing.assert_close(chunked, plain, rtol=1e-12, atol=1e-12)
        pair = InTuples(Oscillator("diagonal", calculus))
        parts = (y0[:, :1], y0[:, 1:])
        plain, chunked = (
            solve(pair, parts, [0, 1], dt=0.1, seed=3, method=method, compile=c).ys for c in (False, 3)
        )
        torch.testing.assert_close(chunked, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("traced")
def test_odes_and_the_constant_memory_adjoints_go_there_in_chunks() -> None:
    y0 = torch.ones(2, 2, dtype=DOUBLE)
    plain, chunked = (solve(Growth(), y0, [0, 1], dt=0.1, method="tsit5", compile=c).ys for c in (False, 5))
    torch.testing.assert_close(chunked, plain, rtol=1e-12, atol=1e-12)
    equation = Learned("diagonal", "stratonovich")
    for adjoint, method in (("reversible", "reversible_heun"), ("backsolve", "heun")):
        plain, chunked = (solved(equation, method, compile=c, adjoint=adjoint) for c in (False, 5))
        torch.testing.assert_close(chunked[1], plain[1], rtol=1e-10, atol=1e-10)


class Peeking(Learned):
    """Looks at a value, which no graph can hold."""

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return super().f(t, y) if float(y.detach().sum()) < 1e6 else y


def test_what_cannot_be_compiled_is_taken_step_by_step_with_one_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "_warned", False)
    equation, y0 = Peeking("diagonal", "ito"), torch.ones(2, 2, dtype=DOUBLE)
    plain = solve(equation, y0, [0, 1], dt=0.1, seed=3, method="euler")
    with pytest.warns(UserWarning, match=r"compile=True.*one by one") as caught:
        first = solve(equation, y0, [0, 1], dt=0.1, seed=3, method="euler", compile=4)
        solve(equation, y0, [0, 1], dt=0.1, seed=3, method="euler", compile=4)
    assert len([w for w in caught if "compile=True" in str(w.message)]) == 1
    assert torch.equal(first.ys, plain.ys) and first.stats == plain.stats


def test_an_error_of_the_equation_is_not_taken_for_one_of_the_compiler() -> None:
    class Broken(Learned):
        def g(self, t: Tensor, y: Tensor) -> Tensor:
            raise LookupError("no such diffusion")

    with pytest.raises(LookupError, match="no such diffusion"):
        solve(Broken("diagonal", "ito"), torch.ones(2, 2), [0, 1], dt=0.1, seed=3, compile=4)


@pytest.mark.parametrize("compile", [-1, -20])
def test_a_chunk_of_no_steps_is_an_error(compile: int) -> None:
    with pytest.raises(ValueError, match="how many steps"):
        solve(Learned("diagonal", "ito"), torch.ones(2, 2), [0, 1], dt=0.1, seed=3, compile=compile)


# Inside torch.compile


@pytest.mark.parametrize(("method", "noise_type", "calculus"), CASES)
def test_solve_stands_in_a_full_graph(method: str, noise_type: str, calculus: str) -> None:
    # Defect 9 of torchsde 0.2.6.
    equation = Learned(noise_type, calculus)
    y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE)

    def function(y: Tensor) -> Tensor:
        return solve(equation, y, [0.0, 0.3, 1.0], dt=0.25, seed=3, method=method).ys

    graph = torch.compile(function, fullgraph=True, backend="eager")
    torch.testing.assert_close(graph(y0), function(y0), rtol=1e-12, atol=1e-12)


def test_a_given_path_and_gradients_stand_in_a_full_graph() -> None:
    equation = Learned("diagonal", "stratonovich")
    path = VirtualBrownianTree(0, 1, (2, 2), seed=5, dtype=DOUBLE)

    def function(y: Tensor) -> Tensor:
        return solve(equation, y, [0.0, 1.0], dt=0.25, path=path).ys[-1].square().sum()

    gradients = []
    for call in (function, torch.compile(function, fullgraph=True, backend="aot_eager")):
        y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE, requires_grad=True)
        gradients.append(torch.autograd.grad(call(y0), [y0, equation.rate, equation.size]))
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dt": 0.5}, "seed or a path"),
        ({"dt": 0.5, "seed": 1, "dense": True}, "fixed steps"),
        ({"seed": 1}, "as numbers"),
    ],
)
def test_what_has_no_place_in_a_graph_is_an_error(options: dict[str, Any], words: str) -> None:
    equation = Learned("diagonal", "ito")

    def function(y: Tensor) -> Tensor:
        return solve(equation, y, [0.0, 1.0], **options).ys

    with pytest.raises(Exception, match=words):
        torch.compile(function, fullgraph=True, backend="eager")(torch.ones(2, 2, dtype=DOUBLE))


@pytest.mark.slow
def test_the_default_compiler_gives_the_plain_steps_solution() -> None:
    plain, chunked = (solved(Learned("diagonal", "ito"), "euler", compile=c) for c in (False, 5))
    torch.testing.assert_close(chunked[0].ys, plain[0].ys, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(chunked[1], plain[1], rtol=1e-10, atol=1e-10)


def test_a_functional_is_counted_over_chunks() -> None:
    class Posterior(Learned):
        def h(self, t: Tensor, y: Tensor) -> Tensor:
            return -y

    posterior = PathKL(Posterior("diagonal", "ito"), sticking_the_landing=False)
    graph = torch.compile(compiled._chunk, dynamic=False, fullgraph=True, backend="aot_eager")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "_compiled_for", _Given(graph))
        plain, chunked = (
            solve(
                posterior, torch.ones(2, 2, dtype=DOUBLE), [0, 1], dt=0.1, seed=3, method="euler", compile=c
            )
            for c in (False, 4)
        )
    assert plain.functional is not None and chunked.functional is not None
    torch.testing.assert_close(chunked.functional, plain.functional, rtol=1e-12, atol=1e-12)


def test_a_graph_prepares_and_checks_as_eager_steps_do() -> None:
    y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE)

    class Prepared(Learned):
        def prepare(self, ts: list[Tensor]) -> None:
            self.shift = torch.stack(ts).sum()

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return super().f(t, y) + self.shift

    equation = Prepared("additive", "ito")
    area = VirtualBrownianTree(0, 1, (2, 2), seed=5, dtype=DOUBLE, levy_area="space-time")

    def compiled_and_eager(path: Any) -> list[Tensor]:
        def function(y: Tensor) -> Tensor:
            return solve(equation, y, [0.0, 1.0], dt=0.25, path=path).ys

        return [torch.compile(function, fullgraph=True, backend="eager")(y0), function(y0)]

    torch.testing.assert_close(*compiled_and_eager(area))
    torch.testing.assert_close(*compiled_and_eager(VirtualBrownianTree(0, 1, (2, 2), seed=5, dtype=DOUBLE)))
    with pytest.raises(Exception, match="this equation's noise needs"):
        compiled_and_eager(VirtualBrownianTree(0, 1, (2, 3), seed=5, dtype=DOUBLE))
    equation.correlation_factor = torch.eye(2, dtype=DOUBLE)
    with pytest.raises(Exception, match="or correlation_factor"):
        torch.compile(
            lambda y: solve(equation, y, [0.0, 1.0], dt=0.25, seed=1).ys, fullgraph=True, backend="eager"
        )(y0)
