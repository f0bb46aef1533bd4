"""Continuous-time stochastic models in PyTorch on one solver core.

The names below are imported when they are first used, so that `import latentsde` and the command line start
at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .brownian import VirtualBrownianTree
    from .compat.torchsde import sdeint, sdeint_adjoint
    from .data import IrregularSeries, load_weather
    from .girsanov import PathKL
    from .models import LatentSDE, load
    from .solvers import PID, Event, ReversiblePair, solve
    from .training import TrainingConfig, fit

_HOMES = {
    "Event": "solvers",
    "IrregularSeries": "data",
    "LatentSDE": "models",
    "PID": "solvers",
    "PathKL": "girsanov",
    "ReversiblePair": "solvers",
    "TrainingConfig": "training",
    "VirtualBrownianTree": "brownian",
    "fit": "training",
    "load": "models",
    "load_weather": "data",
    "sdeint": "compat.torchsde",
    "sdeint_adjoint": "compat.torchsde",
    "solve": "solvers",
}

__all__ = [
    "PID",
    "Event",
    "IrregularSeries",
    "LatentSDE",
    "PathKL",
    "ReversiblePair",
    "TrainingConfig",
    "VirtualBrownianTree",
    "__version__",
    "fit",
    "load",
    "load_weather",
    "sdeint",
    "sdeint_adjoint",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'latentsde' has no attribute '{name}'")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
