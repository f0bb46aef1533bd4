"""Images and a classifier that train in a second; as a script, a run in a process of its own."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from latentsde.data.images import LabelledImages
from latentsde.models.classifiers import ClassifierConfig
from latentsde.models.sde_bnn import Depth
from latentsde.training import ClassifierTrainingConfig, fit_classifier

CLASSES = ("dark", "bright")
MODEL = ClassifierConfig(
    "sde-bnn",
    (1, 8, 8),
    CLASSES,
    (0.5,),
    (0.25,),
    blocks=(1,),
    augment=0,
    width=3,
    depth=Depth(2),
    widths=(2, 2, 2),
)
CONFIG = ClassifierTrainingConfig(
    steps=6, batch_size=8, validate_every=2, log_every=1, validation_samples=2, crop=1, flip=True
)


def images(count: int, seed: int = 0) -> LabelledImages:
    """Noise about a grey, or about a lighter one."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    noise = torch.randint(0, 100, (count, 1, 8, 8), generator=generator)
    return LabelledImages((noise + 100 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels, CLASSES)


def trained(out: Path, model: ClassifierConfig = MODEL, **options: Any) -> Any:
    given = {"config": CONFIG, "validation": images(10, 1), "progress": False} | options
    return fit_classifier(model, images(20), out=out, **given)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("settings", type=json.loads)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    model = chosen.settings.pop("model")
    trained(chosen.out, replace(MODEL, model=model), config=replace(CONFIG, **chosen.settings))
