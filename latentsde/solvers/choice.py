"""Which method fits an equation: the check of a named one and the default where none is named."""

from __future__ import annotations

from .methods import METHODS, Method
from .sde import Equation

# The default is the first that fits: strong order 1 wherever the noise allows it, and the better drift first.
_PREFERENCE = ("heun", "milstein", "euler")


def fits(method: Method, equation: Equation) -> bool:
    """Whether the method is right for the equation's calculus and noise; additive noise reads the same in
    both calculi.
    """
    right_calculus = not equation.has_noise or equation.is_additive or equation.calculus in method.calculus
    return right_calculus and equation.noise_type in method.noise


def choose(name: str | None, equation: Equation) -> tuple[str, Method]:
    """The named method, or the default; ValueError with the methods that fit where the named one does not."""
    fitting = sorted(key for key, method in METHODS.items() if fits(method, equation))
    if name is None:
        name = next(key for key in _PREFERENCE if key in fitting)
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; the methods are {', '.join(sorted(METHODS))}")
    if name not in fitting:
        raise ValueError(
            f"method {name!r} does not fit {equation.noise_type} noise in the {equation.calculus} calculus; "
            f"these do: {', '.join(fitting)}"
        )
    return name, METHODS[name]
