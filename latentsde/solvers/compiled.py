"""Steps compiled in chunks by torch.compile.

A step of a small network is dominated by the calls it makes. Unrolled over some twenty steps and compiled,
the calls become one; compiling a single step gains nothing. Compilation happens once for each kind of
equation, method and shape, and is found again by later solves.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from .equation import Equation
from .methods import Method, Step
from .state import State, Value, each

_UNUSABLE = ("torch._dynamo", "torch._inductor")
_warned = False


class CompiledChunks:
    """Takes steps for `march`: whole chunks compiled, what is left one by one."""

    def __init__(self, equation: Equation, method: Method, size: int) -> None:
        if size < 1:
            raise ValueError(f"compile must be True, or how many steps are compiled together, got {size!r}")
        self.equation, self.method, self.size = equation, method, size
        self.usable = True
        self.costs: tuple[int, int] | None = None

    def __call__(self, steps: list[Step], y: Value, carry: Any) -> tuple[list[Value], Any]:
        """(the state after each step, carry)."""
        after: list[Value] = []
        k = 0
        while k < len(steps):
            chunk = steps[k : k + self.size]
            if self.usable and len(chunk) == self.size:
                done = self._compiled(chunk, y, carry)
                if done is not None:
                    states, carry = done
                    after.extend(states)
                    y = states[-1]
                    k += self.size
                    continue
            before = self._counts()
            y, carry = self.method.advance(self.equation, steps[k], y, carry)
            self.costs = tuple(b - a for a, b in zip(before, self._counts(), strict=True))  # type: ignore[assignment]
            after.append(y)
            k += 1
        return after, carry

    def _counts(self) -> tuple[int, int]:
        return self.equation.drift_evaluations, self.equation.diffusion_evaluations

    def _compiled(self, chunk: list[Step], y: Value, carry: Any) -> Any:
        """A chunk's result, or None where it cannot be compiled."""
        if self.costs is None:
            return None  # the first step is a plain one: it checks shapes, and counts
        first = chunk[0]
        like = y[0] if isinstance(y, State) else y
        t = torch.stack([first.t0, *(step.t1 for step in chunk)])
        if isinstance(first.h, float):
            h: Any = torch.tensor([step.h for step in chunk], dtype=like.dtype).to(like.device)
        else:
            h = _stacked([step.h for step in chunk])
        W, H, A = (_stacked([step[i] for step in chunk]) for i in (4, 5, 6))
        try:
            # Numbers and names are the graph's constants, tensors its inputs.
            result = _chunk(
                _Quiet.of(self.equation), self.method, y, carry, t, h, W, H, A, isinstance(first.h, float)
            )
        except Exception as error:
            if not type(error).__module__.startswith(_UNUSABLE):
                raise
            self.usable = False
            _warn(error)
            return None
        for name, cost in zip(("drift_evaluations", "diffusion_evaluations"), self.costs, strict=True):
            setattr(self.equation, name, getattr(self.equation, name) + cost * len(chunk))
        return result


def _warn(error: Exception) -> None:
    global _warned
    if not _warned:
        reason = next(
            (line for line in str(error).strip().splitlines() if line.strip()), type(error).__name__
        )
        warnings.warn(
            f"compile=True: torch.compile cannot compile these steps ({reason}); they are taken one by one",
            stacklevel=2,
        )
    _warned = True


class _Quiet(Equation):
    """The equation without counters and checks, which a compiled graph has no use for."""

    @classmethod
    def of(cls, equation: Equation) -> _Quiet:
        quiet = object.__new__(cls)
        for name in ("sde", "has_noise", "noise_type", "calculus", "is_additive", "is_diagonal", "_product"):
            setattr(quiet, name, getattr(equation, name))
        return quiet

    def f(self, t: Any, y: Value) -> Value:
        drift = self.sde.f(t, y)
        return State(drift) if isinstance(drift, tuple) else drift

    def g(self, t: Any, y: Value) -> Value:
        diffusion = self.sde.g(t, y)
        return State(diffusion) if isinstance(diffusion, tuple) else diffusion


@torch.compile(dynamic=False, fullgraph=True)
def _chunk(
    equation: Equation,
    method: Method,
    y: Value,
    carry: Any,
    t: Tensor,
    h: Any,
    W: Any,
    H: Any,
    A: Any,
    shared: bool,
) -> tuple[list[Value], Any]:
    states = []
    for k in range(len(t) - 1):
        length = _row(h, k)
        span: Any = abs(length) if shared else None
        if not shared and W is not None:
            span = each(lambda w, n=length: _beside(n, w), _row(W, k))
        step = Step(t[k], t[k + 1], length, span, _row(W, k), _row(H, k), _row(A, k))
        y, carry = method.advance(equation, step, y, carry)
        states.append(y)
    return states, carry


def _beside(h: Any, w: Tensor) -> Tensor:
    length = h[0] if isinstance(h, tuple) else h
    return length.abs().reshape(-1, *(1,) * (w.dim() - 1))


def _row(value: Any, k: int) -> Any:
    return None if value is None else each(lambda x: x[k], value)


def _stacked(values: list[Any]) -> Any:
    if values[0] is None:
        return None
    return each(lambda *parts: torch.stack(parts), *values)
