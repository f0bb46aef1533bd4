"""Models of series: clients of the solver core."""

from .config import LatentSDEConfig
from .defaults import config_for
from .forecaster import Forecaster, load
from .latent_sde import ELBO, LatentSDE
from .predictive import Predictive, predict
from .saving import describe, load_run, read_config, save_weights

__all__ = [
    "ELBO",
    "Forecaster",
    "LatentSDE",
    "LatentSDEConfig",
    "Predictive",
    "config_for",
    "describe",
    "load",
    "load_run",
    "predict",
    "read_config",
    "save_weights",
]
