"""Solvers of dy = f dt + g dW and dy = f dt. Knows nothing of neural networks."""

from .adaptive import StepTooSmall
from .adjoints import ADJOINTS, Adjoint, Backsolve, Checkpointed, Direct, Reversible
from .controllers import ConstantStep, Controller, GivenGrid
from .events import Event
from .finite import NotFinite
from .methods import METHODS, Method, Order, ReversiblePair
from .pid import PID
from .sde import SDE
from .solution import Solution, Stats
from .solve import solve

__all__ = [
    "ADJOINTS",
    "METHODS",
    "PID",
    "SDE",
    "Adjoint",
    "Backsolve",
    "Checkpointed",
    "ConstantStep",
    "Controller",
    "Direct",
    "Event",
    "GivenGrid",
    "Method",
    "NotFinite",
    "Order",
    "Reversible",
    "ReversiblePair",
    "Solution",
    "Stats",
    "StepTooSmall",
    "solve",
]
