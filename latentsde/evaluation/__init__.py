"""How good a prediction is: scores of values, and baselines to hold them against."""

from latentsde.evaluation.baselines import BASELINES, Baseline, Normal, baselines_for, score_baselines
from latentsde.evaluation.likelihood import LogLikelihood, log_likelihood
from latentsde.evaluation.metrics import (
    CALIBRATION_LEVELS,
    calibration_curve,
    coverage,
    covered,
    crps_normal,
    crps_samples,
    nll_normal,
    pit_normal,
    pit_samples,
)
from latentsde.evaluation.scores import (
    SCALE,
    PointScores,
    Scores,
    metrics_document,
    score_normal,
    score_samples,
)

__all__ = [
    "BASELINES",
    "CALIBRATION_LEVELS",
    "SCALE",
    "Baseline",
    "LogLikelihood",
    "Normal",
    "PointScores",
    "Scores",
    "baselines_for",
    "calibration_curve",
    "coverage",
    "covered",
    "crps_normal",
    "crps_samples",
    "log_likelihood",
    "metrics_document",
    "nll_normal",
    "pit_normal",
    "pit_samples",
    "score_baselines",
    "score_normal",
    "score_samples",
]
