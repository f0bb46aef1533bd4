"""Fields, encoders and likelihoods shared by the models."""

from .between import Between, Decay, FeatureDecay, Flow
from .context import Context
from .decoder import Decoder
from .encoder import BackwardEncoder, ForwardEncoder, ODEEncoder
from .fields import MLP, ConditionedMLP
from .likelihoods import FAMILIES, LIKELIHOODS, Likelihoods
from .recurrence import Recurrence
from .time_features import TimeFeatures

__all__ = [
    "FAMILIES",
    "LIKELIHOODS",
    "MLP",
    "BackwardEncoder",
    "Between",
    "ConditionedMLP",
    "Context",
    "Decay",
    "Decoder",
    "FeatureDecay",
    "Flow",
    "ForwardEncoder",
    "Likelihoods",
    "ODEEncoder",
    "Recurrence",
    "TimeFeatures",
]
