"""`fit`: train a model of series and leave a run directory behind."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from ..data import IrregularSeries
from ..errors import InputError
from ..files import write_json
from ..models import LatentSDE, SeriesModel, check_series, load_run, save_weights
from .config import TrainingConfig
from .description import description
from .directory import CONFIG, WEIGHTS
from .launch import is_main_process
from .module import SeriesTraining
from .session import open_run, take_best, train


@dataclass(frozen=True)
class FitResult:
    """What a run came to.

    Attributes:
        best_step: the step whose weights the model has: of the best validation, or the last without one.
        steps: optimisation steps done, fewer than asked for after an early stop.
        seconds: spent in training, over all sessions.
        best_elbo: of the best validation, nats per observed value in scaled units; None without validation.
    """

    best_step: int
    steps: int
    seconds: float
    best_elbo: float | None


def fit(
    model: SeriesModel,
    series: IrregularSeries,
    *,
    out: str | Path,
    validation: IrregularSeries | None = None,
    config: TrainingConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
    metadata: dict[str, Any] | None = None,
    progress: bool = True,
    tensorboard: bool = True,
    callbacks: Sequence[pl.Callback] = (),
) -> FitResult:
    """Train `model` in place and leave a run in `out`, without the metrics, figures and report of one.

    With the same model, data, configuration and number of threads the result on a CPU is the same to the bit,
    however often the run is killed and resumed. With `config.processes` > 1, call it from a script with a
    main guard.

    Args:
        model: initialised by the caller; afterwards it has the weights of `best_step`.
        series: to train on.
        validation: judged every `config.validate_every` steps, always with the same noise. Without it
            training takes all its steps, and the last weights are the result.
        config: `TrainingConfig()` by default.
        resume: continue the run in `out`, from its last validation; from the beginning if it has not begun,
            and without doing anything if it is finished. Device and number of processes may differ.
        overwrite: remove a run in `out` first.
        metadata: further entries of config.json.
        progress: a bar, or a line for each validation where standard error is not a terminal.
        tensorboard: write logs/ for TensorBoard.
        callbacks: more callbacks of Lightning's.

    Raises:
        InputError: `out` cannot be used or holds a run, data and model do not match, the run to be resumed
            was started with other data or another configuration, or its files are missing or damaged.
        TrainingDiverged: loss, gradient or validation is not finite; the last checkpoint is kept.
    """
    out, config = Path(out), config or TrainingConfig()
    _check_data(model, series, validation, config)
    described = description(model, series, validation, config, metadata or {})
    resumed = open_run(out, described, resume=resume, overwrite=overwrite)
    if resumed and (finished := _finished(out, model)) is not None:
        return finished
    train(
        model,
        functools.partial(SeriesTraining, model, series, validation, config),
        SeriesTraining.columns,
        described,
        config,
        out,
        resumed=resumed,
        validate=validation is not None,
        progress=progress,
        tensorboard=tensorboard,
        callbacks=callbacks,
    )
    return _finish(out, model, described)


def _finish(out: Path, model: SeriesModel, described: dict[str, Any]) -> FitResult:
    """Give the model the best weights, save them, complete config.json."""
    state = take_best(model, out)
    best_step = state.step if state.best_step is None else state.best_step
    result = FitResult(best_step, state.step, state.seconds, state.best_elbo)
    if is_main_process():
        save_weights(model, out)
        outcome = {
            "finished": True,
            "steps_done": result.steps,
            "best_step": result.best_step,
            "best_elbo": result.best_elbo,
            "seconds": round(result.seconds, 3),
        }
        write_json(out / CONFIG, {**described, "training": {**described["training"], **outcome}})
    return result


def _finished(out: Path, model: SeriesModel) -> FitResult | None:
    """The result of a finished run, whose weights `model` then has; None for one that is not."""
    if not (out / WEIGHTS).exists():
        return None
    fitted, config = load_run(out)
    training = config["training"]
    if not training.get("finished"):
        return None
    model.load_state_dict(fitted.state_dict())
    try:
        outcome = (training[name] for name in ("best_step", "steps_done", "seconds", "best_elbo"))
        return FitResult(*outcome)
    except KeyError as error:
        raise InputError(f"{out / CONFIG} does not say {error}; fit again with --overwrite") from None


def _check_data(
    model: SeriesModel, series: IrregularSeries, validation: IrregularSeries | None, config: TrainingConfig
) -> None:
    for what, part in (("training", series), ("validation", validation)):
        if part is None:
            continue
        check_series(part, model.config, f"the {what} series")
        if part.n_observed == 0:
            raise InputError(f"the {what} series hold no observed value; give more data to this part")
    other = isinstance(model, LatentSDE) and model.config.posterior != "control"
    if other and config.hidden_after is not None:
        raise InputError(
            "only a posterior that is learned by simulation can be trained for what comes after the last "
            "observation; leave hidden_after out, or take posterior='control'"
        )
    if len(series) < config.processes:
        raise InputError(
            f"{config.processes} processes cannot share {len(series)} training series; use fewer processes"
        )
