"""Scores of a trained classifier: its predictions of a test set, and what the test-time dials change.

The dials of a network with random weights are the number of samples, and of one of continuous depth the
solver's tolerance or number of steps; neither needs training again.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from latentsde.data.images import LabelledImages
from latentsde.errors import InputError
from latentsde.evaluation.classification import (
    ClassificationScores,
    mean_probabilities,
    mutual_information,
    predictive_entropy,
    score_probabilities,
)
from latentsde.memory import check_room
from latentsde.models.sde_bnn import Depth, Predicted
from latentsde.solvers import NotFinite, StepTooSmall


@dataclass(frozen=True)
class ClassifierPrediction:
    """Predictions of N images.

    Attributes:
        logits: (samples, N, classes) float32.
        evaluations: of the blocks for one sample of a batch, over all layers: the cost.
        seconds: it took.
    """

    logits: Tensor
    evaluations: int
    seconds: float

    @property
    def probabilities(self) -> Tensor:
        """(N, classes) mean over samples, float64."""
        return mean_probabilities(self.logits)

    @property
    def entropy(self) -> Tensor:
        """(N,) of the mean probabilities, nats."""
        return predictive_entropy(self.probabilities)

    @property
    def information(self) -> Tensor | None:
        """(N,) mutual information of label and weights, nats; None where all samples are one."""
        # Equal ones of weights that are not random would leave rounding errors, which can be ranked as well.
        if bool((self.logits == self.logits[:1]).all()):
            return None
        return mutual_information(self.logits)

    def scores(self, labels: Tensor) -> ClassificationScores:
        return score_probabilities(self.probabilities, labels)


@torch.no_grad()
def predict_images(
    network: nn.Module,
    images: LabelledImages,
    *,
    samples: int = 8,
    seed: int = 0,
    depth: Depth | None = None,
    batch_size: int | None = None,
) -> ClassifierPrediction:
    """Logits of all images, by the same samples of the weights whatever the batches.

    With adaptive steps all of a batch share them, so that there batches do make a difference, within the
    tolerance; and they make one with dropout. The network is left in evaluation mode.

    Args:
        batch_size: by default as many as make 4,000 with all samples.

    Raises:
        InputError: no images, more logits than there is room for, or a network whose numbers are not finite
            or that adaptive steps do not get through.
    """
    if not len(images):
        raise InputError("there are no images to predict; give some")
    if samples < 1:
        raise InputError(f"a prediction takes at least 1 sample of the weights, got {samples}")
    network.eval()
    batch_size = batch_size or max(1, 4000 // samples)
    device = next(network.parameters()).device
    outputs: list[Tensor] = []
    began, evaluations = time.perf_counter(), []
    for start in range(0, len(images), batch_size):
        batch = images.images[start : start + batch_size].to(device)
        try:
            predicted: Predicted = network(batch, seed=seed, samples=samples, depth=depth)
        except NotFinite as error:
            raise InputError(f"the network's numbers are not finite ({error}); train it again") from None
        except StepTooSmall as error:
            raise InputError(
                f"adaptive steps within the tolerance end at depth {error.time:.3g} instead of 1; "
                "take a larger tolerance"
            ) from None
        if not outputs:
            # float32, and twice more in float64 for probabilities.
            needed = 5 * 4 * len(images) * predicted.output[:, 0].numel()
            check_room(
                needed, f"logits of {len(images):,} images and {samples} samples", "take fewer samples"
            )
        outputs.append(predicted.output.float().cpu())
        evaluations.append(predicted.evaluations)
    seconds = time.perf_counter() - began
    return ClassifierPrediction(
        torch.cat(outputs, dim=1), round(sum(evaluations) / len(evaluations)), seconds
    )


def dial_row(prediction: ClassifierPrediction, labels: Tensor) -> dict[str, Any]:
    """What a dial is judged by: error and calibration against cost."""
    scores = prediction.scores(labels)
    return {
        "samples": len(prediction.logits),
        "evaluations": prediction.evaluations,
        "seconds": round(prediction.seconds, 3),
        "accuracy": scores.accuracy,
        "nll": scores.nll if math.isfinite(scores.nll) else None,
        "ece": scores.ece,
    }
