"""Training a latent SDE with a solver and without: time to an equal bound on held-out series.

Two models that share prior drift, diffusion, decoder, likelihoods and p(z0): one has a posterior given by
its control and is trained by simulation (Li, Wong, Chen & Duvenaud 2020), the other's is given by its
marginals and is trained at random times (Bartosh, Vetrov & Naesseth 2025, SDE matching). Both get the same
steps, batches and learning rates, and both are judged by the same estimate: the ELBO by simulation of their
posterior, with the model's own solver step, on series not trained on. Data: Ornstein-Uhlenbeck series whose
exact log-likelihood is known, and the embedded weather.

    python -m experiments.simulation_free --out runs/simulation-free --seeds 0 1 2

Runs that are in --out already are not repeated; the table is written anew after each. Times are CPU seconds
of the training on one thread, judging left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from experiments.ornstein_uhlenbeck import OBSERVATIONS, exact_log_likelihood, simulate
from latentsde import IrregularSeries, LatentSDE, TrainingConfig, fit, load_weather
from latentsde.benchmarks.machine import describe
from latentsde.data import Batch, collate
from latentsde.files import write_json, write_whole
from latentsde.training.schedule import Schedule

WAYS = {"control": "simulation", "marginals": "simulation-free"}


@dataclass(frozen=True)
class Problem:
    """Series to train and to judge on, and how.

    Attributes:
        exact: log-likelihood of the held-out series by the generating law, nats per observation in scaled
            units; None where it is not known.
    """

    train: IrregularSeries
    held_out: IrregularSeries
    model: dict[str, Any]
    training: dict[str, Any]
    exact: float | None = None


def ornstein_uhlenbeck(train: int = 2000, held_out: int = 200) -> Problem:
    series, others = simulate(train, 1), simulate(held_out, 2)
    read = {"id": "id", "time": "time"}
    exact = exact_log_likelihood(others).mean() / OBSERVATIONS + np.log(series["x"].std(ddof=0))
    return Problem(
        IrregularSeries.from_frame(series, **read),
        IrregularSeries.from_frame(others, **read),
        {"dt": 0.1, "latent": 1, "context": 16, "hidden": 32, "encoder": 32},
        {"anneal_steps": 100, "hidden_share": 0.0},
        float(exact),
    )


def weather() -> Problem:
    """With the sizes and settings of `latentsde demo`."""
    train, _, test = load_weather().split(seed=0)
    model = {"dt": 1.0, "period": 24.0, "latent": 8, "context": 32, "hidden": 32, "encoder": 64}
    return Problem(train.visible, test.visible, model, {"anneal_steps": 100, "hidden_share": 0.0})


PROBLEMS = {"ornstein-uhlenbeck": ornstein_uhlenbeck, "weather": weather}


@torch.no_grad()
def judge(model: LatentSDE, batch: Batch, *, seeds: int, finer: int = 1) -> float:
    """The ELBO by simulation, nats per observed value in scaled units, mean over `seeds` estimates with
    1/finer of the model's step.
    """
    own = model.config
    model.config = replace(own, dt=own.dt / finer)
    bounds = [model.simulated_elbo(batch, seed=seed) for seed in range(seeds)]
    model.config = own
    return float(sum(b.value().sum() for b in bounds) / (seeds * bounds[0].observed.sum()))


class Judged(pl.Callback):
    """The held-out ELBO over the steps and CPU seconds of training."""

    def __init__(self, model: LatentSDE, batch: Batch, every: int) -> None:
        self.model, self.batch, self.every = model, batch, every
        self.rows: list[dict[str, float]] = []
        self.seconds, self._since = 0.0, time.process_time()

    def on_train_epoch_start(self, *_: Any) -> None:
        self._since = time.process_time()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds += time.process_time() - self._since
        elbo = judge(self.model, self.batch, seeds=2)
        step = self.every * (len(self.rows) + 1)
        self.rows.append({"step": step, "cpu_seconds": round(self.seconds, 2), "elbo": round(elbo, 5)})


def run(problem: Problem, way: str, seed: int, steps: int, every: int) -> dict[str, Any]:
    """Train one model; its curve, its final scores and what a step costs."""
    began = time.perf_counter()
    model = LatentSDE.for_series(problem.train, seed=seed, posterior=way, **problem.model)
    held_out = collate(problem.held_out, np.arange(len(problem.held_out)), model.scaler)
    curve = Judged(model, held_out, every)
    config = TrainingConfig(steps=steps, validate_every=every, seed=seed, **problem.training)
    with tempfile.TemporaryDirectory() as folder:
        fit(
            model,
            problem.train,
            out=Path(folder) / "run",
            config=config,
            progress=False,
            tensorboard=False,
            callbacks=[curve],
        )
    batch = collate(problem.train, Schedule(config, len(problem.train)).batch(0), model.scaler)
    with torch.no_grad():
        free = model.elbo(held_out, seed=0, samples=8) if way == "marginals" else None
        drift_evaluations = model.elbo(batch, seed=0).steps if free is None else 1
    without = None
    if free is not None:
        error = (free.log_weights.var(1) / free.log_weights.shape[1]).sum().sqrt()
        without = [float(x / free.observed.sum()) for x in (free.value().sum(), error)]
    return {
        "curve": curve.rows,
        "rows_of_the_longest_series": batch.times.shape[1],
        "sequential_drift_evaluations": drift_evaluations,
        "cpu_seconds_a_step": round(curve.seconds / steps, 4),
        "elbo": judge(model, held_out, seeds=8),
        "elbo_quarter_step": judge(model, held_out, seeds=8, finer=4),
        "elbo_without_a_solver": without,
        "parameters": sum(p.numel() for p in model.parameters()),
        "training": asdict(config),
        "duration_seconds": round(time.perf_counter() - began, 1),
    }


def reached(curve: list[dict[str, float]], elbo: float) -> dict[str, float] | None:
    """The first row of a curve that is as good."""
    return next((row for row in curve if row["elbo"] >= elbo), None)


def table(results: dict[str, Any]) -> str:
    """Markdown: one row for each run; the equal bound is the best one that both ways of a seed reach."""
    seconds = sum(found["duration_seconds"] for found in results["runs"].values())
    columns = [
        "data",
        "seed",
        "training",
        "parameters",
        "drift evaluations in sequence",
        "s a step",
        "equal ELBO",
    ]
    columns += ["steps to it", "s to it", "final ELBO", "with 1/4 of the solver's step", "without a solver"]
    columns += ["exact"]
    lines = [
        "# Training with a solver and without",
        "",
        f"`python -m experiments.simulation_free`, {seconds:.0f} s for all runs on one thread of "
        f"{results['machine']['cpu']}. ELBO by simulation on held-out series, nats per observed value in "
        "scaled units; CPU seconds of training, on a machine with other work. ± is the standard error of "
        "the estimate.",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
    ]
    for name, found in sorted(results["runs"].items()):
        data, way, seed = name.split("/")
        twins = [results["runs"].get(f"{data}/{other}/{seed}") for other in WAYS]
        equal = first = None
        if all(twins):
            equal = min(max(row["elbo"] for row in twin["curve"]) for twin in twins)  # type: ignore[index]
            first = reached(found["curve"], equal)
        exact = results["exact"][data]
        cells = [
            data,
            seed,
            WAYS[way],
            f"{found['parameters']:,}",
            str(found["sequential_drift_evaluations"]),
            f"{found['cpu_seconds_a_step']:.3f}",
            "" if equal is None else f"{equal:.4f}",
            "" if first is None else f"{first['step']:.0f}",
            "" if first is None else f"{first['cpu_seconds']:.0f}",
            *(f"{found[key]:.4f}" for key in ("elbo", "elbo_quarter_step")),
            "{:.4f} ± {:.4f}".format(*found["elbo_without_a_solver"]) if way == "marginals" else "",
            "" if exact is None else f"{exact:.4f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/simulation-free"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--problems", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--every", type=int, default=25, help="steps between two judgements")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "simulation_free.json"
    results: dict[str, Any] = {"machine": describe(), "exact": {}, "runs": {}}
    if path.exists():
        results = json.loads(path.read_text(encoding="utf-8"))
    for data in options.problems:
        problem = PROBLEMS[data]()
        results["exact"][data] = problem.exact
        for seed in options.seeds:
            for way in WAYS:
                name = f"{data}/{way}/{seed}"
                if name in results["runs"]:
                    continue
                found = results["runs"][name] = run(problem, way, seed, options.steps, options.every)
                write_json(path, results)
                text = table(results)
                write_whole(options.out / "simulation_free.md", lambda p, text=text: p.write_text(text))
                print(
                    f"{name}: ELBO {found['elbo']:.4f}, {found['cpu_seconds_a_step']:.3f} s a step",
                    flush=True,
                )
    print((options.out / "simulation_free.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
