"""Training on Lightning: `fit` for models of series, `fit_classifier` for classifiers of images."""

from .classifier_config import ClassifierTrainingConfig
from .config import TrainingConfig
from .directory import check_directory, prepare_directory
from .fit import FitResult, fit
from .fit_classifier import ClassifierFit, fit_classifier
from .launch import is_main_process

__all__ = [
    "ClassifierFit",
    "ClassifierTrainingConfig",
    "FitResult",
    "TrainingConfig",
    "check_directory",
    "fit",
    "fit_classifier",
    "is_main_process",
    "prepare_directory",
]
