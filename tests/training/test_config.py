"""A training configuration is printable, and refuses what cannot be run."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from latentsde.errors import InputError
from latentsde.training import TrainingConfig


def test_a_configuration_survives_json() -> None:
    config = TrainingConfig(steps=7, batch_size=6, processes=3, clip=0.0)
    assert TrainingConfig(**json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("steps", 0),
        ("steps", 1.5),
        ("steps", True),
        ("batch_size", 0),
        ("samples", 0),
        ("validate_every", 0),
        ("log_every", 0),
        ("processes", 0),
        ("patience", -1),
        ("warmup_steps", -1),
        ("anneal_steps", -1),
        ("seed", -1),
        ("seed", 2**63),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("final_learning_rate", 1.5),
        ("weight_decay", -0.1),
        ("clip", -1.0),
        ("device", "tpu"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_option(option: str, value: Any) -> None:
    with pytest.raises(InputError) as error:
        TrainingConfig(**{option: value})
    assert option in str(error.value)


def test_processes_must_share_a_batch_evenly() -> None:
    with pytest.raises(InputError, match=r"batch_size 64 .* by 3 processes; choose a multiple"):
        TrainingConfig(processes=3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_says_the_remedy() -> None:
    with pytest.raises(InputError, match="no CUDA device is available; use --device cpu"):
        TrainingConfig(device="cuda")
