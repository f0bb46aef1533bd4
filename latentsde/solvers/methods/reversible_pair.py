"""ReversiblePair: any one-step method made reversible by a second state beside y.

McCallum & Foster 2024, "Efficient, accurate and stable gradients for neural ODEs": with Ψ the increment of
the method's step and Ψ' that of the step back,

    y1 = λ y0 + (1 - λ) z0 + Ψ(z0),        z1 = z0 - Ψ'(y1),

which is undone by z0 = z1 + Ψ'(y1), y0 = (y1 - (1 - λ) z0 - Ψ(z0)) / λ. Two of the method's steps each way.
Going back, rounding errors grow as λ^-N over N steps.
"""

from __future__ import annotations

from typing import Any

import torch

from ..equation import Equation
from ..state import Value, each
from .base import Method, Step


class ReversiblePair(Method):
    """A method of the base's calculus, noise and order.

    Args:
        base: a method, or its name in METHODS, without a carry of its own.
        coupling: λ in (0, 1]; below 1 it keeps z and y together.
    """

    reversible = True

    def __init__(self, base: Method | str, coupling: float = 0.999) -> None:
        if isinstance(base, str):
            from . import METHODS  # the table, which this class is in

            if base not in METHODS:
                raise ValueError(f"unknown method {base!r}; the methods are {', '.join(sorted(METHODS))}")
            base = METHODS[base]
        if base.reversible:
            raise ValueError(f"{type(base).__name__} is reversible as it is")
        if not 0 < coupling <= 1:
            raise ValueError(f"the coupling must be in (0, 1], got {coupling}")
        self.base, self.coupling = base, coupling
        self.order, self.levy_area, self.fractions = base.order, base.levy_area, base.fractions
        # Where a step back does not approximate the inverse, y and z part: Itô noise needs a correction.
        additive = base.noise & {"none", "additive", "diagonal"}
        self.noise, self.additive_only = (base.noise, False) if base.undoes else (additive, True)
        self.calculus = base.calculus

    def levy_area_for(self, sde: Equation) -> str | None:
        return self.base.levy_area_for(sde)

    def terms_of_noise(self, sde: Equation, step: Step) -> Any:
        return self.base.terms_of_noise(sde, step)

    def start(self, sde: Equation, t0: Any, y0: Value) -> Any:
        return y0

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        z0 = carry
        y1 = y0 + (z0 - y0) * self.pull(step) + self.increment(sde, step, z0)
        return y1, z0 - self.increment(sde, step.reversed(), y1)

    def undo(self, sde: Equation, step: Step, y1: Value, carry: Any) -> tuple[Value, Any]:
        """(y0, carry) that `advance` came from, up to rounding."""
        z0 = carry + self.increment(sde, step.reversed(), y1)
        return self.start_of(step, y1, z0, self.increment(sde, step, z0)), z0

    def pull(self, step: Step) -> Any:
        """1 - λ, by which a step draws y towards z; 0 for samples over which the step has no length."""
        pull = 1.0 - self.coupling
        return pull if isinstance(step.h, float) else each(lambda h: torch.where(h == 0, h, pull), step.h)

    def increment(self, sde: Equation, step: Step, at: Value) -> Value:
        """What the base's step from `at` adds to it."""
        return self.base.advance(sde, step, at, self.base.start(sde, step.t0, at))[0] - at

    def start_of(self, step: Step, y1: Value, z0: Value, increment: Value) -> Value:
        """y0 of a step that ended in y1."""
        pull = self.pull(step)
        return (y1 - increment - z0 * pull) / (1.0 - pull)
