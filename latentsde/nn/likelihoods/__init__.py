"""Observation models: a family for each kind of column."""

from .family import Family, Spread
from .likelihoods import Likelihoods
from .table import FAMILIES, LIKELIHOODS

__all__ = ["FAMILIES", "LIKELIHOODS", "Family", "Likelihoods", "Spread"]
