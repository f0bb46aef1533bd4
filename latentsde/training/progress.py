"""What a person sees while a model trains: a bar on a terminal, a line for each validation elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from .base import Training
from .history import TRAIN, VALIDATION, History

# Narrow terminals cut a line's end, so what matters most comes first.
_BAR = "{percentage:3.0f}% |{bar:12}| {n_fmt}/{total_fmt}, {remaining} left{postfix}"


class Progress(ProgressBar):
    """Steps done, time left over all steps, and how it goes, on standard error.

    A ProgressBar of Lightning's, because Lightning's own ones begin anew with each round of training.
    """

    def __init__(self, history: History) -> None:
        super().__init__()
        self.history = history
        self._bar: Tqdm | None = None
        self._shown = True
        self._began, self._first = 0.0, 0

    def disable(self) -> None:
        self._shown = False

    def enable(self) -> None:
        self._shown = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Training)
        self._began, self._first = time.perf_counter(), pl_module.state.step
        if self._shown and sys.stderr.isatty():
            # Some terminals, those of containers among them, say that they have no columns and no rows.
            known = os.get_terminal_size(sys.stderr.fileno()).columns > 0
            size = {} if known else {"ncols": 110, "nrows": 24}
            self._bar = Tqdm(
                total=pl_module.config.steps,
                initial=self._first,
                bar_format=_BAR,
                dynamic_ncols=known,
                file=sys.stderr,
                **size,
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is not None:
            assert isinstance(pl_module, Training)
            self._bar.set_postfix_str(self._summary(pl_module), refresh=False)
            self._bar.update()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Training)
        if self._bar is not None:
            self._bar.set_postfix_str(self._summary(pl_module))
        elif self._shown:
            step, steps = pl_module.state.step, pl_module.config.steps
            elapsed = time.perf_counter() - self._began
            left = elapsed / (step - self._first) * (steps - step)
            best = pl_module.state.best_step
            note = f", best at step {best}" if best is not None else ""
            print(
                f"step {step} of {steps}, {duration(left)} left: {self._summary(pl_module)}{note}",
                file=sys.stderr,
                flush=True,
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _summary(self, module: Training) -> str:
        return module.summary(*(self.history.latest.get(split) for split in (TRAIN, VALIDATION)))


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
