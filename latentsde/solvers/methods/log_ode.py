"""Log-ODE: the midpoint rule along the path's log-signature to level two, with the Lévy area of the channels.

Castell & Gaines 1996; Foster, Lyons & Oberhauser 2020 for the area. To f h + g W it adds the sum over
channels i, j of A_ij (∂g_j) g_i at the middle, where A_ij = (∫ W_i dW_j - ∫ W_j dW_i) / 2. With an
approximated area the strong order is 0.5 for general noise, at a smaller constant; 1.0 for commutative
noise, where the area does nothing and is not looked at. Of a tuple state, channels of different components
are taken to have no area.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..equation import Equation
from ..state import State, Value, add_scaled
from .base import Method, Order, Step
from .runge_kutta import at


class LogODE(Method):
    calculus = frozenset({"stratonovich"})
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.0, ode=2)
    levy_area = "foster"
    fractions = (0.5,)
    undoes = True

    def levy_area_for(self, sde: Equation) -> str | None:
        return self.levy_area if sde.noise_type == "general" else None

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        time = at(step, 0.5)
        middle = sde.push(y0, step.t0, y0, step.h, step.W, 0.5)
        if sde.noise_type != "general":
            return sde.push(y0, time, middle, step.h, step.W), None
        diffusion: Any = sde.g(time, middle)
        y1: Any = sde.add_noise(add_scaled(y0, sde.f(time, middle), step.h), diffusion, step.W)
        if not isinstance(diffusion, tuple):
            for channel in range(diffusion.shape[-1]):
                along = _along(diffusion, step.A, channel)
                # The derivative by a difference: `along` is of order h, and so its error h².
                y1 = y1 + (sde.g(time, middle + along) - diffusion)[..., channel]
            return y1, None
        for part, columns in enumerate(diffusion):
            for channel in range(0 if columns is None else columns.shape[-1]):
                shift = _only(part, _along(columns, step.A[part], channel), len(diffusion))
                beside: Any = sde.g(time, middle + shift)
                change = (beside[part] - columns)[..., channel]
                y1 = y1 + _only(part, change, len(diffusion))
        return y1, None


def _along(diffusion: Tensor, area: Tensor, channel: int) -> Tensor:
    """Σ_i g_i A_ij for channel j."""
    weights = area[:, :, channel]
    between = (1,) * (diffusion.dim() - 2)
    return (diffusion * weights.reshape(weights.shape[0], *between, weights.shape[1])).sum(-1)


def _only(part: int, value: Tensor, parts: int) -> State:
    return State(value if index == part else None for index in range(parts))
