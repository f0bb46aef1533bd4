"""SDE Bayesian neural networks (Xu, Chen, Li & Duvenaud 2022), and the same without noise."""

from .depth import Depth
from .drift import DriftNetwork
from .layer import SDEBNN, Passed
from .network import ContinuousDepth, Predicted
from .noiseless import HyperODENet, ODENet
from .objective import Objective, negative_elbo

__all__ = [
    "SDEBNN",
    "ContinuousDepth",
    "Depth",
    "DriftNetwork",
    "HyperODENet",
    "ODENet",
    "Objective",
    "Passed",
    "Predicted",
    "negative_elbo",
]
