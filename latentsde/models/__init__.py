"""Models of series: clients of the solver core."""

from .bound import ELBO
from .checking import check_series, check_values
from .config import LatentSDEConfig, SeriesConfig
from .defaults import config_for
from .forecaster import Forecaster, load
from .latent_sde import LatentSDE
from .predictive import Predictive, predict
from .saving import describe, load_run, read_config, save_weights
from .series_model import SeriesModel
from .table import MODELS, model_class

__all__ = [
    "ELBO",
    "MODELS",
    "Forecaster",
    "LatentSDE",
    "LatentSDEConfig",
    "Predictive",
    "SeriesConfig",
    "SeriesModel",
    "check_series",
    "check_values",
    "config_for",
    "describe",
    "load",
    "load_run",
    "model_class",
    "predict",
    "read_config",
    "save_weights",
]
