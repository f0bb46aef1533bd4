"""history.csv: how the loss and its parts went, one row for each few training steps and each validation.

Columns: step (steps done), split (train | validation), those of the training (`Training.columns`), seconds
since the start. Of models of series they are loss (what is minimised, training only), then elbo (at KL weight
1), log_likelihood, kl_initial and kl_path in nats per observed value and in scaled units, and kl_weight and
learning_rate of the row's last step. The loss is an average over steps, the parts are averages over observed
values.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from torch import Tensor

from ..errors import InputError
from ..files import write_whole
from .base import Training

TRAIN, VALIDATION = "train", "validation"


def read_history(path: Path, columns: Sequence[str], *, until: int) -> list[dict[str, str]]:
    """The rows up to step `until`, as text to be written again as it is; InputError for a damaged file."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        if list(reader.fieldnames or ()) != all_columns(columns):
            raise ValueError("other columns")
        return [row for row in rows if int(row["step"]) <= until]
    except FileNotFoundError:
        raise InputError(f"{path} is missing; start again with --overwrite") from None
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({error}); start again with --overwrite") from None


def write_history(path: Path, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> None:
    """All rows, written whole."""

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, all_columns(columns), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    write_whole(path, write)


def all_columns(columns: Sequence[str]) -> list[str]:
    """Those of the file, for those of a training."""
    return ["step", "split", *columns, "seconds"]


class History(pl.Callback):
    """Collects rows over the steps, sends them to the loggers, writes the file at the end of each round.

    Attributes:
        latest: the last row of each split, as numbers.
    """

    def __init__(self, path: Path, rows: list[dict[str, str]]) -> None:
        self.path, self.rows = path, rows
        self.latest: dict[str, dict[str, float]] = {}
        self._sums: Tensor | None = None
        self._steps = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module = _ours(pl_module)
        self._sums = module.totals if self._sums is None else self._sums + module.totals
        self._steps += 1
        step = module.state.step
        if step % module.config.log_every and step != module.round_end:
            return
        sums = trainer.strategy.reduce(self._sums, reduce_op="sum")
        assert isinstance(sums, Tensor)
        row = {"loss": float(sums[0]) / self._steps, **module.row(TRAIN, sums[1:], self._steps)}
        self._add(trainer, module, TRAIN, row)
        self._sums, self._steps = None, 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = _ours(pl_module)
        if module.validation is not None:
            self._add(trainer, module, VALIDATION, module.row(VALIDATION, module.validation, 1))
        if trainer.is_global_zero:
            write_history(self.path, module.columns, self.rows)

    def _add(self, trainer: pl.Trainer, module: Training, split: str, row: dict[str, float]) -> None:
        self.latest[split] = row
        texts = {name: repr(value) for name, value in row.items()}
        seconds = f"{module.state.seconds:.3f}"
        self.rows.append({"step": str(module.state.step), "split": split, **texts, "seconds": seconds})
        for logger in trainer.loggers:
            logger.log_metrics(
                {f"{split}/{name}": value for name, value in row.items()}, step=module.state.step
            )


def _ours(module: pl.LightningModule) -> Training:
    assert isinstance(module, Training)
    return module
