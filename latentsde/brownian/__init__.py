"""W(t) as a pure function of (stream version, seed, sample id, channel, time). Knows nothing of SDEs."""

from .aligned import AlignedPath
from .increments import Increments
from .philox import STREAM_VERSION, derive_seed, standard_normal
from .refined import RefinedPath
from .tree import VirtualBrownianTree

__all__ = [
    "STREAM_VERSION",
    "AlignedPath",
    "Increments",
    "RefinedPath",
    "VirtualBrownianTree",
    "derive_seed",
    "standard_normal",
]
