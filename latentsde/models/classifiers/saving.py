"""A classifier's run directory: read without executing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ...errors import InputError
from ...files import write_whole
from ..saving import CONFIG, WEIGHTS, read_config
from .build import build
from .config import ClassifierConfig


def save_network(network: nn.Module, run: Path) -> Path:
    """model.safetensors in the run directory."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return write_whole(run / WEIGHTS, lambda temporary: save_file(state, temporary))


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
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{run / CONFIG} does not describe a classifier ({type(error).__name__}: {error}); "
            "name a run of 'latentsde bnn train'"
        ) from None
    network = build(config)
    path = run / WEIGHTS
    try:
        network.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: the run is not finished; continue it with --resume") from None
    except (OSError, SafetensorError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read ({first_line}); train again with --overwrite") from None
    return network.eval(), config, content
