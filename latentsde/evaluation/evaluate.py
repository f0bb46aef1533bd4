"""A fitted model and the baselines on the tasks: metrics.json and what the calibration figure needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latentsde.evaluation.baselines import baselines_for, score_baselines
from latentsde.evaluation.classes import score_classes
from latentsde.evaluation.metrics import pit_samples
from latentsde.evaluation.scores import PointScores, metrics_document, score_samples
from latentsde.evaluation.tasks import Task
from latentsde.models import SeriesModel, predict
from latentsde.nn import FAMILIES


@dataclass(frozen=True)
class Evaluation:
    """`metrics` is the content of metrics.json; `pit` holds for each task the predictive distribution
    functions (n,) at its values.
    """

    metrics: dict[str, Any]
    pit: dict[str, np.ndarray]


def evaluate(
    model: SeriesModel, tasks: list[Task], *, period: float | None = None, samples: int = 199, seed: int = 0
) -> Evaluation:
    """Score the model, with `samples` paths a series, and every baseline on every task.

    With 199 samples the 200 possible ranks of a value fall evenly into the bins of the calibration figure.
    """
    scores: dict[str, dict[str, PointScores]] = {}
    pit: dict[str, np.ndarray] = {}
    for task in tasks:
        own, pit[task.name] = score_model(model, task, samples=samples, seed=seed)
        baselines = baselines_for(period)
        classes = class_counts(model)
        scores[task.name] = {model.name: own} | score_baselines(baselines, task.train, task.test, classes)
    document = metrics_document(scores, std=model.scaler.std, features=model.config.features)
    return Evaluation(document, pit)


def score_model(model: SeriesModel, task: Task, *, samples: int, seed: int) -> tuple[PointScores, np.ndarray]:
    """(scores of every value of the task, the predictive distribution function at each observed value)."""
    visible, withheld = task.test
    # Only the rows with something to score are solved for; the others keep the scores of nothing.
    asked = np.isfinite(withheld.values).any(1)
    rows = [np.flatnonzero(asked[withheld.rows(s)]) + withheld.offsets[s] for s in range(len(withheld))]
    observed = [withheld.values[r] for r in rows]
    limits = None if withheld.limits is None else [withheld.limits[r] for r in rows]
    times = [withheld.times[r] for r in rows]
    predictions = predict(model, visible, times, observed=observed, limits=limits, samples=samples, seed=seed)
    counts = class_counts(model)
    measured = np.array([f not in counts for f in range(len(withheld.features))])
    parts, levels = [], []
    for s, (truth, p) in enumerate(zip(observed, predictions, strict=True)):
        if not len(truth):
            continue
        ends = None if limits is None else limits[s]
        points = score_samples(p.samples, truth, mean=p.mean, log_density=p.log_density, limits=ends)
        for f in counts:
            classes = p.classes[f]
            likely = p.mean[:, f] if classes is None else classes.mean(0)
            points = score_classes(points, f, likely, truth[:, f], nll=points.nll[:, f])
        parts.append(points)
        # Neither classes nor limits have a place in a distribution function.
        seen = np.isfinite(truth) & measured
        if ends is not None:
            seen &= np.isnan(ends[..., 0])
        levels.append(pit_samples(p.samples[:, seen], truth[seen]))
    return PointScores.join(parts), np.concatenate(levels)


def class_counts(model: SeriesModel) -> dict[int, int]:
    """{feature: K} of the features of K classes, 1 for those of 0 and 1."""
    families = [FAMILIES[name] for name in model.config.likelihoods]
    counted = zip(families, model.config.classes, strict=True)
    return {f: max(1, k) for f, (family, k) in enumerate(counted) if family.classes or family.binary}
