"""metrics.json as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MOST_FEATURES = 8  # with more, the table of each is left to the report
_HEADS = ("MSE", "CRPS", "NLL", "in 90 %", "values")
_WIDTH = 22


def score_tables(metrics: Mapping[str, Any], units: Mapping[str, str]) -> list[str]:
    """For each task the model and the baselines: overall in standard deviations, each feature in its unit."""
    tasks = {task: rows for task, rows in metrics.items() if isinstance(rows, dict)}
    lines = []
    for task, rows in tasks.items():
        features = list(next(iter(rows.values()))["per_feature"])
        lines += _block(f"{task}, in standard deviations", rows.items())
        if 1 < len(features) <= MOST_FEATURES:
            for name in features:
                unit = f", {units[name]}" if name in units else ", in its unit"
                own = ((method, row["per_feature"][name]) for method, row in rows.items())
                lines += _block(f"{task}: {name}{unit}", own)
    if not tasks:
        lines.append("No value could be withheld to score: the series are too short.")
    return lines


def _block(title: str, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    heads = "".join(f"{head:>10}" for head in _HEADS)
    lines = [title, " " * _WIDTH + heads]
    for method, row in rows:
        cells = [_number(row[score]) for score in ("mse", "crps", "nll")]
        share = "-" if row["coverage90"] is None else f"{100 * row['coverage90']:.1f} %"
        name = method.replace("_", " ")
        lines.append(f"{name:<{_WIDTH}}" + "".join(f"{cell:>10}" for cell in (*cells, share, row["n"])))
    return [*lines, ""]


def _number(value: float | None) -> str:
    """Four digits that count."""
    if value is None:
        return "-"
    return f"{value:.3f}" if 0.1 <= abs(value) < 1000 or value == 0 else f"{value:.4g}"
