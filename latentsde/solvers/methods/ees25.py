"""EES(2,5): order 2, and undone by a step back up to order 5 in h: nearly reversible without a second state.

Shmelev, Ebrahimi-Fard, Tapia & Salvi 2025, "Explicit and effectively symmetric Runge-Kutta methods", with
x = 1/10. Strong order 1.0 for commutative noise, 0.5 otherwise; order 2 for ODEs.
"""

from __future__ import annotations

from .base import Order
from .runge_kutta import RungeKutta


class EES25(RungeKutta):
    calculus = frozenset({"stratonovich"})
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.0, ode=2)
    nodes = (0.0, 1 / 3, 5 / 6)
    rows = ((1 / 3,), (-5 / 48, 15 / 16))
    weights = (1 / 10, 1 / 2, 2 / 5)
