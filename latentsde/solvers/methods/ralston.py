"""Ralston: of the Runge-Kutta methods with two stages the one with the smallest bound of its error for ODEs.

Ralston 1962; for Stratonovich equations, Rößler 2010. Strong order 1.0 for commutative noise, 0.5 otherwise;
order 2 for ODEs.
"""

from __future__ import annotations

from .base import Order
from .runge_kutta import RungeKutta


class Ralston(RungeKutta):
    calculus = frozenset({"stratonovich"})
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.0, ode=2)
    nodes = (0.0, 2 / 3)
    rows = ((2 / 3,),)
    weights = (1 / 4, 3 / 4)
