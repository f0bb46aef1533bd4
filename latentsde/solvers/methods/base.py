"""What a method is: how it advances one step, and what it is right for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..equation import Equation
from ..state import Value, each

ANY_NOISE = frozenset({"none", "diagonal", "additive", "scalar", "commutative", "general"})
BOTH = frozenset({"ito", "stratonovich"})


@dataclass(frozen=True)
class Order:
    """Order of convergence: strong, by class of noise (general; commutative, with diagonal and scalar among
    it; additive), and for ODEs; None where the method is not for them.
    """

    strong: float | None = None
    strong_commutative: float | None = None
    strong_additive: float | None = None
    ode: float | None = None


class Step(NamedTuple):
    """One step: from t0 to t1 = t0 + h (h < 0 backwards in time), with what the path does over it.

    t0 and t1 are 0-d tensors, or (batch, 1, ...) with a grid for each sample; h is a number, or shaped to
    multiply y. `length` is the variance of W over the step, |h|, shaped to multiply W. W is None for an ODE;
    H, the space-time Lévy area, and A, the Lévy area (batch, m, m), are there for methods that ask for them
    by `levy_area`. `terms` and `times` are what was made for a block of steps at once, where it was:
    see `Method.terms_of_noise` and `Method.fractions`.
    """

    t0: Any
    t1: Any
    h: Any
    length: Any
    W: Any
    H: Any = None
    A: Any = None
    terms: Any = None
    times: dict[float, Any] | None = None

    def reversed(self) -> Step:
        """The step that undoes this one: from t1 to t0 on the same path.

        The length is negative in it: an Itô correction is undone, not made once more. (Going on backwards in
        time, as `solve` does for decreasing ts, is another thing: there the equation is read from its later
        end and the length stays positive.)
        """
        h, length, W, A = (_negative(x) for x in (self.h, self.length, self.W, self.A))
        return Step(self.t1, self.t0, h, length, W, self.H, A)


def _negative(value: Any) -> Any:
    return None if value is None else each(lambda v: -v, value)


class Method(ABC):
    """A one-step method. What it is right for stands in its class attributes and is checked once, by
    `solve`.

    Attributes:
        calculus: in which its noise is read; additive noise and ODEs are right in both.
        noise: the noise types it takes; "none" are ODEs.
        order: declared, and held by tests.
        levy_area: what it needs of the path besides W: None, "space-time" (H), or "davie" or "foster" (H and
            an area A approximated from W and H).
        fractions: of the step, where f and g are evaluated besides its ends.
        slopes_only: the state is touched by sums, `Equation.slope` and `Equation.push` alone, so that the
            method also solves the adjoint equation.
        undoes: a step of it with `Step.reversed()` approximates the inverse, to the method's order, for all
            noise it takes (for additive noise, and ODEs, every method does).
        additive_only: where its noise is diagonal, it must not depend on the state.
        reversible: a step can be undone exactly, up to rounding.
        adaptive: False where steps chosen by what they see of the path change the law, for noise that depends
            on the state; True allows them whatever they change. A method that draws areas needs no mark.
        embedded: `advance_with_error` gives an error estimate at no or little cost.
    """

    calculus: frozenset[str]
    noise: frozenset[str] = ANY_NOISE
    order: Order
    levy_area: str | None = None
    fractions: tuple[float, ...] = ()
    slopes_only: bool = False
    undoes: bool = False
    additive_only: bool = False
    reversible: bool = False
    adaptive: bool | None = None
    embedded: bool = False

    def start(self, sde: Equation, t0: Any, y0: Value) -> Any:
        """What the method carries from step to step besides y; None for most."""
        return None

    def levy_area_for(self, sde: Equation) -> str | None:
        """`levy_area`, or less where the noise of this equation does not need it."""
        return self.levy_area

    def terms_of_noise(self, sde: Equation, step: Step) -> Any:
        """What a step needs that depends on its noise alone, a tuple of values, or None: made of many steps
        at once, whose length, W, H and A then have a leading axis of steps and whose rest is None.
        """
        return None

    def terms(self, sde: Equation, step: Step) -> Any:
        """`terms_of_noise`, made for the block or, where there is none, here."""
        return self.terms_of_noise(sde, step) if step.terms is None else step.terms

    @abstractmethod
    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        """(y1, carry) at the end of the step. A step of zero length must return y0's value."""

    def advance_with_error(
        self, sde: Equation, step: Step, y0: Value, carry: Any
    ) -> tuple[Value, Any, Value]:
        """`advance`, and an estimate of the step's error, of y's shape; for methods that are `embedded`."""
        raise NotImplementedError(f"{type(self).__name__} has no embedded error estimate")
