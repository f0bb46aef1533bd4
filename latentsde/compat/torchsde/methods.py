"""torchsde's methods: what each may be used for there, and which of ours takes its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...solvers import METHODS as OURS
from ...solvers import Method
from ...solvers.methods.euler import Euler
from ...solvers.methods.log_ode import LogODE
from .settings import LEVY_AREA_APPROXIMATIONS, METHOD_OPTIONS, METHODS, NOISE_TYPES, SDE_TYPES

_ITO, _STRATONOVICH = frozenset({SDE_TYPES.ito}), frozenset({SDE_TYPES.stratonovich})
_ANY_NOISE = frozenset(NOISE_TYPES.all())
_NOT_GENERAL = _ANY_NOISE - {NOISE_TYPES.general}
_ANY_AREA = frozenset(LEVY_AREA_APPROXIMATIONS.all())
_SPACE_TIME = _ANY_AREA - {LEVY_AREA_APPROXIMATIONS.none}
_AREA = frozenset({LEVY_AREA_APPROXIMATIONS.davie, LEVY_AREA_APPROXIMATIONS.foster})


@dataclass(frozen=True)
class Use:
    """A method as `sdeint` calls it.

    Attributes:
        ours: its name in `latentsde.solvers.METHODS`.
        calculus, noise: the SDEs that torchsde allows it for.
        areas: the Lévy area approximations of a Brownian motion that serve it.
        paired: it asks for f and g at the same points.
    """

    ours: str
    calculus: frozenset[str]
    noise: frozenset[str] = _ANY_NOISE
    areas: frozenset[str] = _ANY_AREA
    paired: bool = True

    @property
    def needs_space_time(self) -> bool:
        return self.areas == _SPACE_TIME

    @property
    def needs_area(self) -> bool:
        return self.areas == _AREA


_USES = {
    METHODS.euler: Use("euler", _ITO),
    METHODS.milstein: Use("milstein_derivative", _ITO | _STRATONOVICH, _NOT_GENERAL, paired=False),
    METHODS.srk: Use("srk", _ITO, _NOT_GENERAL, _SPACE_TIME, paired=False),
    METHODS.midpoint: Use("midpoint", _STRATONOVICH),
    METHODS.heun: Use("heun", _STRATONOVICH),
    METHODS.euler_heun: Use("euler_heun", _STRATONOVICH, paired=False),
    METHODS.log_ode_midpoint: Use("log_ode", _STRATONOVICH, areas=_AREA),
    METHODS.reversible_heun: Use("reversible_heun", _STRATONOVICH),
}
_WITHOUT_DERIVATIVE = Use("milstein", _ITO | _STRATONOVICH, _NOT_GENERAL, paired=False)


class AdaptiveEuler(Euler):
    """Euler with adaptive steps for any noise, which torchsde allows with a warning and `solve` does not."""

    adaptive = True


class AdaptiveLogODE(LogODE):
    """log_ode with adaptive steps for general noise, which `solve` does not allow: see `check_adaptive`."""

    adaptive = True


_ADAPTIVE: dict[str, Method] = {
    METHODS.euler: AdaptiveEuler(),
    METHODS.log_ode_midpoint: AdaptiveLogODE(),
}


def adaptive_method(method: str, use: Use) -> str | Method:
    """What of ours takes the adaptive steps of torchsde's `method`."""
    return _ADAPTIVE.get(method, use.ours)


def default_method(noise_type: str, sde_type: str) -> str:
    """torchsde's choice where no method is named."""
    if sde_type == SDE_TYPES.stratonovich:
        return METHODS.midpoint
    return METHODS.euler if noise_type == NOISE_TYPES.general else METHODS.srk


def use_of(method: str, noise_type: str, sde_type: str, options: Mapping[str, Any]) -> Use:
    """The method's use for an SDE; ValueError where torchsde has none, and ours neither.

    A name that only ours have is theirs to check.
    """
    if method == METHODS.adjoint_reversible_heun:
        raise ValueError(f"{method!r} is an adjoint_method; the method is {METHODS.reversible_heun!r}")
    if method not in _USES:
        if method not in OURS:
            raise ValueError(f"method must be one of {METHODS}, got {method!r}")
        areas = {None: _ANY_AREA, "space-time": _SPACE_TIME}.get(OURS[method].levy_area, _AREA)
        return Use(method, _ITO | _STRATONOVICH, areas=areas, paired=False)
    use = _USES[method]
    if method == METHODS.milstein and options.get(METHOD_OPTIONS.grad_free):
        use = _WITHOUT_DERIVATIVE
    if sde_type not in use.calculus:
        raise ValueError(f"method {method!r} is not for {sde_type} SDEs; {_fitting(noise_type, sde_type)}")
    if noise_type not in use.noise:
        raise ValueError(f"method {method!r} is not for {noise_type} noise; {_fitting(noise_type, sde_type)}")
    return use


def _fitting(noise_type: str, sde_type: str) -> str:
    fitting = sorted(
        name for name, use in _USES.items() if sde_type in use.calculus and noise_type in use.noise
    )
    return f"these are for {noise_type} noise and {sde_type}: {', '.join(fitting)}"


def adjoint_of(method: str, adjoint_method: str | None, noise_type: str, sde_type: str) -> str | None:
    """The method of the way back: `adjoint_reversible_heun`, one of ours for the adjoint SDE, or None for a
    fitting one.

    Raises:
        ValueError: a name that torchsde refuses there as well.
    """
    if adjoint_method is None:
        return METHODS.adjoint_reversible_heun if method == METHODS.reversible_heun else None
    if adjoint_method == METHODS.adjoint_reversible_heun:
        if method != METHODS.reversible_heun:
            raise ValueError(
                f"adjoint_method {adjoint_method!r} undoes steps of {METHODS.reversible_heun!r}, "
                f"not of {method!r}; leave it out"
            )
        return adjoint_method
    use = use_of(adjoint_method, noise_type, sde_type, {})
    if adjoint_method in (METHODS.srk, METHODS.log_ode_midpoint):
        raise ValueError(
            f"adjoint_method {adjoint_method!r} needs the diffusion of the adjoint SDE as a matrix, which "
            "nobody makes; leave it out"
        )
    return use.ours
