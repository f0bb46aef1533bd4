"""What a report says of images of another world."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from latentsde.data.images import LabelledImages
from latentsde.errors import InputError
from latentsde.evaluation import classifier_report
from latentsde.evaluation.classifier_report import outside_auc
from latentsde.evaluation.classifiers import predict_images
from latentsde.models.classifiers import ClassifierConfig, build
from latentsde.models.sde_bnn import Depth, Predicted

CONFIG = ClassifierConfig("odenet", (1, 8, 8), ("a", "b"), (0.5,), (0.25,), blocks=(1,), width=3)


class Disagreeing(nn.Module):
    """Of two classes: samples hardly differ about black images and are opposed about white ones."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, *, seed: int, samples: int, depth: Depth | None) -> Predicted:
        white = x.flatten(1).amax(1) > 0
        sign = torch.ones(samples) - 2.0 * (torch.arange(samples) % 2)
        logits = torch.where(white, 50.0, 0.5) * sign[:, None]
        return Predicted(torch.stack([logits, -logits], dim=-1), torch.zeros(samples), 1)


def images(value: int) -> LabelledImages:
    pixels = torch.full((6, 1, 8, 8), value, dtype=torch.uint8)
    return LabelledImages(pixels, torch.zeros(6, dtype=torch.long), ("a", "b"), note="of the other world")


def test_what_samples_disagree_by_tells_what_entropy_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(classifier_report, "out_of_distribution", lambda *_: images(255))
    network, test = Disagreeing(), images(0)
    found = outside_auc(
        network, "mnist", tmp_path, test, predict_images(network, test, samples=4, seed=0), seed=0
    )
    assert found == {"ood_auc": 0.5, "ood_auc_information": 1.0, "ood_note": "6 of the other world"}
    single = outside_auc(
        network, "mnist", tmp_path, test, predict_images(network, test, samples=1, seed=0), seed=0
    )
    assert single["ood_auc"] == 0.0 and single["ood_auc_information"] is None
    # Samples of weights that are not random are equal; what rounding leaves of them says nothing.
    agreeing = predict_images(build(CONFIG), images(0), samples=5)
    assert len(agreeing.logits) == 5 and agreeing.information is None
    with pytest.raises(InputError, match="at least 1 sample of the weights, got 0"):
        predict_images(network, test, samples=0)
