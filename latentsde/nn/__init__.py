"""Fields, encoders and likelihoods shared by the models."""

from .context import Context
from .decoder import Decoder
from .encoder import BackwardEncoder, ForwardEncoder
from .fields import MLP, ConditionedMLP
from .likelihoods import LIKELIHOODS, Likelihoods
from .time_features import TimeFeatures

__all__ = [
    "LIKELIHOODS",
    "MLP",
    "BackwardEncoder",
    "ConditionedMLP",
    "Context",
    "Decoder",
    "ForwardEncoder",
    "Likelihoods",
    "TimeFeatures",
]
