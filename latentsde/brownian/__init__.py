"""W(t) as a pure function of (stream version, seed, sample id, channel, time). Knows nothing of SDEs."""

from . import operators as operators  # registers them
from .aligned import AlignedPath
from .drawing import standard_normal
from .increments import Increments
from .kernels import implementation
from .philox import STREAM_VERSION, derive_seed
from .refined import RefinedPath
from .tree import VirtualBrownianTree

__all__ = [
    "STREAM_VERSION",
    "AlignedPath",
    "Increments",
    "RefinedPath",
    "VirtualBrownianTree",
    "derive_seed",
    "implementation",
    "standard_normal",
]
