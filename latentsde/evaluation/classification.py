"""Scores of a classifier's predicted probabilities, and how uncertain they are.

A Bayesian network gives logits of several draws of its weights: `mean_probabilities` is what it predicts,
`predictive_entropy` and `mutual_information` how unsure it is of it, in nats. Everything is computed in
float64, on the device of the argument.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from latentsde.errors import InputError

# torchmetrics is imported where it is used: it brings scipy and pyplot along, for nearly two seconds.

Bin = tuple[int, float, float]

TOLERANCE = 1e-4  # of the sum of an example's probabilities: float32 over hundreds of classes keeps it
_BELOW_ONE = 1.0 - 2.0**-24  # the largest float32 below one


@dataclass(frozen=True)
class ClassificationScores:
    """Averages over `count` examples.

    Attributes:
        accuracy: share of examples whose likeliest class is the label, in [0, 1].
        nll: mean of -log p_y in nats; infinite when a label had probability 0.
        ece: expected calibration error in [0, 1], the mean over examples of |accuracy - mean confidence| in
            their bin (Guo, Pleiss, Sun & Weinberger 2017, equation 3).
        brier: mean of the sum over classes of (p_k - [y = k])², in [0, 2] (Brier 1950).
        bins: (count, mean confidence, accuracy) of each bin of the reliability diagram, lowest confidence
            first; both NaN in a bin without examples.
    """

    accuracy: float
    nll: float
    ece: float
    brier: float
    count: int
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        """Numbers that are not finite become None, JSON's null."""
        numbers = {name: _plain(value) for name, value in asdict(self).items() if name != "bins"}
        return numbers | {"bins": [[_plain(value) for value in entry] for entry in self.bins]}


def score_probabilities(probabilities: Tensor, labels: Tensor, *, bins: int = 10) -> ClassificationScores:
    """Accuracy, negative log-likelihood, calibration error and Brier score of predicted probabilities.

    The calibration error is of the top label, in bins of equal width that hold their lower end, the last one
    also a confidence of 1.

    Args:
        probabilities: (N, K) of K >= 2 classes, each row a distribution; what its sum misses of one, at most
            1e-4, is divided out.
        labels: (N,) whole numbers from 0 to K - 1.
        bins: of the confidence, at least 1.

    Raises:
        InputError: for what is no distribution, labels out of range, other lengths, or no examples.
    """
    probabilities = _distributions(probabilities)
    labels = _labels(labels, probabilities)
    if bins < 1:
        raise InputError(f"bins must be at least 1, got {bins}")
    own = probabilities.gather(1, labels[:, None])[:, 0]
    truth = one_hot(labels, probabilities.shape[1])
    confidence, predicted = probabilities.max(1)
    hit = (predicted == labels).double()
    return ClassificationScores(
        accuracy=float(hit.mean()),
        nll=float(-own.log().mean()),
        ece=_calibration_error(probabilities, labels, bins),
        brier=float((probabilities - truth).square().sum(1).mean()),
        count=len(labels),
        bins=_bins(confidence, hit, bins),
    )


def mean_probabilities(logits: Tensor) -> Tensor:
    """The predictive distribution, the softmax averaged over samples: (S, N, K) -> (N, K), float64."""
    return _softmax(logits).mean(0)


def predictive_entropy(probabilities: Tensor) -> Tensor:
    """-sum p log p of each row, in nats from 0 (certain) to log K (uniform): (N, K) -> (N,), float64."""
    return torch.special.entr(_distributions(probabilities)).sum(1)


def mutual_information(logits: Tensor) -> Tensor:
    """What the label would tell about the weights, in nats from 0 to log min(S, K): (S, N, K) -> (N,).

    The entropy of the mean minus the mean entropy of the samples (Houlsby, Huszár, Ghahramani & Lengyel 2011,
    "BALD", equation 2): the part of the predictive entropy that more data would remove. 0 when all samples
    agree. float64.
    """
    each = _softmax(logits)
    total, expected = torch.special.entr(each.mean(0)).sum(1), torch.special.entr(each).sum(2).mean(0)
    return (total - expected).clamp(min=0.0)  # agreeing samples may differ by rounding


def out_of_distribution_auc(inside: Tensor, outside: Tensor) -> float:
    """Chance that an example from outside is more uncertain than one from inside, in [0, 1]; ties are half.

    The area under the ROC curve of telling them apart by a larger uncertainty of any kind and scale: 1/2 for
    uncertainties of one law. inside: (N,); outside: (M,). InputError when either is empty or holds NaN.
    """
    from torchmetrics.functional.classification import binary_auroc

    for name, values in (("inside", inside), ("outside", outside)):
        if values.ndim != 1 or not len(values) or bool(values.isnan().any()):
            raise InputError(
                f"the uncertainties {name}, of shape {tuple(values.shape)}, must be one number per example, "
                "at least one and none NaN"
            )
    both = torch.cat([inside.double(), outside.to(inside.device).double()])
    # Ranks: torchmetrics sends what is not in [0, 1] through a sigmoid, where small differences are lost.
    rank = torch.unique(both, return_inverse=True)[1]
    target = torch.arange(len(both), device=both.device) >= len(inside)
    return float(binary_auroc(rank.double() / max(int(rank.max()), 1), target.long()))


def _distributions(probabilities: Tensor) -> Tensor:
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise InputError(
            f"probabilities have shape {tuple(probabilities.shape)}; they must be (examples, classes) with "
            "at least two classes"
        )
    if not len(probabilities):
        raise InputError("probabilities hold no examples; give at least one")
    p = probabilities.detach().double()
    total = p.sum(1)
    for fault, wrong in (
        ("hold a number that is not finite", ~p.isfinite().all(1)),
        ("hold a negative number", (p < 0).any(1)),
        ("do not sum to one", (total - 1).abs() > TOLERANCE),
    ):
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            raise InputError(
                f"the probabilities of example {row} {fault} (their sum is {float(total[row]):.6g}); give a "
                "softmax in float32 or float64, not logits"
            )
    return p / total[:, None]


def _labels(labels: Tensor, probabilities: Tensor) -> Tensor:
    n, k = probabilities.shape
    if labels.shape != (n,):
        raise InputError(
            f"labels have shape {tuple(labels.shape)} for {n} examples of probabilities; give one label each"
        )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise InputError(
            f"labels are {labels.dtype}; give whole numbers from 0 to {k - 1}, such as torch.long"
        )
    labels = labels.to(probabilities.device, torch.long)
    wrong = (labels < 0) | (labels >= k)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise InputError(
            f"label {int(labels[row])} of example {row} is none of the {k} classes; labels must be from 0 to "
            f"{k - 1}"
        )
    return labels


def _softmax(logits: Tensor) -> Tensor:
    if logits.ndim != 3 or 0 in logits.shape:
        raise InputError(
            f"logits have shape {tuple(logits.shape)}; they must be (samples, examples, "
            "classes), none of them 0"
        )
    return logits.detach().double().softmax(-1)


def _calibration_error(probabilities: Tensor, labels: Tensor, bins: int) -> float:
    from torchmetrics.functional.classification import multiclass_calibration_error

    return float(
        multiclass_calibration_error(
            # torchmetrics gives a confidence of exactly 1 a bin of its own, above the last.
            probabilities.clamp(max=_BELOW_ONE),
            labels,
            num_classes=probabilities.shape[1],
            n_bins=bins,
            norm="l1",
        )
    )


def _bins(confidence: Tensor, hit: Tensor, bins: int) -> tuple[Bin, ...]:
    # float32 and the same edges as in torchmetrics, so that an example falls into the same bin as there.
    edges = torch.linspace(0, 1, bins + 1, device=confidence.device)
    place = torch.bucketize(confidence.float(), edges, right=True).sub(1).clamp(max=bins - 1)
    count, sure, right = (
        torch.bincount(place, weights, minlength=bins)
        for weights in (torch.ones_like(confidence), confidence, hit)
    )
    columns = (count.long().tolist(), (sure / count).tolist(), (right / count).tolist())
    return tuple(zip(*columns, strict=True))


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
