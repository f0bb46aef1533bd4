"""Training on Lightning: `fit` and its configuration."""

from .config import TrainingConfig
from .directory import check_directory, prepare_directory
from .fit import FitResult, fit

__all__ = ["FitResult", "TrainingConfig", "check_directory", "fit", "prepare_directory"]
