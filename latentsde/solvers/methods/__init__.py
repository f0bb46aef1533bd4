"""The methods, by the names `solve(method=...)` takes. A new one is a file of its own and a line here."""

from .base import Method, Order, Step
from .bridged_euler import BridgedEuler
from .dopri5 import Dopri5
from .ees25 import EES25
from .euler import Euler
from .euler_heun import EulerHeun
from .general_shark import GeneralShARK
from .heun import Heun
from .log_ode import LogODE
from .midpoint import Midpoint
from .milstein import Milstein
from .milstein_derivative import MilsteinDerivative
from .ralston import Ralston
from .reversible_heun import ReversibleHeun
from .reversible_pair import ReversiblePair
from .rk4 import RK4
from .sea import SEA
from .shark import ShARK
from .slow_rk import SlowRK
from .spark import SPaRK
from .sra1 import SRA1
from .srk import SRK
from .tsit5 import Tsit5

METHODS: dict[str, Method] = {
    "bridged_euler": BridgedEuler(),
    "dopri5": Dopri5(),
    "ees25": EES25(),
    "euler": Euler(),
    "euler_heun": EulerHeun(),
    "general_shark": GeneralShARK(),
    "heun": Heun(),
    "log_ode": LogODE(),
    "midpoint": Midpoint(),
    "milstein": Milstein(),
    "milstein_derivative": MilsteinDerivative(),
    "ralston": Ralston(),
    "reversible_heun": ReversibleHeun(),
    "rk4": RK4(),
    "sea": SEA(),
    "shark": ShARK(),
    "slow_rk": SlowRK(),
    "spark": SPaRK(),
    "sra1": SRA1(),
    "srk": SRK(),
    "tsit5": Tsit5(),
}

__all__ = ["METHODS", "Method", "Order", "ReversiblePair", "Step"]
