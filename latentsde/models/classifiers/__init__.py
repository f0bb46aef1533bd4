"""Classifiers of images: SDE-BNNs, and what they are compared with, all called in one way."""

from .averaged import Averaged
from .build import build
from .config import NAMES, ClassifierConfig
from .saving import load_classifier

__all__ = ["NAMES", "Averaged", "ClassifierConfig", "build", "load_classifier"]
