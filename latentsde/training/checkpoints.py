"""Checkpoints: plain dictionaries of tensors and numbers, written whole, read without executing anything.

Not Lightning's own: a run continues only at validation boundaries and everything random is a function of the
step, so weights, optimizer and `TrainingState` are all there is to know, and a file of just these can be read
with `weights_only=True` and holds no state of loops that another version of Lightning may read differently.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import nn

from ..errors import InputError
from ..files import write_whole
from .base import Training
from .state import TrainingState

FOLDER, LAST, BEST = "checkpoints", "last.ckpt", "best.ckpt"
_FORMAT = 1


def write_checkpoint(
    path: Path, model: nn.Module, state: TrainingState, optimizer: torch.optim.Optimizer | None = None
) -> None:
    """Weights, state and, to train on from it, the optimizer; an old file stays until the new is whole."""
    content = {"format": _FORMAT, "state": state.to_json(), "model": model.state_dict()}
    if optimizer is not None:
        content["optimizer"] = optimizer.state_dict()
    write_whole(path, lambda temporary: torch.save(content, temporary))


def read_checkpoint(path: Path, model: nn.Module) -> tuple[TrainingState, dict[str, Any] | None]:
    """Load the weights into `model`; state and optimizer (None at step 0). InputError for a damaged file."""
    try:
        # torch reads a flipped bit as another number; the archive's checksums know better.
        with zipfile.ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"wrong checksum of {damaged}")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}, expected {_FORMAT}")
        state = TrainingState(**content["state"])
        model.load_state_dict(content["model"])
        return state, content.get("optimizer")
    except Exception as error:  # what unpickling damaged bytes raises is anybody's guess
        lines = str(error).splitlines() or [""]
        raise InputError(
            f"{path} is damaged or not a checkpoint of this model ({type(error).__name__}: {lines[0][:80]}); "
            "start again with --overwrite"
        ) from None


class Checkpoints(pl.Callback):
    """Writes best.ckpt, then last.ckpt, at the end of each round, after its validation.

    Killed between the two, the run continues from the older last.ckpt and comes by the same best weights
    again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Training)
        model, state = pl_module.model, pl_module.state
        if trainer.is_global_zero:
            if state.best_step == state.step:
                write_checkpoint(self.folder / BEST, model, state)
            write_checkpoint(self.folder / LAST, model, state, trainer.optimizers[0])
        trainer.strategy.barrier()
