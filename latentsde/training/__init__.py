"""Training on Lightning: `fit` and its configuration."""

from .config import TrainingConfig
from .directory import check_directory, prepare_directory
from .fit import FitResult, fit
from .launch import is_main_process

__all__ = ["FitResult", "TrainingConfig", "check_directory", "fit", "is_main_process", "prepare_directory"]
