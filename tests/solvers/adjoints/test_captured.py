"""What an SDE holds gets its gradient, whatever it is in; a computed tensor that it does not is an error."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from latentsde import solve
from latentsde.solvers import Backsolve, Checkpointed, Reversible
from tests.solvers.adjoints.held import Y0, Holding, assert_same, gradients, leaf, loss_of
from tests.solvers.equations import DOUBLE

EXACT = ("checkpointed", "reversible")


class Plain:
    """dy = (-y + a(t)) dt + 0.3 dW; `held` is whatever `a` comes from."""

    noise_type, sde_type, additive = "diagonal", "stratonovich", True

    def __init__(self, held: Any, read: Callable[[Any], Any]) -> None:
        self.held, self.read = held, read

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return self.read(self.held) * (1.0 + t) - y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(y, 0.3)


class Attribute:
    def __init__(self, value: Any) -> None:
        self.value = value

    def read(self) -> Any:
        return self.value


class Slots:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _module(value: Tensor) -> nn.Module:
    module = nn.Module()
    module.inner = nn.Module()
    module.inner.extra = [value]  # a plain attribute of a submodule
    return module


HOLDERS: dict[str, tuple[Callable[[Tensor], Any], Callable[[Any], Any]]] = {
    "attribute": (lambda x: x, lambda h: h),
    "list": (lambda x: [1, x], lambda h: h[1]),
    "tuple in a dictionary": (lambda x: {"a": (x,)}, lambda h: h["a"][0]),
    "object": (Attribute, lambda h: h.value),
    "object in an object": (lambda x: Attribute(Attribute(x)), lambda h: h.value.value),
    "slots": (Slots, lambda h: h.value),
    "module's attribute": (_module, lambda h: h.inner.extra[0]),
    "closure": (lambda x: lambda: x, lambda h: h()),
    "closure in a closure": (lambda x: (lambda inner: lambda: inner())(lambda: x), lambda h: h()),
    "default argument": (lambda x: lambda a=x: a, lambda h: h()),
    "partial": (lambda x: functools.partial(torch.mul, x), lambda h: h(1.0)),
    "bound method": (lambda x: Attribute(x).read, lambda h: h()),
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("adjoint", [*EXACT, "backsolve"])
def test_what_is_held_is_found(adjoint: str, computed: bool, holder: str) -> None:
    hold, read = HOLDERS[holder]

    def run(adjoint: str) -> Tensor:
        origin = leaf(0.3, -0.2)
        value = torch.tanh(origin) if computed else origin
        equation = Plain(hold(value), read)
        ys = solve(equation, Y0, [0, 1], dt=0.1, method="reversible_heun", seed=1, adjoint=adjoint).ys
        assert ys.requires_grad
        (gradient,) = torch.autograd.grad(loss_of(ys), origin)
        return gradient

    tolerance = 1e-12 if adjoint in EXACT else 0.02
    torch.testing.assert_close(run(adjoint), run("direct"), rtol=tolerance, atol=0.0)


def test_a_class_attribute_a_property_and_a_closed_over_leaf_are_found() -> None:
    origin, closed = leaf(0.3), leaf(0.4)

    class Classy(Plain):
        shared = torch.cos(origin)

        def __init__(self) -> None:
            self.own = torch.exp(origin)

        @property
        def both(self) -> Tensor:
            return self.own * closed

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return self.both - self.shared * y

    class Derived(Classy):
        pass

    found = []
    for adjoint in ("direct", *EXACT):
        ys = solve(Derived(), Y0, [0, 1], dt=0.1, method="reversible_heun", seed=1, adjoint=adjoint).ys
        found.append(torch.autograd.grad(loss_of(ys), [origin, closed], retain_graph=True))
    for other in found[1:]:
        for one, direct in zip(other, found[0], strict=True):
            torch.testing.assert_close(one, direct, rtol=1e-12, atol=0.0)


NOT_HELD: dict[str, Tensor] = {}


class Elsewhere(Plain):
    """Depends on tensors that it does not hold."""

    def __init__(self) -> None:
        pass

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return NOT_HELD["value"] * (1.0 + t) - y


@pytest.mark.parametrize("adjoint", [Checkpointed, Reversible, Backsolve])
def test_a_computed_tensor_that_is_not_held_is_an_error_until_it_is_named(adjoint: Any) -> None:
    options: dict[str, Any] = {"dt": 0.1, "method": "reversible_heun", "seed": 1}
    NOT_HELD["value"] = origin = leaf(0.3)  # a leaf the graph itself tells of
    direct = torch.autograd.grad(loss_of(solve(Elsewhere(), Y0, [0, 1], **options).ys), origin)[0]
    found = torch.autograd.grad(
        loss_of(solve(Elsewhere(), Y0, [0, 1], adjoint=adjoint(), **options).ys), origin
    )[0]
    torch.testing.assert_close(found, direct, rtol=0.02 if adjoint is Backsolve else 1e-12, atol=0.0)

    NOT_HELD["value"] = computed = origin * 1.0
    with pytest.raises(ValueError) as error:
        solve(Elsewhere(), Y0, [0, 1], adjoint=adjoint(), **options)
    assert all(
        words in str(error.value)
        for words in ("Elsewhere", "does not hold", "attribute", "inputs", 'adjoint="direct"')
    )
    named = adjoint(inputs=[computed])
    found = torch.autograd.grad(loss_of(solve(Elsewhere(), Y0, [0, 1], adjoint=named, **options).ys), origin)[
        0
    ]
    torch.testing.assert_close(found, direct, rtol=0.02 if adjoint is Backsolve else 1e-12, atol=0.0)


@pytest.mark.parametrize("adjoint", EXACT)
def test_what_is_used_itself_and_through_another_counts_once(adjoint: str) -> None:
    class Twice(Holding):
        """The encoder's weights are those of the drift too, and a context comes from another."""

        def encode(self) -> None:
            self.context = torch.tanh(self.encoder(self.observed))
            self.further = self.context * self.rate + self.offset

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            shared = torch.tanh(y @ self.encoder.weight[:, :2])
            return super().f(t, y) + self.further * shared

    equation = Twice("diagonal", "stratonovich")
    direct, found = (
        gradients(equation, Y0, [0, 0.5, 1], dt=0.1, method="reversible_heun", seed=2, adjoint=a)
        for a in ("direct", adjoint)
    )
    assert_same(found, direct)


@pytest.mark.parametrize("adjoint", EXACT)
def test_contexts_that_only_later_steps_read_get_their_gradients(adjoint: str) -> None:
    class Later(Holding):
        def encode(self) -> None:
            encoded = torch.tanh(self.encoder(self.observed))
            self.context = encoded
            self.contexts = [encoded * k for k in range(4)]

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.tanh(self.inner(y)) + self.contexts[int(3.99 * float(t))] - self.rate * y

        def _g(self, t: Tensor, y: Tensor) -> Tensor:
            return self.size * torch.cos(y)

    equation = Later("diagonal", "stratonovich")
    direct, found = (
        gradients(equation, Y0, [0, 1], dt=0.1, method="reversible_heun", seed=2, adjoint=a)
        for a in ("direct", adjoint)
    )
    assert_same(found, direct)


@pytest.mark.parametrize("adjoint", [*EXACT, "backsolve"])
def test_what_is_not_used_gets_no_gradient_or_zero(adjoint: str) -> None:
    class Idle(Holding):
        def __init__(self) -> None:
            super().__init__("diagonal", "stratonovich")
            self.idle = nn.Linear(2, 2, dtype=DOUBLE)
            self.frozen = nn.Parameter(torch.ones(2, dtype=DOUBLE), requires_grad=False)
            self.counts = torch.arange(3)

    equation = Idle()
    ys = solve(equation, Y0, [0, 1], dt=0.1, method="reversible_heun", seed=1, adjoint=adjoint).ys
    loss_of(ys).backward()
    for parameter in equation.idle.parameters():
        assert parameter.grad is None or not parameter.grad.any()
    assert equation.frozen.grad is None and equation.rate.grad is not None


@pytest.mark.parametrize("adjoint", [*EXACT, "backsolve"])
def test_an_equation_that_depends_on_nothing_has_the_gradient_of_its_start(adjoint: str) -> None:
    class Constant(Plain):
        def __init__(self) -> None:
            pass

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.ones_like(y)

    y0 = Y0.clone().requires_grad_()
    ys = solve(Constant(), y0, [0, 0.5, 1], dt=0.1, method="reversible_heun", seed=1, adjoint=adjoint).ys
    (gradient,) = torch.autograd.grad(ys.sum(), y0)
    torch.testing.assert_close(gradient, torch.full_like(y0, 3.0), rtol=1e-12, atol=0.0)
