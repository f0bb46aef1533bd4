"""Which method fits an equation, with fixed steps or adaptive ones: the check of a named one and the default
where none is named.
"""

from __future__ import annotations

from ..brownian.levy_area import LEVY_AREA_APPROXIMATIONS
from .equation import Equation
from .methods import METHODS, Method

# The default is the first that fits: tsit5 for ODEs; for additive noise shark, at heun's cost of order 1.5,
# where the path has the areas it needs; strong order 1 wherever else the noise allows it; euler.
_PREFERENCE = ("tsit5", "shark", "heun", "milstein", "euler")


def fits(method: Method, equation: Equation) -> bool:
    """Whether the method is right for the equation's calculus and noise; additive noise reads the same in
    both calculi.
    """
    if not equation.has_noise:
        return "none" in method.noise
    right_calculus = equation.is_additive or equation.calculus in method.calculus
    right_noise = equation.noise_type in method.noise and (equation.is_additive or not method.additive_only)
    return right_calculus and right_noise


def choose(method: str | Method | None, equation: Equation, *, areas: bool = False) -> tuple[str, Method]:
    """The given method, or the default, and its name; `areas` says that the path has space-time Lévy areas.

    Raises:
        ValueError: it does not fit; the message names those that do.
    """
    if method is None:
        able = (key for key in _PREFERENCE if areas or METHODS[key].levy_area is None)
        method = next(key for key in able if fits(METHODS[key], equation))
    if isinstance(method, Method):
        name, chosen = type(method).__name__, method
    elif method in METHODS:
        name, chosen = method, METHODS[method]
    else:
        raise ValueError(f"unknown method {method!r}; the methods are {', '.join(sorted(METHODS))}")
    if not fits(chosen, equation):
        kind = f"{equation.noise_type} noise in the {equation.calculus} calculus"
        if equation.has_noise and chosen.additive_only and not equation.is_additive:
            kind = "noise that depends on the state"
        fitting = sorted(key for key, known in METHODS.items() if fits(known, equation))
        raise ValueError(
            f"method {name!r} does not fit {kind if equation.has_noise else 'an ODE'}; "
            f"these do: {', '.join(fitting)}"
        )
    return name, chosen


def check_adaptive(method: Method, equation: Equation, name: str) -> None:
    """ValueError where adaptive steps would change the law; the message names the methods that leave it."""
    if method.adaptive:
        return
    if _draws_areas(method, equation):
        wrong = (
            "chooses them by areas that it draws: those of two halves do not add up to the whole's, "
            "and a rejection draws others, so that what is accepted has another law"
        )
    elif method.adaptive is False and equation.has_noise and not equation.is_additive:
        wrong = (
            "and noise that depends on the state converges to another process: its steps must not be chosen "
            "by the increments they see (Gaines & Lyons 1997)"
        )
    else:
        return
    able = sorted(
        key
        for key, known in METHODS.items()
        if fits(known, equation) and known.adaptive is None and not _draws_areas(known, equation)
    )
    others = f"or one of {', '.join(able)}" if able else "or write the equation in the Stratonovich calculus"
    raise ValueError(f"method {name!r} with adaptive steps {wrong}. Take fixed steps (dt=), {others}")


def _draws_areas(method: Method, equation: Equation) -> bool:
    """Whether its Lévy areas are drawn for each interval by itself: they are not those of one path."""
    return method.levy_area_for(equation) in LEVY_AREA_APPROXIMATIONS
