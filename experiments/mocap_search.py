"""The recipe for motion capture, chosen without the test sequences: cross-validation over the training walks.

    python -m experiments.mocap_search --root DATA --setup 1 --out runs/mocap

Each recipe of SEARCH is trained four times, every time without a quarter of the sixteen training sequences,
and scored on those it has not seen: sixteen errors a recipe, each the mean over the setup's starting frames.
The lowest mean is what `experiments.mocap` trains its seeds with. The three validation sequences are scored
too but do not choose: two of them walk slower than every training sequence, and what serves those two is a
matter of extrapolating to slower walks.

Every trial is logged in search.json as it ends; what the log holds is not run again, and a run that was
killed goes on from its last checkpoint.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.mocap import BASE, SETUPS, Setup, mean_error, options, read
from experiments.mocap_training import Recipe, train
from latentsde.files import write_json

FOLDS = 4
SEARCH: dict[str, dict[str, Any]] = {
    "pace .03": {},
    "windows at their own pace": {"pace": 0.0},
}


def cross_validated(
    setup: Setup, recipe: Recipe, data: dict[str, Tensor], place: Path, *, compile: bool
) -> dict[str, Any]:
    """Errors of the training sequences, each by the model that has not seen it, and what goes with them."""
    walks = data["train"]
    fold = torch.arange(len(walks)) % FOLDS
    left_out, seen, validation, histories = torch.empty(len(walks)), [], [], []
    for k in range(FOLDS):
        kept = walks[fold != k]
        result = train(
            kept[:, : setup.trained],
            recipe,
            seed=k,
            checkpoint=place / f"fold{k}.ckpt",
            compile=compile,
        )
        score = [
            mean_error(result.model, part, setup, samples=8, seed=7) for part in (walks[fold == k], kept)
        ]
        left_out[fold == k] = score[0]
        seen.append(float(score[1].mean()))
        validation.append(mean_error(result.model, data["validation"], setup, samples=8, seed=7))
        histories.append(result.history)
    return {
        "error": float(left_out.mean()),
        "of_sequences": left_out.tolist(),
        "training_error": sum(seen) / FOLDS,
        "validation_sequences": torch.stack(validation).mean(0).tolist(),
        "histories": histories,
    }


def search(number: int, data: dict[str, Tensor], out: Path, *, compile: bool) -> None:
    """Run and log what the log does not hold, and print it."""
    log = out / "search.json"
    trials: dict[str, Any] = json.loads(log.read_text(encoding="utf-8")) if log.exists() else {}
    for name, changes in SEARCH.items():
        recipe = replace(BASE[number], **changes)
        if name in trials and trials[name]["recipe"] == asdict(recipe):
            continue
        print(f"trial '{name}'")
        place = out / "trials" / name
        found = cross_validated(SETUPS[number], recipe, data, place, compile=compile)
        trials[name] = {"recipe": asdict(recipe)} | found
        write_json(log, trials)
    print(f"{'trial':32s} left out  training  validation sequences")
    for name, trial in sorted(trials.items(), key=lambda item: item[1]["error"]):
        others = " ".join(f"{value:.1f}" for value in trial["validation_sequences"])
        print(f"{name:32s} {trial['error']:8.3f}  {trial['training_error']:8.3f}  {others}")


def main() -> None:
    asked = options(__doc__).parse_args()
    torch.set_num_threads(1)
    search(asked.setup, read(asked.root), asked.out / f"setup{asked.setup}", compile=asked.compile)


if __name__ == "__main__":
    main()
