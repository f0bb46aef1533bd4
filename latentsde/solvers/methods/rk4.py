"""The classical Runge-Kutta method for ODEs, of order 4.

Kutta 1901.
"""

from __future__ import annotations

from .base import BOTH, Order
from .runge_kutta import RungeKutta


class RK4(RungeKutta):
    calculus = BOTH
    noise = frozenset({"none"})
    order = Order(ode=4)
    nodes = (0.0, 1 / 2, 1 / 2, 1.0)
    rows = ((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0))
    weights = (1 / 6, 1 / 3, 1 / 3, 1 / 6)
