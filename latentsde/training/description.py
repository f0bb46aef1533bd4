"""What config.json says of a run, and whether a run to be resumed is the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ..brownian import STREAM_VERSION
from ..data import IrregularSeries
from ..errors import quote
from ..models import SeriesModel, describe, read_config
from ..version import __version__
from .config import TrainingConfig
from .directory import CONFIG

# Where a run takes place, and how it came out, may differ when it is resumed.
_FREE = {"device", "processes", "finished", "steps_done", "best_step", "best_elbo", "seconds"}


def description(
    model: SeriesModel,
    series: IrregularSeries,
    validation: IrregularSeries | None,
    config: TrainingConfig,
    metadata: dict[str, Any],
) -> dict[str, Any]:
    """config.json at the start: versions, model, scaler, training with hashes of its data, then metadata."""
    training = {
        **config.to_json(),
        "series": len(series),
        "series_sha256": fingerprint(series),
        "validation_series": 0 if validation is None else len(validation),
        "validation_sha256": None if validation is None else fingerprint(validation),
        "finished": False,
        "steps_done": 0,
    }
    ours = {
        "latentsde_version": __version__,
        "stream_version": STREAM_VERSION,
        **describe(model),
        "training": training,
    }
    return {**ours, **{key: value for key, value in metadata.items() if key not in ours}}


def difference(out: Path, described: dict[str, Any]) -> str | None:
    """What the run in `out` was started with otherwise, as one sentence with the remedy; None if nothing."""
    before, now = _flat(read_config(out)), _flat(json.loads(json.dumps(described)))
    # The seed first: the data and what is made of them depend on it.
    for key, value in sorted(now.items(), key=lambda item: item[0] != "training.seed"):
        section, _, name = key.partition(".")
        free = section not in ("stream_version", "model", "scaler", "classifier", "training") or name in _FREE
        if free or before.get(key) == value:
            continue
        return (
            f"{out / CONFIG} is of another run: there {key} is {quote(before.get(key))}, now {quote(value)}"
            "; resume with the data and settings it was started with, or start again with --overwrite"
        )
    return None


def fingerprint(series: IrregularSeries) -> str:
    """SHA-256 of all that training sees of the series: names, rows, times, values, static covariates."""
    digest = hashlib.sha256()
    digest.update(
        json.dumps([[str(name) for name in series.names], series.features, series.static_names]).encode()
    )
    # What data do not have adds nothing, so that their hash stays what it was.
    if series.feature_levels:
        digest.update(json.dumps(series.feature_levels).encode())
    for array in (series.offsets, series.times, series.values, series.static, series.limits, series.ends):
        if array is not None:
            digest.update(array.tobytes())
    return digest.hexdigest()


def _flat(content: dict[str, Any]) -> dict[str, Any]:
    """Two levels of keys as one: {"training.seed": 0}."""
    flat = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat.update({f"{key}.{name}": inner for name, inner in value.items()})
        else:
            flat[key] = value
    return flat
