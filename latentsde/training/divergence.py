"""The error that stops a run whose numbers are no longer finite."""

from __future__ import annotations

import numpy as np
import torch

from ..errors import TrainingDiverged, quote
from ..models import ELBO

_SHOWN = 5


def diverged(
    step: int, what: str, names: np.ndarray, bound: ELBO, kl_weight: float, checkpoint: str
) -> TrainingDiverged:
    """The error for `step`, whose batch holds the series `names` (B,) with their bound.

    One sentence on one line: what is not finite, the step, the batch's series, those among them whose own bound is
    not finite, and the checkpoint of the last good state.
    """
    bad = (~torch.isfinite(bound.value(kl_weight).detach())).cpu().numpy()
    culprits = f" (not finite for {shortened(names[bad])})" if bad.any() and not bad.all() else ""
    message = (
        f"training diverged at step {step}: the {what} is not finite in the batch of series "
        f"{shortened(names)}{culprits}; the last good state is kept in {checkpoint}; "
        "check these series for extreme values, or fit again with a lower learning rate"
    )
    return TrainingDiverged(" ".join(message.splitlines()))


def shortened(names: np.ndarray) -> str:
    """The first names, each quoted, and how many more there are."""
    text = ", ".join(quote(name, 30) for name in names[:_SHOWN])
    return text if len(names) <= _SHOWN else f"{text} and {len(names) - _SHOWN} more"
