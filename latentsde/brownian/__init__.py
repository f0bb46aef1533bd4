"""W(t) as a pure function of (stream version, seed, sample id, channel, time). Knows nothing of SDEs."""

from . import operators as operators  # registers them
from .aligned import AlignedPath
from .correlated import CorrelatedPath
from .drawing import standard_normal
from .increments import Increments
from .kernels import implementation
from .levy_area import LEVY_AREA_APPROXIMATIONS, levy_area, levy_areas
from .philox import STREAM_VERSION, derive_seed
from .refined import RefinedPath
from .tree import VirtualBrownianTree

__all__ = [
    "LEVY_AREA_APPROXIMATIONS",
    "STREAM_VERSION",
    "AlignedPath",
    "CorrelatedPath",
    "Increments",
    "RefinedPath",
    "VirtualBrownianTree",
    "derive_seed",
    "implementation",
    "levy_area",
    "levy_areas",
    "standard_normal",
]
