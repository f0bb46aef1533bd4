"""Solvers of dy = f dt + g dW and dy = f dt. Knows nothing of neural networks."""

from .adjoints import ADJOINTS, Adjoint, Backsolve, Checkpointed, Direct, Reversible
from .controllers import ConstantStep, Controller, GivenGrid
from .finite import NotFinite
from .methods import METHODS, Method, Order, ReversiblePair
from .sde import SDE
from .solution import Solution, Stats
from .solve import solve

__all__ = [
    "ADJOINTS",
    "METHODS",
    "SDE",
    "Adjoint",
    "Backsolve",
    "Checkpointed",
    "ConstantStep",
    "Controller",
    "Direct",
    "GivenGrid",
    "Method",
    "NotFinite",
    "Order",
    "Reversible",
    "ReversiblePair",
    "Solution",
    "Stats",
    "solve",
]
