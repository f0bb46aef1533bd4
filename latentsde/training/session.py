"""A session of training in a run directory: begun, resumed or found finished, whatever is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from torch import nn

from ..errors import InputError
from ..files import write_json
from .base import Training
from .checkpoints import BEST, FOLDER, LAST, Checkpoints, read_checkpoint, write_checkpoint
from .config import OptimisationConfig
from .description import difference
from .directory import CONFIG, HISTORY, prepare_directory
from .history import History, read_history, write_history
from .launch import is_main_process, make_trainer, run
from .progress import Progress
from .state import TrainingState

Make = Callable[[TrainingState, "dict[str, Any] | None", str], Training]


def open_run(out: Path, described: dict[str, Any], *, resume: bool, overwrite: bool) -> bool:
    """Make the run directory, or check that the run in it is the same; whether there is one to be resumed.

    Raises:
        InputError: see `prepare_directory` and `difference`.
    """
    if is_main_process():
        prepare_directory(out, resume=resume, overwrite=overwrite)
    if not (resume and (out / CONFIG).exists()):
        return False
    other = difference(out, described)
    if other is not None:
        raise InputError(other)
    return True


def train(
    model: nn.Module,
    make: Make,
    columns: Sequence[str],
    described: dict[str, Any],
    config: OptimisationConfig,
    out: Path,
    *,
    resumed: bool,
    validate: bool,
    progress: bool,
    tensorboard: bool,
    callbacks: Sequence[pl.Callback],
) -> None:
    """All steps that are left; afterwards `checkpoints/` holds the last weights and the best.

    Args:
        make: (state, optimizer's state, path of the last checkpoint) -> the training of `model`.
        columns: `Training.columns` of it.
        described: config.json.
        resumed: as `open_run` said.
    """
    state, optimizer_state = TrainingState(), None
    rows: list[dict[str, str]] = []
    last = out / FOLDER / LAST
    if resumed and last.exists():
        state, optimizer_state = read_checkpoint(last, model)
        rows = read_history(out / HISTORY, columns, until=state.step)
    if is_main_process():
        write_json(out / CONFIG, described)
        if not last.exists():
            write_history(out / HISTORY, columns, [])
            write_checkpoint(last, model, state)
    if state.finished(config):
        return
    history = History(out / HISTORY, rows)
    shown: list[pl.Callback] = [Progress(history)] if progress else []
    trainer = make_trainer(
        out,
        config,
        rounds=-(-(config.steps - state.step) // config.validate_every),
        step=state.step,
        validate=validate,
        tensorboard=tensorboard,
        callbacks=[history, Checkpoints(last.parent), *shown, *callbacks],
    )
    run(trainer, make(state, optimizer_state, str(last)))


def take_best(model: nn.Module, out: Path) -> TrainingState:
    """Give the model its best weights (the last where nothing was validated); the state of the end."""
    state, _ = read_checkpoint(out / FOLDER / LAST, model)
    if state.best_step is not None:
        best, _ = read_checkpoint(out / FOLDER / BEST, model)
        if best.step != state.best_step:
            raise InputError(
                f"{out / FOLDER / BEST} is of another run than {LAST}; start again with --overwrite"
            )
    model.zero_grad(set_to_none=True)
    return state
