"""Classifiers of images: SDE-BNNs, and what they are compared with, all called in one way."""

from .averaged import Averaged
from .build import build
from .config import NAMES, ClassifierConfig
from .room import check_training
from .saving import load_classifier

__all__ = ["NAMES", "Averaged", "ClassifierConfig", "build", "check_training", "load_classifier"]
