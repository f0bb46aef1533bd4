"""CMU motion capture, subject 35: predict how a walk goes on, by the architecture of the latent SDE paper.

    python -m experiments.mocap_search --root DATA --setup 1 --out runs/mocap       the recipe; no test data
    python -m experiments.mocap --root DATA --setup 1 --seeds 0 1 2 3 4 --out runs/mocap

DATA holds mocap35/mocap35.mat (Wang et al. 2007, as distributed by Yıldız et al. 2019): 16 training, 3
validation and 4 test sequences of 300 frames and 50 features, in degrees. Setup 1: all frames are trained
on, the first 3 of a test sequence are given and the other 297 predicted. Setup 2: the last third of every
sequence is withheld in training; of a test sequence 200 frames are given (the model reads their last 3) and
the last 100 predicted. Test MSE as in the literature: the mean over 50 posterior samples of the mean squared
error of a sample without observation noise; beside it the error of the samples' mean.

The seeds are trained with the recipe that `experiments.mocap_search` chose, to its last iteration, and read
the test sequences once, at their end. Everything is resumed from --out: a run that was killed loses at most
200 iterations.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import scipy.io
import torch
from matplotlib.figure import Figure
from torch import Tensor

from experiments.mocap_model import GIVEN, MocapModel
from experiments.mocap_training import Recipe, train
from experiments.seeds import Experiment, run
from latentsde.errors import InputError
from latentsde.plotting.style import GUIDE, MODEL, MODEL_90, OBSERVED, grid, legend, style

SAMPLES = 50


@dataclass(frozen=True)
class Setup:
    """What is trained on, given and predicted.

    Attributes:
        trained: frames of a sequence that training sees.
        start: the first of the three frames that the model reads of a test sequence.
        starts: such frames in a sequence that the recipe is chosen by; their errors are averaged.
        horizon: frames to predict after the three, fewer where the sequence ends.
        published: rows of the table.
    """

    trained: int
    start: int
    starts: tuple[int, ...]
    horizon: int
    published: dict[str, str]


SETUPS = {
    1: Setup(
        300,
        0,
        (0, 30, 60, 90),
        297,
        {
            "npODE, Yıldız et al. 2019": "22.96",
            "ODE2VAE / ODE2VAE-KL, Yıldız et al. 2019": "10.06 ± 1.4 / 8.09 ± 1.95",
            "latent ODE, Li et al. 2020": "5.98 ± .28",
            "latent SDE, Li et al. 2020": "4.03 ± .20",
            "latent SDE, measured again by Kiyohara et al. 2025": "12.91 ± 2.90",
            "NCDSSM, Ansari et al. 2023": "5.69 ± .01",
            "SDE matching, run again": "5.20 ± .43",
            "latent neural stochastic flow, Kiyohara et al. 2025": "8.62 ± .32",
        },
    ),
    2: Setup(
        200,
        197,
        (97, 117, 137, 157, 177, 197),
        100,
        {
            "latent ODE, Ansari et al. 2023": "31.62 ± .05",
            "latent SDE, measured again by Kiyohara et al. 2025": "9.52 ± .21",
            "NCDSSM, Ansari et al. 2023": "4.74 ± .01",
            "SDE matching, run again": "4.26 ± .35",
            "latent neural stochastic flow, Kiyohara et al. 2025": "3.41 ± .27",
        },
    ),
}
BASE = {1: Recipe(), 2: Recipe(horizon=120, from_start=0.0)}
ABLATIONS: dict[str, dict[str, Any]] = {
    "whole sequences at their own pace": {"pace": 0.0, "from_start": 1.0},
    "windows at their own pace": {"pace": 0.0},
    "other paces, .1": {"pace": 0.1},
    "latent ODE, same training": {"stochastic": False},
}


def read(root: Path) -> dict[str, Tensor]:
    """{"train", "validation", "test"}: (N, 300, 50) degrees; `InputError` where the file is missing."""
    path = root / "mocap35" / "mocap35.mat"
    if not path.exists():
        raise InputError(f"{path} is missing; name the directory that holds mocap35/ with --root")
    content = scipy.io.loadmat(path)
    names = {"train": "Xtr", "validation": "Xval", "test": "Xtest"}
    return {name: torch.tensor(content[key], dtype=torch.float32) for name, key in names.items()}


def errors(
    model: MocapModel, sequences: Tensor, start: int, horizon: int, *, samples: int, seed: int
) -> tuple[Tensor, Tensor]:
    """(samples, N) squared error of every sample of every sequence, averaged over frames and features; and
    (N,) that of the samples' mean.
    """
    end = min(start + GIVEN + horizon, sequences.shape[1])
    given, truth = sequences[:, start : start + GIVEN], sequences[:, start + GIVEN : end]
    drawn = model.predict(given, end - start, samples=samples, seed=seed)[:, :, GIVEN:]
    return (drawn - truth).square().mean((2, 3)), (drawn.mean(0) - truth).square().mean((1, 2))


def mean_error(model: MocapModel, sequences: Tensor, setup: Setup, *, samples: int, seed: int) -> Tensor:
    """(N,) squared error of a sample of each sequence, averaged over the setup's `starts`."""
    parts = [
        errors(model, sequences, start, setup.horizon, samples=samples, seed=seed)[0].mean(0)
        for start in setup.starts
    ]
    return torch.stack(parts).mean(0)


def chosen(number: int, out: Path) -> Recipe:
    """What `experiments.mocap_search` found, or the default where nothing was searched; it is printed."""
    log = out / "search.json"
    if not log.exists():
        print(f"the default recipe, as there is no {log}")
        return BASE[number]
    trials = json.loads(log.read_text(encoding="utf-8"))
    best = min(trials, key=lambda name: trials[name]["error"])
    print(f"recipe '{best}' of {log}")
    return Recipe(**trials[best]["recipe"])


@dataclass(frozen=True)
class Plan:
    setup: int
    recipe: Recipe


def evaluated(
    plan: Plan, seed: int, data: dict[str, Tensor], out: Path, compile: bool = False
) -> dict[str, Any]:
    """Train with a seed, then read the test sequences."""
    setup = SETUPS[plan.setup]
    result = train(
        data["train"][:, : setup.trained],
        plan.recipe,
        seed=seed,
        checkpoint=out / "checkpoints" / f"{seed}.ckpt",
        compile=compile,
    )
    model = result.model
    single, mean = errors(model, data["test"], setup.start, setup.horizon, samples=SAMPLES, seed=11)
    train_error = errors(model, data["train"], setup.start, setup.horizon, samples=8, seed=12)[0].mean()
    end = min(setup.start + GIVEN + setup.horizon, data["test"].shape[1])
    given = data["test"][:, setup.start : setup.start + GIVEN]
    drawn = model.predict(given, end - setup.start, samples=SAMPLES, seed=11)
    feature = int(data["train"].flatten(0, 1).var(0).argmax())
    quantiles = torch.quantile(drawn[..., feature], torch.tensor([0.05, 0.5, 0.95]), dim=0)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "mse": single.mean(1).tolist(),
        "mse_of_sequences": single.mean(0).tolist(),
        "mse_of_mean": mean.tolist(),
        "train_mse": float(train_error),
        "validation": float(mean_error(model, data["validation"], setup, samples=8, seed=7).mean()),
        "history": result.history,
        "feature": feature,
        "truth": data["test"][:, setup.start : end, feature].double().round(decimals=2).tolist(),
        "quantiles": quantiles.double().round(decimals=2).tolist(),
    }


def interval(values: Tensor) -> tuple[float, float]:
    """Mean and half width of the 95 % interval by Student's t."""
    quantile = scipy.stats.t.ppf(0.975, len(values) - 1) if len(values) > 1 else float("nan")
    return float(values.mean()), float(quantile * values.std() / len(values) ** 0.5)


def table(plan: Plan, results: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"Setup {plan.setup}",
        "",
        "| model | test MSE | of the samples' mean | of the four sequences | training MSE | validation |",
        "|---" * 6 + "|",
        *(f"| {name} | {value} | | | | |" for name, value in SETUPS[plan.setup].published.items()),
    ]
    for number, row in enumerate(results):
        mean, half = interval(torch.tensor(row["mse"]))
        sequences = ", ".join(f"{value:.1f}" for value in row["mse_of_sequences"])
        average = sum(row["mse_of_mean"]) / len(row["mse_of_mean"])
        lines.append(
            f"| ours, run {number}, {row['parameters']:,} parameters | {mean:.2f} ± {half:.2f} "
            f"| {average:.2f} | {sequences} | {row['train_mse']:.2f} | {row['validation']:.2f} |"
        )
    mean, half = interval(torch.tensor([sum(row["mse"]) / len(row["mse"]) for row in results]))
    spread = f"{mean:.2f} ± {half:.2f}" if len(results) > 1 else f"{mean:.2f}, one run"
    lines += [
        f"| **ours, runs: {len(results)}** | **{spread}** | | | | |",
        "",
        "± of a run: 95 % t-interval over its 50 posterior samples, as published; of the runs: over them.",
    ]
    return lines


def draw(plan: Plan, results: list[dict[str, Any]]) -> Figure:
    """The first run on the four test sequences: the feature that moves most."""
    row = results[0]
    with style():
        figure, axes = grid(2, 2, width=3.6, height=1.7, sharex=True, sharey=True)
        for k, ax in enumerate(axes.flat):
            low, middle, high = (torch.tensor(q[k]) for q in row["quantiles"])
            frames = torch.arange(len(middle)) + SETUPS[plan.setup].start
            ax.axvspan(float(frames[0]), float(frames[GIVEN - 1]), color=GUIDE, lw=0)
            band = ax.fill_between(frames, low, high, color=MODEL_90, lw=0)
            (line,) = ax.plot(frames, middle, color=MODEL, lw=1.4)
            (truth,) = ax.plot(frames, row["truth"][k], color=OBSERVED, lw=1.0)
            ax.set_title(f"test sequence {k + 1}, MSE {row['mse_of_sequences'][k]:.1f}")
        for ax in axes[1]:
            ax.set_xlabel("frame")
        for ax in axes[:, 0]:
            ax.set_ylabel(f"feature {row['feature']} [degrees]")
        legend(figure, {"test sequence": truth, "posterior median": line, "its 90 % band": band})
    return figure


def options(description: str | None) -> argparse.ArgumentParser:
    """The options of what trains these models."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="directory that holds mocap35/")
    parser.add_argument("--setup", type=int, choices=sorted(SETUPS), default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/mocap"))
    parser.add_argument("--compile", action="store_true", help="compile the solver's steps")
    return parser


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--ablation", choices=ABLATIONS, help="change the chosen recipe and run the seeds")
    parser.add_argument("--page", type=Path, help="markdown page to put the table into")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = read(asked.root)
    out = asked.out / f"setup{asked.setup}"
    recipe, name = chosen(asked.setup, out), f"mocap_{asked.setup}"
    if asked.ablation:
        recipe = replace(recipe, **ABLATIONS[asked.ablation])
        out, name = out / asked.ablation.replace(" ", "-"), f"{name}_{asked.ablation.split()[0]}"

    def one(plan: Plan, seed: int) -> dict[str, Any]:
        return evaluated(plan, seed, data, out, asked.compile)

    run(Experiment(name, Plan(asked.setup, recipe), one, table, draw), asked.seeds, out, asked.page)


if __name__ == "__main__":
    main()
