"""Dormand-Prince: order 5 with an embedded method of order 4, for ODEs.

Dormand & Prince 1980, "A family of embedded Runge-Kutta formulae". Six evaluations a step and one at the
start.
"""

from __future__ import annotations

from .base import Order
from .runge_kutta import FirstSameAsLast


class Dopri5(FirstSameAsLast):
    order = Order(ode=5)
    nodes = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
    rows = (
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    )
    error_weights = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
