"""The error that stops a run whose numbers are no longer finite."""

from __future__ import annotations

import numpy as np

from ..errors import TrainingDiverged, quote

_SHOWN = 5


def diverged(step: int, what: str, batch: np.ndarray, bad: np.ndarray, checkpoint: str) -> TrainingDiverged:
    """The error for a `step` at which `what` is not finite: one sentence on one line.

    It names the `batch` of series, the `bad` ones among them whose own bound is not finite, as far as this
    process has seen them, and the checkpoint of the last good state.
    """
    culprits = f" (not finite for {shortened(bad)})" if 0 < len(bad) < len(batch) else ""
    message = (
        f"training diverged at step {step}: the {what} is not finite in the batch of series "
        f"{shortened(batch)}{culprits}; the last good state is kept in {checkpoint}; "
        "check these series for extreme values, or fit again with a lower learning rate"
    )
    return TrainingDiverged(" ".join(message.splitlines()))


def shortened(names: np.ndarray) -> str:
    """The first names, each quoted, and how many more there are."""
    text = ", ".join(quote(name, 30) for name in names[:_SHOWN])
    return text if len(names) <= _SHOWN else f"{text} and {len(names) - _SHOWN} more"
