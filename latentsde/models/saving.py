"""A run directory's config.json and model.safetensors: written whole, read without executing anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ..data import Scaler
from ..errors import InputError
from ..files import write_whole
from .series_model import SeriesModel
from .table import model_class

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def describe(model: SeriesModel) -> dict[str, Any]:
    """The part of config.json that makes the model again: `model` and `scaler`."""
    return {"model": {"name": model.name, **model.config.to_json()}, "scaler": model.scaler.to_json()}


def save_weights(model: nn.Module, run: Path) -> Path:
    """model.safetensors in the run directory."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return write_whole(run / WEIGHTS, lambda temporary: save_file(state, temporary))


def read_config(run: Path) -> dict[str, Any]:
    """config.json of a run directory; InputError if it is missing or damaged."""
    path = run / CONFIG
    if not run.is_dir():
        raise InputError(f"{run} is not a run directory; make one with 'latentsde fit ... --out {run}'")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing; {run} holds no run, or not all of it: fit again with --overwrite"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); fit again with --overwrite") from None
    if not isinstance(config, dict):
        raise InputError(f"{path} holds no JSON object; fit again with --overwrite")
    return config


def load_run(run: Path) -> tuple[SeriesModel, dict[str, Any]]:
    """The model of a finished run and its configuration; InputError if a file is missing or damaged."""
    config = read_config(run)
    if "classifier" in config:
        raise InputError(f"{run} is the run of a classifier of images; see 'latentsde bnn evaluate --help'")
    try:
        described = {key: value for key, value in config["model"].items() if key != "name"}
        kind = model_class(config["model"]["name"])
        model = kind(kind.config_type.from_json(described), Scaler.from_json(config["scaler"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{run / CONFIG} does not describe a model ({type(error).__name__}: {error}); "
            "fit again with --overwrite"
        ) from None
    load_weights(model, run)
    return model, config


def load_weights(model: nn.Module, run: Path) -> None:
    """Give a model the weights of a finished run; InputError for a missing, damaged or other file."""
    path = run / WEIGHTS
    try:
        model.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: the run is not finished; continue it with --resume") from None
    except (OSError, SafetensorError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read ({first_line}); fit again with --overwrite") from None
