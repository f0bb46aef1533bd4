"""The methods, by the names `solve(method=...)` takes. A new one is a file of its own and a line here."""

from .base import Method, Order, Step
from .bridged_euler import BridgedEuler
from .euler import Euler
from .heun import Heun
from .midpoint import Midpoint
from .milstein import Milstein
from .reversible_heun import ReversibleHeun

METHODS: dict[str, Method] = {
    "bridged_euler": BridgedEuler(),
    "euler": Euler(),
    "heun": Heun(),
    "midpoint": Midpoint(),
    "milstein": Milstein(),
    "reversible_heun": ReversibleHeun(),
}

__all__ = ["METHODS", "Method", "Order", "Step"]
