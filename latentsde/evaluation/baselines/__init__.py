"""Baselines: last observation, same hour yesterday, linear interpolation, climatology, Gaussian process."""

from latentsde.evaluation.baselines.baseline import Baseline, Normal, PointBaseline
from latentsde.evaluation.baselines.climatology import Climatology
from latentsde.evaluation.baselines.gaussian_process import GaussianProcess
from latentsde.evaluation.baselines.last_observation import LastObservation
from latentsde.evaluation.baselines.linear_interpolation import LinearInterpolation
from latentsde.evaluation.baselines.same_hour_yesterday import SameHourYesterday
from latentsde.evaluation.baselines.table import BASELINES, baselines_for, score_baselines

__all__ = [
    "BASELINES",
    "Baseline",
    "Climatology",
    "GaussianProcess",
    "LastObservation",
    "LinearInterpolation",
    "Normal",
    "PointBaseline",
    "SameHourYesterday",
    "baselines_for",
    "score_baselines",
]
