"""How a continuous-depth layer is solved: the dial of accuracy against cost, in training and afterwards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ...errors import InputError
from ...solvers import METHODS, PID, ConstantStep
from ...solvers.adjoints import ADJOINTS
from ...solvers.choice import fits
from ...solvers.equation import Equation

MAX_STEPS = 1000
"""Of adaptive steps, rejected ones included: a network that needs more is not worth waiting for."""


@dataclass(frozen=True)
class Depth:
    """Depth runs from time 0 to 1.

    Attributes:
        steps: equal ones, of which the last ends at 1 exactly.
        method: of `latentsde.solvers.METHODS` that takes additive noise; "euler" evaluates the network once a
            step, "midpoint" and "heun" twice.
        adjoint: "direct", "checkpointed", "backsolve", or "reversible" with method "reversible_heun".
        tolerance: instead of `steps` equal ones, adaptive ones with this relative and absolute tolerance, at
            most MAX_STEPS; a dial for evaluation, where neither gradient nor KL is asked for.
    """

    steps: int = 20
    method: str = "euler"
    adjoint: str = "direct"
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise InputError(f"depth needs a whole number of at least 1 step, got {self.steps}")
        for name, value, known in (("method", self.method, METHODS), ("adjoint", self.adjoint, ADJOINTS)):
            if value not in known:
                raise InputError(f"unknown {name} {value!r}; choose from {', '.join(sorted(known))}")
        if self.adjoint == "reversible" and not METHODS[self.method].reversible:
            raise InputError(
                f"adjoint 'reversible' needs steps that can be undone; take method 'reversible_heun' instead "
                f"of {self.method!r}"
            )
        if self.tolerance is not None and not (math.isfinite(self.tolerance) and self.tolerance > 0):
            raise InputError(f"the tolerance must be a positive number, got {self.tolerance}")

    def check(self, equation: Any) -> None:
        """InputError where the method is not for such an equation: one with additive noise, or none."""
        if fits(METHODS[self.method], Equation(equation)):
            return
        able = sorted(name for name, method in METHODS.items() if fits(method, Equation(equation)))
        kind = "weights with noise" if hasattr(equation, "g") else "weights without noise"
        raise InputError(f"method {self.method!r} is not for {kind}; choose from {', '.join(able)}")

    def kept(self, *, gradient: bool) -> int:
        """How many states are in memory at once: those of all steps where a direct gradient goes back."""
        return self.steps if gradient and self.adjoint == "direct" else 1

    def options(self) -> dict[str, Any]:
        """For `latentsde.solve`."""
        steps: Any = ConstantStep(1.0 / self.steps)
        if self.tolerance is not None:
            steps = PID(rtol=self.tolerance, atol=self.tolerance, max_steps=MAX_STEPS)
        return {"method": self.method, "controller": steps, "adjoint": self.adjoint}
