"""Solvers of dy = f dt + g dW and dy = f dt. Knows nothing of neural networks."""

from .controllers import ConstantStep, Controller, GivenGrid
from .methods import METHODS, Method, Order
from .sde import SDE
from .solution import Solution, Stats
from .solve import solve

__all__ = [
    "METHODS",
    "SDE",
    "ConstantStep",
    "Controller",
    "GivenGrid",
    "Method",
    "Order",
    "Solution",
    "Stats",
    "solve",
]
