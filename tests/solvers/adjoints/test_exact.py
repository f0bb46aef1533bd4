"""The checkpointed and the reversible adjoint have the direct one's gradients, up to rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import METHODS, Checkpointed, GivenGrid, ReversiblePair
from tests.solvers.adjoints.held import Y0, Holding, Parts, assert_same, gradients, kinds, loss_of
from tests.solvers.equations import DOUBLE, Learned

PAIRED = [name for name in METHODS if not METHODS[name].reversible and name != "bridged_euler"]
PAIRS = {name: ReversiblePair(name) for name in PAIRED}
OWN = torch.tensor([[0.0, 0.1, -0.4], [0.21, 0.15, 0.3], [0.5, 0.15, 0.9], [1.3, 0.15, 0.9]], dtype=DOUBLE)
RANDOM = torch.rand(13, generator=torch.Generator().manual_seed(8), dtype=DOUBLE).sort().values
TIMES: dict[str, tuple[Any, dict[str, Any]]] = {
    "a tenth": ([0.0, 1.0], {"dt": 0.1}),  # where a time that is accumulated makes eleven steps
    "an eighth": ([0.0, 0.3, 0.8, 1.0], {"dt": 0.125}),
    "random times": ([0.0, 0.5, 1.0], {"controller": GivenGrid(RANDOM)}),
    "backwards": ([1.0, 0.35, 0.0], {"dt": 0.1}),
    "own times": (OWN, {"dt": 0.1}),
    "own times backwards": (-OWN, {"dt": 0.1}),
}


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize(("noise_type", "calculus"), kinds("reversible_heun"))
def test_gradients_of_reversible_heun_are_exact(noise_type: str, calculus: str, times: str) -> None:
    equation, (ts, options) = Holding(noise_type, calculus), TIMES[times]
    direct, *others = (
        gradients(equation, Y0, ts, method="reversible_heun", seed=3, adjoint=adjoint, **options)
        for adjoint in ("direct", "reversible", "checkpointed", Checkpointed(segment=3))
    )
    assert all(float(g.abs().max()) > 1e-3 for g in direct[1] if noise_type == "general")
    for other in others:
        assert_same(other, direct)


@pytest.mark.parametrize("method", PAIRED)
def test_gradients_of_reversible_pairs_are_exact(method: str) -> None:
    pair = PAIRS[method]
    every = kinds(pair)
    assert every
    # Of each method an ODE and a noise that it is for; of those that are easy to take, all.
    chosen = every if method in ("midpoint", "milstein") else [every[-1], every[min(2, len(every) - 1)]]
    for number, kind in enumerate(chosen):
        equation = Holding(*kind)
        ts, options = TIMES[("a tenth", "own times", "backwards")[number % 3]]
        direct, reversible = (
            gradients(equation, Y0, ts, method=pair, seed=3, adjoint=adjoint, **options)
            for adjoint in ("direct", "reversible")
        )
        assert_same(reversible, direct)


@pytest.mark.parametrize("method", METHODS)
def test_checkpointed_gradients_of_every_method_are_exact(method: str) -> None:
    for noise_type, calculus in kinds(method):
        equation = Holding(noise_type, calculus)
        own = noise_type in ("none", "diagonal")
        ts, options = TIMES["own times" if own else "an eighth"]
        direct, checkpointed = (
            gradients(equation, Y0, ts, method=method, seed=3, adjoint=adjoint, **options)
            for adjoint in ("direct", "checkpointed")
        )
        assert_same(checkpointed, direct, 1e-13)


@pytest.mark.parametrize("method", ["reversible_heun", *(PAIRS[n] for n in ("heun", "midpoint", "dopri5"))])
@pytest.mark.parametrize("noise_type", ["none", "diagonal", "general"])
def test_gradients_of_tuples_are_exact(method: Any, noise_type: str) -> None:
    if noise_type != "none" and (noise_type, "stratonovich") not in kinds(method):
        pytest.skip("for ODEs alone")
    y0 = (Y0, Y0[:, 0].clone(), torch.linspace(-1, 1, 12, dtype=DOUBLE).view(3, 2, 2))
    equation = Parts(noise_type, "stratonovich")
    for ts, options in (TIMES["a tenth"], TIMES["own times"]):
        direct, *others = (
            gradients(equation, y0, ts, method=method, seed=3, adjoint=adjoint, **options)
            for adjoint in ("direct", "reversible", "checkpointed")
        )
        for other in others:
            assert_same(other, direct)


def test_states_of_any_shape_have_exact_gradients() -> None:
    class Plain(Holding):
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.sin(self.rate * y) * self.push(t)

        def _g(self, t: Tensor, y: Tensor) -> Tensor:
            return self.size * torch.cos(y)

    for shape in ((), (3,), (3, 2, 1, 2)):
        y0 = torch.linspace(-1, 1, max(1, torch.Size(shape).numel()), dtype=DOUBLE).view(shape)
        direct, *others = (
            gradients(Plain("diagonal", "stratonovich"), y0, [0, 0.4, 1], method=m, dt=0.1, seed=1, adjoint=a)
            for m, a in (
                ("reversible_heun", "direct"),
                ("reversible_heun", "reversible"),
                ("reversible_heun", "checkpointed"),
            )
        )
        for other in others:
            assert_same(other, direct)


@pytest.mark.parametrize("adjoint", ["reversible", "checkpointed"])
@pytest.mark.parametrize(
    ("method", "noise_type"),
    [
        ("reversible_heun", "general"),
        ("reversible_heun", "none"),
        (PAIRS["heun"], "diagonal"),
        ("dopri5", "none"),
    ],
)
def test_a_solve_goes_on_from_the_carry_of_another(adjoint: str, method: Any, noise_type: str) -> None:
    if adjoint == "reversible" and method == "dopri5":
        pytest.skip("not a reversible method")
    equation = Holding(noise_type, "stratonovich")
    noise = {} if noise_type == "none" else {"path": VirtualBrownianTree(0, 1, (3, 2), seed=5, dtype=DOUBLE)}

    def run(adjoint: str, parts: int) -> tuple[Any, list[Tensor]]:
        equation.encode()
        y0 = Y0.clone().requires_grad_()
        options = {"method": method, "dt": 0.1, "adjoint": adjoint, **noise}
        if parts == 1:
            ys = solve(equation, y0, [0, 0.5, 1], **options).ys
        else:
            first = solve(equation, y0, [0, 0.5], **options)
            assert first.carry is not None
            second = solve(equation, first.ys[-1], [0.5, 1], carry=first.carry, **options)
            ys = torch.cat([first.ys, second.ys[1:]])
        found = torch.autograd.grad(loss_of(ys), [y0, *equation.leaves()], allow_unused=True)
        return ys, [torch.zeros(()) if g is None else g for g in found]

    whole = run("direct", 1)
    assert_same(run("direct", 2), whole)
    assert_same(run(adjoint, 2), whole)
    assert_same(run(adjoint, 1), whole)


def test_gradients_are_accumulated_into_parameters_like_any_others() -> None:
    equation = Holding("diagonal", "stratonovich")
    for adjoint in ("direct", "reversible"):
        equation.zero_grad()
        for _ in range(2):
            equation.encode()
            ys = solve(equation, Y0, [0, 1], dt=0.1, method="reversible_heun", seed=1, adjoint=adjoint).ys
            loss_of(ys).backward()
        if adjoint == "direct":
            expected = [p.grad.clone() for p in equation.parameters() if p.grad is not None]
    found = [p.grad for p in equation.parameters() if p.grad is not None]
    assert len(found) == len(expected) == len(list(equation.parameters()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_a_backward_pass_can_be_made_twice() -> None:
    equation = Holding("diagonal", "stratonovich")
    for adjoint in ("checkpointed", "reversible", "backsolve"):
        equation.encode()
        ys = solve(equation, Y0, [0, 1], dt=0.1, method="reversible_heun", seed=1, adjoint=adjoint).ys
        first, second = (
            torch.autograd.grad(loss_of(ys), equation.leaves(), retain_graph=True) for _ in range(2)
        )
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_nothing_is_recorded_where_no_gradient_is_asked_for() -> None:
    equation = Holding("diagonal", "stratonovich").requires_grad_(False)
    for adjoint in ("checkpointed", "reversible", "backsolve"):
        with torch.no_grad():
            ys = solve(equation, Y0, [0, 1], dt=0.1, method="reversible_heun", seed=1, adjoint=adjoint).ys
        assert not ys.requires_grad


def test_a_pair_asks_of_the_path_what_its_base_asks() -> None:
    # Of diagonal noise log_ode needs no areas, and a state of three axes could not have them.
    equation, y0 = Learned("diagonal", "stratonovich"), Y0.unsqueeze(1).expand(3, 4, 2)
    path = VirtualBrownianTree(0, 1, (3, 4, 2), seed=5, dtype=DOUBLE)
    found = []
    for adjoint in ("direct", "reversible"):
        start = y0.clone().requires_grad_()
        ys = solve(equation, start, [0, 1], dt=0.1, path=path, method=PAIRS["log_ode"], adjoint=adjoint).ys
        found.append([ys, *torch.autograd.grad(loss_of(ys), [start, equation.rate, equation.size])])
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-10)


def test_a_sample_that_has_arrived_stays_where_it_is_under_a_pair() -> None:
    # Padded steps of no length; the pair's coupling draws y towards z in every other.
    equation, pair = Learned("diagonal", "stratonovich"), ReversiblePair("midpoint", 0.9)
    y0, options = torch.ones(2, 2, dtype=DOUBLE), {"dt": 0.1, "seed": 3, "method": pair}
    ts = torch.tensor([[0.0, 0.0], [0.4, 0.4], [0.4, 2.0]], dtype=DOUBLE)
    ys = solve(equation, y0, ts, **options).ys  # type: ignore[arg-type]
    assert torch.equal(ys[2, 0], ys[1, 0]) and not torch.equal(ys[2, 1], ys[1, 1])
