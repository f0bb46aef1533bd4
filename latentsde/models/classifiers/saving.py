"""A classifier's run directory: read without executing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from ...errors import InputError
from ..saving import CONFIG, load_weights, read_config
from .build import build
from .config import ClassifierConfig
from .room import check_loading


def load_classifier(run: str | Path) -> tuple[nn.Module, ClassifierConfig, dict[str, Any]]:
    """The network of a finished run, ready to predict, its configuration, and all of config.json.

    Raises:
        InputError: a file is missing or damaged, or is of another kind of run.
    """
    run = Path(run)
    if not run.is_dir():
        raise InputError(f"{run} is no directory; make a run with 'latentsde bnn train ... --out {run}'")
    content = read_config(run)
    try:
        config = ClassifierConfig.from_json(content["classifier"])
        if not isinstance(content["training"], dict):
            raise TypeError("'training' is no section")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{run / CONFIG} does not describe a classifier ({type(error).__name__}: {error}); "
            "name a run of 'latentsde bnn train'"
        ) from None
    check_loading(config)
    network = build(config)
    load_weights(network, run)
    return network.eval(), config, content
