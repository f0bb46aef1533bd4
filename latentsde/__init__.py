"""Continuous-time stochastic models in PyTorch on one solver core."""

from .brownian import VirtualBrownianTree
from .solvers import solve

__all__ = ["VirtualBrownianTree", "solve"]
