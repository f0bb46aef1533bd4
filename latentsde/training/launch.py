"""Where training runs: Lightning's trainer for a device and a number of processes.

Several processes are started from within this one ("spawn"), so that `fit` may be called from any script with a
main guard. Under torchrun, which has started them already, every process calls `fit` and joins the others.
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

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch.multiprocessing import ProcessRaisedException

from ..errors import InputError, TrainingDiverged
from .config import TrainingConfig
from .directory import LOGS
from .module import LatentSDETraining

_LOGGERS = ("lightning.pytorch", "lightning.fabric")


def is_main_process() -> bool:
    """Whether this process writes the run's files: always, unless torchrun has given it another rank than 0."""
    return not torch.distributed.is_torchelastic_launched() or os.environ.get("RANK", "0") == "0"


def make_trainer(
    out: Path,
    config: TrainingConfig,
    *,
    rounds: int,
    step: int,
    validate: bool,
    tensorboard: bool,
    callbacks: Sequence[pl.Callback],
) -> pl.Trainer:
    """The trainer for `rounds` rounds from `step` on."""
    logger = TensorBoardLogger(out, name=LOGS, version="", default_hp_metric=False, purge_step=step + 1)
    processes = config.processes
    nodes, strategy, plugins = 1, "auto", [LightningEnvironment()]
    if torch.distributed.is_torchelastic_launched():
        processes, nodes = _started_by_torchrun(config)
        plugins = []
    if config.processes > 1:
        strategy = _ddp("popen" if not plugins else "spawn")
    return pl.Trainer(
        accelerator=config.device,
        devices=processes,
        num_nodes=nodes,
        strategy=strategy,
        plugins=plugins,
        max_epochs=rounds,
        reload_dataloaders_every_n_epochs=1,
        limit_val_batches=1.0 if validate else 0,
        num_sanity_val_steps=0,
        inference_mode=False,
        use_distributed_sampler=False,
        logger=logger if tensorboard else False,
        log_every_n_steps=config.log_every,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
        callbacks=list(callbacks),
        default_root_dir=out,
    )


def run(trainer: pl.Trainer, module: LatentSDETraining) -> None:
    """Train. Ctrl-C is a KeyboardInterrupt, as elsewhere; a spawned process' `TrainingDiverged` arrives here as one."""
    interrupt = signal.getsignal(signal.SIGINT)
    environment = dict(os.environ)
    try:
        with quiet():
            trainer.fit(module)
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, interrupt)
        raise KeyboardInterrupt from None
    except ProcessRaisedException as error:
        # All that comes back from the process is its traceback, as text.
        found = re.search(rf"^\S*\b{TrainingDiverged.__name__}: (.*)$", str(error), flags=re.MULTILINE)
        if found is None:
            raise
        raise TrainingDiverged(found[1]) from None
    finally:
        # Lightning leaves the address of its processes there, which the next run must not take for its own.
        for name in set(os.environ) - set(environment):
            del os.environ[name]


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's advice and its list of devices, for which this package has made the choices."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _ddp(start_method: str) -> Strategy:
    # Not every parameter is used: degrees of freedom only by Student t. Buffers are constants, never broadcast.
    return DDPStrategy(start_method=start_method, find_unused_parameters=True, broadcast_buffers=False)


def _started_by_torchrun(config: TrainingConfig) -> tuple[int, int]:
    world, local = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if world != config.processes:
        raise InputError(
            f"torchrun has started {world} processes, the configuration says {config.processes}; make them equal"
        )
    return local, world // local
