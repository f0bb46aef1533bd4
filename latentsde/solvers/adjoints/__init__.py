"""How gradients are taken, by the names `solve(adjoint=...)` takes."""

from .backsolve import Backsolve
from .base import Adjoint
from .checkpointed import Checkpointed
from .direct import Direct
from .reversible import Reversible

ADJOINTS: dict[str, Adjoint] = {
    adjoint.name: adjoint for adjoint in (Direct(), Checkpointed(), Backsolve(), Reversible())
}

__all__ = [
    "ADJOINTS",
    "Adjoint",
    "Backsolve",
    "Checkpointed",
    "Direct",
    "Reversible",
    "nothing_to_differentiate",
]
