"""Fields, encoders and likelihoods shared by the models."""

from .context import Context
from .decoder import Decoder
from .encoder import BackwardEncoder
from .fields import MLP, ConditionedMLP
from .likelihoods import FAMILIES, LIKELIHOODS, Likelihoods
from .time_features import TimeFeatures

__all__ = [
    "FAMILIES",
    "LIKELIHOODS",
    "MLP",
    "BackwardEncoder",
    "ConditionedMLP",
    "Context",
    "Decoder",
    "Likelihoods",
    "TimeFeatures",
]
