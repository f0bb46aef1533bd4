"""Equations that hold tensors of every kind, and their gradients under an adjoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentsde import solve
from latentsde.solvers import METHODS
from latentsde.solvers.choice import fits
from latentsde.solvers.equation import Equation
from tests.solvers.equations import DOUBLE, NOISES

Y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2], [0.1, 0.6]], dtype=DOUBLE)


def leaf(*values: float) -> Tensor:
    return torch.tensor(values if len(values) > 1 else values[0], dtype=DOUBLE, requires_grad=True)


class Holding(nn.Module):
    """Nonlinear, explicit in time, and dependent on parameters, a submodule's parameters, a buffer, a leaf
    and a computed attribute, tensors in a list and in a dictionary, and one in a closure.

    `leaves` are all of them: what gradients are asked for. `context` is computed from `observed` by `encode`.
    """

    def __init__(self, noise_type: str, sde_type: str, samples: int = 3) -> None:
        super().__init__()
        self.noise_type, self.sde_type = noise_type, sde_type
        generator = torch.Generator().manual_seed(1)
        self.rate = nn.Parameter(torch.tensor(0.7, dtype=DOUBLE))
        self.size = nn.Parameter(torch.tensor(0.4, dtype=DOUBLE))
        self.inner = nn.Linear(2, 2, dtype=DOUBLE)
        self.encoder = nn.Linear(3, 2, dtype=DOUBLE)
        for parameter in (*self.inner.parameters(), *self.encoder.parameters()):
            parameter.data = 0.4 * torch.randn(parameter.shape, generator=generator, dtype=DOUBLE)
        self.register_buffer("level", leaf(0.2))
        self.offset = leaf(0.1, -0.3)
        self.listed = [leaf(0.3), {"deep": leaf(-0.2)}]
        self.observed = torch.randn(samples, 3, generator=generator, dtype=DOUBLE, requires_grad=True)
        closed = leaf(0.5)
        self.push: Callable[[Tensor], Tensor] = lambda t: torch.cos(closed * t)
        self.closed = (closed,)
        self.encode()
        if noise_type == "none":
            return
        self.g = self._g

    def encode(self) -> None:
        self.context = torch.tanh(self.encoder(self.observed))

    def leaves(self) -> list[Tensor]:
        listed = [self.listed[0], self.listed[1]["deep"]]  # type: ignore[index, list-item]
        return [*self.parameters(), self.level, self.offset, *listed, self.observed, *self.closed]

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        held = self.offset * self.listed[0] + self.context  # type: ignore[operator]
        return torch.tanh(self.inner(y)) - self.rate * y + held * self.push(t)

    def _g(self, t: Tensor, y: Tensor) -> Tensor:
        size = self.size * (1.2 + self.level * torch.cos(t))
        if self.noise_type == "additive":
            columns = torch.tensor([1.0, -0.5], dtype=DOUBLE)
            return (size.unsqueeze(-1) * columns).expand(*y.shape, 2) + 0.1 * self.context.unsqueeze(-1)
        column = size * (1.0 + 0.4 * torch.sin(y + self.listed[1]["deep"] + self.context))  # type: ignore[index]
        if self.noise_type == "diagonal":
            return column
        if self.noise_type == "scalar":
            return column.unsqueeze(-1)
        if self.noise_type == "commutative":
            return torch.stack([column, -0.5 * column], -1)
        return torch.stack([column, 0.3 * torch.sin(y) + self.level], -1)


class Parts(nn.Module):
    """(a, b, c): a and c have noise, b has none; all are coupled, and nothing is additive."""

    def __init__(self, noise_type: str, sde_type: str) -> None:
        super().__init__()
        self.noise_type, self.sde_type = noise_type, sde_type
        self.rate = nn.Parameter(torch.tensor(0.7, dtype=DOUBLE))
        self.size = nn.Parameter(torch.tensor(0.4, dtype=DOUBLE))
        if noise_type != "none":
            self.g = self._g

    def f(self, t: Tensor, y: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        a, b, c = y
        return torch.sin(self.rate * a) - b.unsqueeze(-1), a.sum(-1) - self.rate * b, -c * self.rate

    def _g(self, t: Tensor, y: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        a, _, c = y
        if self.noise_type == "diagonal":
            return self.size * torch.cos(a), None, self.size * torch.sin(c)
        columns = NOISES[self.noise_type] or 1
        column = self.size * torch.cos(a).unsqueeze(-1)
        return (
            column.expand(*a.shape, columns),
            None,
            (0.5 * torch.sin(c)).unsqueeze(-1).expand(*c.shape, columns),
        )

    def leaves(self) -> list[Tensor]:
        return [self.rate, self.size]


def weights(like: Tensor, seed: int = 2) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed), dtype=like.dtype)


def loss_of(ys: Any) -> Tensor:
    """A nonlinear function of all states, the intermediate ones too."""
    parts = ys if isinstance(ys, tuple) else (ys,)
    return sum(((weights(part) * part).sin() + part.square()).sum() for part in parts)  # type: ignore[return-value]


def gradients(
    equation: Any,
    y0: Any,
    ts: Any,
    *,
    leaves: Sequence[Tensor] | None = None,
    loss: Any = loss_of,
    **options: Any,
) -> tuple[Any, list[Tensor]]:
    """The states, and the gradients of `loss` of them with respect to y0 and `leaves`; zero where there is
    none.
    """
    if hasattr(equation, "encode"):
        equation.encode()  # a fresh graph of what is computed
    starts = [part.detach().clone().requires_grad_() for part in (y0 if isinstance(y0, tuple) else (y0,))]
    solution = solve(equation, tuple(starts) if isinstance(y0, tuple) else starts[0], ts, **options)
    wrt = [*starts, *(equation.leaves() if leaves is None else leaves)]
    found = torch.autograd.grad(loss(solution.ys), wrt, allow_unused=True)
    return solution.ys, [torch.zeros_like(x) if g is None else g for x, g in zip(wrt, found, strict=True)]


def assert_same(
    one: tuple[Any, list[Tensor]], other: tuple[Any, list[Tensor]], tolerance: float = 1e-12
) -> None:
    """States and gradients agree, relative to the larger of 1 and their size."""
    (ys, gradients), (zs, others) = one, other
    parts = zip(ys if isinstance(ys, tuple) else (ys,), zs if isinstance(zs, tuple) else (zs,), strict=True)
    for a, b in (*parts, *zip(gradients, others, strict=True)):
        scale = max(1.0, float(b.detach().abs().max()))
        torch.testing.assert_close(a, b, rtol=0.0, atol=tolerance * scale)


def kinds(method: Any, noise_types: Sequence[str] = (*NOISES, "none")) -> list[tuple[str, str]]:
    """(noise type, calculus) of the equations that `Holding` offers and the method is for."""
    chosen = METHODS[method] if isinstance(method, str) else method
    found = []
    for noise_type in noise_types:
        for calculus in ("ito", "stratonovich") if noise_type != "none" else ("none",):
            if fits(chosen, Equation(Holding(noise_type, calculus))):
                found.append((noise_type, calculus))
    return found
