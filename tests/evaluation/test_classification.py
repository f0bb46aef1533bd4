"""Scores of predicted probabilities against values worked out by hand, torchmetrics and their own laws."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.functional import classification as torchmetrics

from latentsde.errors import InputError
from latentsde.evaluation.classification import (
    mean_probabilities,
    mutual_information,
    out_of_distribution_auc,
    predictive_entropy,
    score_probabilities,
)
from latentsde.evaluation.metrics import expected_calibration_error
from tests.significance import bound

# Likeliest class, its confidence: 0 (0.7, right), 1 (0.55, wrong), twice 2 (1, right), 0 (0.95, wrong).
PROBABILITIES = torch.tensor(
    [[0.7, 0.2, 0.1], [0.25, 0.55, 0.2], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.95, 0.03, 0.02]],
    dtype=torch.float64,
)
LABELS = torch.tensor([0, 0, 2, 2, 1])

seeds = st.integers(0, 10_000)


def drawn(n: int, classes: int, seed: int, spread: float = 2.0) -> tuple[Tensor, Tensor]:
    """Probabilities (n, classes) and labels (n,) drawn from them, so that they are calibrated."""
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    probabilities = logits.softmax(1)
    return probabilities, torch.multinomial(probabilities, 1, generator=generator)[:, 0]


def draws(samples: int, n: int, classes: int, seed: int, spread: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(samples, n, classes, generator=generator)


def test_scores_are_those_worked_out_by_hand() -> None:
    scores = score_probabilities(PROBABILITIES, LABELS)
    assert scores.count == 5
    assert scores.accuracy == pytest.approx(3 / 5)
    assert scores.nll == pytest.approx(-(math.log(0.7) + math.log(0.25) + math.log(0.03)) / 5)
    # 0.09 + 0.04 + 0.01, then 0.5625 + 0.3025 + 0.04, nothing twice, 0.9025 + 0.9409 + 0.0004.
    assert scores.brier == pytest.approx((0.14 + 0.905 + 1.8438) / 5)
    # The last bin holds 0.95 (wrong) and 1, 1 (right): mean confidence 2.95 / 3, accuracy 2 / 3.
    assert scores.ece == pytest.approx((0.3 + 0.55 + 0.95) / 5, abs=1e-6)


def test_each_bin_has_its_count_mean_confidence_and_accuracy() -> None:
    bins = score_probabilities(PROBABILITIES, LABELS).bins
    assert [count for count, _, _ in bins] == [0, 0, 0, 0, 0, 1, 0, 1, 0, 3]
    assert bins[5][1:] == pytest.approx((0.55, 0.0))
    assert bins[7][1:] == pytest.approx((0.7, 1.0))
    assert bins[9][1:] == pytest.approx((2.95 / 3, 2 / 3))
    assert all(math.isnan(x) for x in bins[0][1:])


@pytest.mark.parametrize("confidence", [1.0, 1.0 - 1e-9, 1.0 + 5e-5])
def test_a_confidence_of_one_is_in_the_last_bin_with_its_neighbours(confidence: float) -> None:
    # In a bin of its own the error would be (0.1 + 1) / 2 rather than |1/2 - 0.95|.
    probabilities = torch.tensor([[0.9 + 1e-6, 0.1 - 1e-6], [confidence, 0.0]], dtype=torch.float64)
    scores = score_probabilities(probabilities, torch.tensor([0, 1]))
    assert scores.ece == pytest.approx(0.45, abs=1e-4)
    assert scores.bins[-1] == pytest.approx((2, 0.95, 0.5), abs=1e-4)


def test_a_certain_and_right_prediction_is_perfect() -> None:
    scores = score_probabilities(torch.eye(4), torch.arange(4))
    assert (scores.accuracy, scores.nll, scores.brier) == (1.0, 0.0, 0.0)
    assert scores.ece == pytest.approx(0.0, abs=1e-6)


def test_a_label_thought_impossible_has_an_infinite_nll_and_json_null() -> None:
    scores = score_probabilities(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), bins=2)
    assert scores.nll == math.inf and scores.brier == 2.0
    document = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert document == {
        "accuracy": 0.0,
        "nll": None,
        "ece": pytest.approx(1.0),
        "brier": 2.0,
        "count": 1,
        "bins": [[0, None, None], [1, 1.0, 0.0]],
    }


@given(seeds, st.integers(1, 200), st.integers(2, 12), st.integers(1, 20))
def test_scores_are_those_of_torchmetrics_and_of_their_bins(
    seed: int, n: int, classes: int, bins: int
) -> None:
    probabilities, labels = drawn(n, classes, seed)
    scores = score_probabilities(probabilities, labels, bins=bins)
    accuracy = torchmetrics.multiclass_accuracy(probabilities, labels, num_classes=classes, average="micro")
    assert scores.accuracy == pytest.approx(float(accuracy), abs=1e-6)
    ece = torchmetrics.multiclass_calibration_error(probabilities, labels, classes, n_bins=bins)
    assert scores.ece == pytest.approx(float(ece), abs=1e-6)
    gaps = [count * abs(right - sure) for count, sure, right in scores.bins if count]
    assert scores.ece == pytest.approx(sum(gaps) / n, abs=1e-6)
    assert sum(count for count, _, _ in scores.bins) == n
    assert all(
        k / bins - 1e-6 <= sure <= (k + 1) / bins + 1e-6
        for k, (_, sure, _) in enumerate(scores.bins)
        if not math.isnan(sure)
    )


def test_calibration_error_is_that_of_features_of_classes() -> None:
    probabilities, labels = drawn(500, 3, seed=0)
    confidence, predicted = probabilities.max(1)
    other = expected_calibration_error(confidence.numpy(), (predicted == labels).numpy())
    assert score_probabilities(probabilities, labels).ece == pytest.approx(other, abs=1e-6)


def largest_exact_error(confidence: Tensor, bins: int) -> float:
    """What the calibration error of exact confidences exceeds at no more than the false-alarm rate.

    In each bin the hits minus the confidences sum to a number of mean 0 and variance sum c (1 - c), normal
    for many examples; all of them are within `bound(bins)` deviations at once.
    """
    place = (confidence * bins).long().clamp(max=bins - 1)
    variance = torch.bincount(place, confidence * (1 - confidence), minlength=bins)
    return bound(bins) * float(variance.sqrt().sum()) / len(confidence)


@pytest.mark.parametrize("bins", [5, 10, 15])
def test_calibrated_predictions_have_nearly_no_calibration_error_and_overconfident_ones_have(
    bins: int,
) -> None:
    # False alarm: 1e-5 for each number of bins.
    probabilities, labels = drawn(100_000, 10, seed=bins)
    limit = largest_exact_error(probabilities.amax(1), bins)
    assert limit < 0.03
    assert score_probabilities(probabilities, labels, bins=bins).ece < limit
    sharper = (1.5 * probabilities.log()).softmax(1)
    assert score_probabilities(sharper, labels, bins=bins).ece > 3 * limit


def test_the_true_probabilities_have_the_best_nll_and_brier_score() -> None:
    # Propriety: the differences are dozens of standard errors, a false alarm is rarer than 1e-5.
    probabilities, labels = drawn(20_000, 5, seed=1)
    true = score_probabilities(probabilities, labels)
    for power in (0.5, 2.0):
        other = score_probabilities((power * probabilities.log()).softmax(1), labels)
        assert other.accuracy == true.accuracy
        assert other.nll > true.nll + 0.01 and other.brier > true.brier + 0.01


@given(seeds, st.integers(1, 100), st.integers(2, 6))
def test_scores_do_not_depend_on_the_order_of_examples_or_the_names_of_classes(
    seed: int, n: int, classes: int
) -> None:
    probabilities, labels = drawn(n, classes, seed)
    scores = score_probabilities(probabilities, labels)
    generator = torch.Generator().manual_seed(seed)
    order, renamed = (torch.randperm(k, generator=generator) for k in (n, classes))
    for other in (
        score_probabilities(probabilities[order], labels[order]),
        score_probabilities(probabilities[:, renamed], renamed.argsort()[labels]),
    ):
        for name in ("accuracy", "nll", "ece", "brier", "count"):
            assert getattr(other, name) == pytest.approx(getattr(scores, name), abs=1e-6)
        for before, after in zip(scores.bins, other.bins, strict=True):
            assert after == pytest.approx(before, abs=1e-9, nan_ok=True)


def test_float32_and_a_sum_that_is_nearly_one_are_taken() -> None:
    probabilities, labels = drawn(200, 10, seed=3)
    scores = score_probabilities(probabilities, labels)
    for given_ in (probabilities.float(), probabilities * (1 + 9e-5)):
        other = score_probabilities(given_.requires_grad_(), labels.to(torch.int32))
        assert other.nll == pytest.approx(scores.nll, abs=1e-6)
        assert other.brier == pytest.approx(scores.brier, abs=1e-6)


@given(seeds, st.integers(1, 6), st.integers(2, 6))
def test_the_mean_is_a_mixture(seed: int, samples: int, classes: int) -> None:
    logits = draws(samples, 7, classes, seed)
    mixture = mean_probabilities(logits)
    assert mixture.shape == (7, classes) and mixture.dtype == torch.float64
    torch.testing.assert_close(mixture.sum(1), torch.ones(7, dtype=torch.float64))
    each = torch.stack([torch.exp(z.double() - z.double().logsumexp(1, keepdim=True)) for z in logits])
    assert (mixture >= each.amin(0) - 1e-12).all() and (mixture <= each.amax(0) + 1e-12).all()
    parts = mean_probabilities(logits[:1]) + (samples - 1) * (
        mean_probabilities(logits[1:]) if samples > 1 else 0.0
    )
    torch.testing.assert_close(mixture, parts / samples)


def test_the_mean_is_of_probabilities_and_not_of_logits() -> None:
    logits = torch.tensor([[[math.log(3.0), 0.0]], [[0.0, math.log(7.0)]]])
    expected = torch.tensor([[(3 / 4 + 1 / 8) / 2, (1 / 4 + 7 / 8) / 2]], dtype=torch.float64)
    torch.testing.assert_close(mean_probabilities(logits), expected, atol=1e-7, rtol=0)


@given(seeds, st.integers(1, 6), st.integers(2, 8), st.floats(0, 1000))
def test_uncertainties_are_within_their_bounds(seed: int, samples: int, classes: int, spread: float) -> None:
    logits = draws(samples, 9, classes, seed, spread)
    entropy, information = predictive_entropy(mean_probabilities(logits)), mutual_information(logits)
    assert entropy.shape == information.shape == (9,)
    assert entropy.dtype == information.dtype == torch.float64
    assert (entropy >= 0).all() and (entropy <= math.log(classes) + 1e-12).all()
    assert (information >= 0).all() and (information <= entropy + 1e-12).all()
    assert (information <= math.log(samples) + 1e-12).all()


def test_entropy_of_known_laws() -> None:
    law = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    expected = torch.tensor([0.0, math.log(2), math.log(4)], dtype=torch.float64)
    torch.testing.assert_close(predictive_entropy(law), expected)


def test_samples_that_agree_carry_no_information_and_certain_ones_that_do_not_carry_all() -> None:
    agreeing = draws(1, 20, 5, seed=0).expand(3, -1, -1)
    torch.testing.assert_close(mutual_information(agreeing), torch.zeros(20, dtype=torch.float64))
    certain = torch.tensor([[[0.0, -math.inf, -math.inf]], [[-math.inf, 0.0, -math.inf]]])
    expected = torch.tensor([math.log(2)], dtype=torch.float64)
    torch.testing.assert_close(mutual_information(certain), expected)


@pytest.mark.parametrize(
    ("inside", "outside", "expected"),
    [
        ([0.1, 0.2], [0.3, 0.4, 0.5], 1.0),
        ([0.3, 0.4], [0.1, 0.2], 0.0),
        ([0.1, 0.2, 0.7], [0.7, 0.1, 0.2], 0.5),
        ([0.5], [0.5], 0.5),
        # The pairs: 1 < 2, 3 > 2, 1 < 3, 3 = 3.
        ([1.0, 3.0], [2.0, 3.0], (1 + 0 + 1 + 0.5) / 4),
        # No sigmoid may tie what is small, large or negative.
        ([1e-30, 2e-30], [3e-30, 4.0], 1.0),
        ([1e6], [1e6 + 1], 1.0),
        ([-math.inf, -2.0], [-1.0, math.inf], 1.0),
    ],
)
def test_the_auc_is_the_share_of_pairs_in_order(
    inside: list[float], outside: list[float], expected: float
) -> None:
    doubles = (torch.tensor(values, dtype=torch.float64) for values in (inside, outside))
    assert out_of_distribution_auc(*doubles) == pytest.approx(expected, abs=1e-6)


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=20),
    st.lists(st.integers(-5, 5), min_size=1, max_size=20),
)
def test_the_auc_counts_pairs_and_keeps_under_a_growing_map(inside: list[int], outside: list[int]) -> None:
    first, second = torch.tensor(inside).double(), torch.tensor(outside).double()
    pairs = (second[:, None] > first).double() + 0.5 * (second[:, None] == first).double()
    auc = out_of_distribution_auc(first, second)
    assert auc == pytest.approx(float(pairs.mean()), abs=1e-6)
    assert out_of_distribution_auc(first.exp(), second.exp()) == auc
    assert out_of_distribution_auc(second, first) == pytest.approx(1 - auc, abs=1e-6)


HALF = torch.full((3, 2), 0.5)
NAN = math.nan


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([[0.5, 0.5], [0.6, 0.3999]], [0, 0], None),
        ([[0.5, 0.5], [0.6, 0.3998]], [0, 0], r"example 1 do not sum to one \(their sum is 0\.9998\)"),
        ([[1.2, -0.2]], [0], "example 0 hold a negative number"),
        ([[0.5, 0.5], [NAN, 0.5]], [0, 0], "example 1 hold a number that is not finite"),
        ([[math.inf, 0.0]], [0], "example 0 hold a number that is not finite"),
        ([[0.5, 0.5]], [2], "label 2 of example 0 is none of the 2 classes; labels must be from 0 to 1"),
        ([[0.5, 0.5]], [-1], "label -1 of example 0"),
        ([[0.5, 0.5]], [0.0], "labels are torch.float32; give whole numbers from 0 to 1"),
        ([[0.5, 0.5]], [0, 0], r"labels have shape \(2,\) for 1 examples"),
        ([[0.5, 0.5]], [[0]], r"labels have shape \(1, 1\) for 1 examples"),
        ([0.5, 0.5], [0, 0], r"probabilities have shape \(2,\); they must be \(examples, classes\)"),
        ([[1.0]], [0], "at least two classes"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_its_place(
    probabilities: list[list[float]], labels: list[int], message: str | None
) -> None:
    given_ = torch.tensor(probabilities, dtype=torch.float64), torch.tensor(labels)
    if message is None:
        assert score_probabilities(*given_).count == len(labels)
        return
    with pytest.raises(InputError, match=message):
        score_probabilities(*given_)


def test_no_examples_no_bins_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="no examples"):
        score_probabilities(torch.empty(0, 3), torch.empty(0, dtype=torch.long))
    with pytest.raises(InputError, match="bins must be at least 1, got 0"):
        score_probabilities(HALF, torch.zeros(3, dtype=torch.long), bins=0)
    for function in (mean_probabilities, mutual_information):
        with pytest.raises(InputError, match=r"logits have shape \(3, 2\); they must be \(samples, examples"):
            function(HALF)
    with pytest.raises(InputError, match="sum to one"):
        predictive_entropy(2 * HALF)
    for inside, outside, name in (
        ([], [1.0], "inside"),
        ([1.0], [NAN], "outside"),
        ([1.0], [[1.0]], "outside"),
    ):
        with pytest.raises(InputError, match=f"the uncertainties {name}, of shape"):
            out_of_distribution_auc(torch.tensor(inside), torch.tensor(outside))


def test_importing_the_scores_imports_neither_scipy_nor_pyplot() -> None:
    code = (
        "import sys, latentsde.evaluation.classification;"
        "assert not {'torchmetrics', 'scipy', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
