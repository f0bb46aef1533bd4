"""Where training runs: Lightning's trainer for a device and a number of processes.

Several processes are started from within this one ("spawn"), so that `fit` may be called from any script with
a main guard. Under torchrun, which has started them already, every process calls `fit` and joins the others.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers.multiprocessing import _MultiProcessingLauncher
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.multiprocessing import ProcessRaisedException

from ..errors import InputError, TrainingDiverged
from .base import Training
from .config import OptimisationConfig
from .directory import LOGS

_LOGGERS = ("lightning.pytorch", "lightning.fabric")


def is_main_process() -> bool:
    """Whether this process writes the files: always, unless torchrun has given it another rank than 0."""
    return not torch.distributed.is_torchelastic_launched() or os.environ.get("RANK", "0") == "0"


def make_trainer(
    out: Path,
    config: OptimisationConfig,
    *,
    rounds: int,
    step: int,
    validate: bool,
    tensorboard: bool,
    callbacks: Sequence[pl.Callback],
) -> pl.Trainer:
    """The trainer for `rounds` rounds from `step` on."""
    logger = None
    if tensorboard:
        logger = TensorBoardLogger(out, name=LOGS, version="", default_hp_metric=False, purge_step=step + 1)
    processes, nodes = config.processes, 1
    plugins: list[Any] = [LightningEnvironment()]
    start_method: Literal["spawn", "popen"] = "spawn"
    if torch.distributed.is_torchelastic_launched():
        processes, nodes = _started_by_torchrun(config)
        plugins, start_method = [], "popen"
    with quiet():
        return pl.Trainer(
            accelerator=config.device,
            devices=processes,
            num_nodes=nodes,
            strategy=_QuietDDP(start_method) if config.processes > 1 else "auto",
            plugins=plugins,
            max_epochs=rounds,
            reload_dataloaders_every_n_epochs=1,
            limit_val_batches=1.0 if validate else 0,
            num_sanity_val_steps=0,
            inference_mode=False,
            use_distributed_sampler=False,
            logger=logger or False,
            log_every_n_steps=config.log_every,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            callbacks=list(callbacks),
            default_root_dir=out,
        )


def run(trainer: pl.Trainer, module: Training) -> None:
    """Train. Ctrl-C is a KeyboardInterrupt; `TrainingDiverged` and `InputError` of a spawned process arrive.

    However it ends, no process of its own goes on.
    """
    interrupt = signal.getsignal(signal.SIGINT)
    environment = dict(os.environ)
    try:
        with quiet():
            trainer.fit(module)
    except SIGTERMException:
        raise SystemExit(128 + signal.SIGTERM) from None
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, interrupt)
        raise KeyboardInterrupt from None
    except ProcessRaisedException as error:
        # All that comes back from the process is its traceback, as text.
        for kind in (TrainingDiverged, InputError):
            found = re.search(rf"^\S*\b{kind.__name__}: (.*)$", str(error), flags=re.MULTILINE)
            if found is not None:
                raise kind(found[1]) from None
        raise
    finally:
        if isinstance(launcher := trainer.strategy.launcher, _MultiProcessingLauncher):
            launcher.kill(signal.SIGKILL)
        # Lightning leaves the address of its processes there, which the next run must not take for its own.
        for name in set(os.environ) - set(environment):
            del os.environ[name]


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's advice and its list of devices, for which this package has made the choices."""
    levels = [logging.getLogger(name).level for name in _LOGGERS]
    with warnings.catch_warnings():
        _silence()
        try:
            yield
        finally:
            for name, level in zip(_LOGGERS, levels, strict=True):
                logging.getLogger(name).setLevel(level)


def _silence() -> None:
    warnings.filterwarnings("ignore", module=r"lightning\.")
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)


class _QuietDDP(DDPStrategy):
    def __init__(self, start_method: Literal["spawn", "popen"]) -> None:
        # Not every parameter is used: degrees of freedom by Student t alone.
        super().__init__(start_method=start_method, find_unused_parameters=True)

    def setup_environment(self) -> None:
        # The first call in a spawned process, which does not inherit the quiet of the one that started it.
        if self._start_method == "spawn":
            _silence()
        super().setup_environment()


def _started_by_torchrun(config: OptimisationConfig) -> tuple[int, int]:
    world, local = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if world != config.processes:
        raise InputError(
            f"torchrun has started {world} processes, the configuration {config.processes}; make them equal"
        )
    return local, world // local
