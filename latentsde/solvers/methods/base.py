"""What a method is: how it advances one step, and what it is right for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from ..sde import Equation
from ..state import Value

ANY_NOISE = frozenset({"none", "diagonal", "additive", "scalar", "general"})
BOTH = frozenset({"ito", "stratonovich"})


@dataclass(frozen=True)
class Order:
    """Strong order of convergence by class of noise: general, commutative (diagonal and scalar among it),
    additive.
    """

    strong: float
    strong_commutative: float
    strong_additive: float


class Step(NamedTuple):
    """One step: from t0 to t1 = t0 + h (h < 0 backwards in time), with the path's increment over it.

    t0 and t1 are 0-d tensors, or (batch, 1, ...) with a grid for each sample; h is a number, or shaped to
    multiply y, and h_noise the same shaped to multiply W, which is None for an ODE.
    """

    t0: Any
    t1: Any
    h: Any
    h_noise: Any
    W: Any


class Method(ABC):
    """A one-step method. What it may be used for stands in its class attributes and is checked once, by
    `solve`.
    """

    calculus: ClassVar[frozenset[str]]
    noise: ClassVar[frozenset[str]] = ANY_NOISE
    order: ClassVar[Order]

    def start(self, sde: Equation, t0: Any, y0: Value) -> Any:
        """What the method carries from step to step besides y; None for most."""
        return None

    @abstractmethod
    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        """(y1, carry) at the end of the step. A step of zero length must return y0's value."""
