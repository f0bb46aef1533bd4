"""Steps compiled in chunks by torch.compile.

A step of a small network is dominated by the calls it makes. Unrolled over some twenty steps and compiled,
the calls become one; compiling a single step gains nothing. Compilation happens once for each kind of
equation, method and shape, and is found again by later solves.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
from torch import Tensor

from .equation import Equation
from .methods import Method, Step
from .state import State, Value, each
from .timeline import Part, Timeline

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

    def __call__(
        self, timeline: Timeline | Part, start: int, stop: int, y: Value, carry: Any
    ) -> tuple[list[Value], Any]:
        """(the state after each of the steps start .. stop - 1, carry)."""
        after: list[Value] = []
        chunks = (stop - start) // self.size
        if self.usable and chunks:
            stacked = timeline.stacked(start, start + chunks * self.size)
            if self.costs is None:
                (first,) = timeline.block(start, start + 1)
                self.costs = self._cost(first, y, carry)
            for k in range(0, chunks * self.size, self.size):
                done = self._compiled(stacked, k, y, carry)
                if done is None:
                    break
                states, carry = done
                after.extend(states)
                y = states[-1]
        for step in timeline.block(start + len(after), stop):
            y, carry = self.method.advance(self.equation, step, y, carry)
            after.append(y)
        return after, carry

    def _cost(self, step: Step, y: Value, carry: Any) -> tuple[int, int]:
        """The evaluations of f and g in one step, by a plain one that is thrown away (and checks shapes)."""
        equation = self.equation
        equation.forget()
        before = equation.drift_evaluations, equation.diffusion_evaluations
        with torch.no_grad():
            self.method.advance(equation, step, y, carry)
        after = equation.drift_evaluations, equation.diffusion_evaluations
        equation.drift_evaluations, equation.diffusion_evaluations = before
        return after[0] - before[0], after[1] - before[1]

    def _compiled(self, stacked: Step, k: int, y: Value, carry: Any) -> Any:
        """The chunk that begins at step k, or None where it cannot be compiled."""
        t, _, *rest = stacked[:7]
        inputs = [None if x is None else each(lambda v: v[k : k + self.size], x) for x in rest]
        try:
            result = _compiled_for(t.device.type)(
                _Quiet.of(self.equation), self.method, y, carry, t[k : k + self.size + 1], *inputs
            )
        except Exception as error:
            if not type(error).__module__.startswith(_UNUSABLE):
                raise
            self.usable = False
            _warn(error)
            return None
        assert self.costs is not None
        self.equation.drift_evaluations += self.costs[0] * self.size
        self.equation.diffusion_evaluations += self.costs[1] * self.size
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


@functools.cache
def _compiled_for(device: str) -> Any:
    # On the CPU a call of a compiled graph is mostly Python around small kernels: let it be C++ as well.
    options = {"cpp_wrapper": True} if device == "cpu" else None
    return torch.compile(_chunk, dynamic=False, fullgraph=True, options=options)  # type: ignore[arg-type]


def _chunk(
    equation: Equation,
    method: Method,
    y: Value,
    carry: Any,
    t: Tensor,
    h: Any,
    length: Any,
    W: Any,
    H: Any,
    A: Any,
) -> tuple[list[Value], Any]:
    states = []
    for k in range(len(t) - 1):
        step = Step(
            t[k],
            t[k + 1],
            *(None if x is None else each(lambda v, i=k: v[i], x) for x in (h, length, W, H, A)),
        )
        y, carry = method.advance(equation, step, y, carry)
        states.append(y)
    return states, carry
