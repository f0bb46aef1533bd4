"""From a study to a finished run: train, score, draw, report."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from latentsde.cli.endings import Interrupted
from latentsde.cli.study import Study
from latentsde.cli.summary import score_tables
from latentsde.errors import InputError
from latentsde.evaluation.evaluate import evaluate
from latentsde.evaluation.figures import draw_figures
from latentsde.evaluation.report import write_report
from latentsde.files import write_json
from latentsde.models import SeriesModel, model_class, read_config
from latentsde.training import TrainingConfig, fit
from latentsde.training.launch import is_main_process


@dataclass(frozen=True)
class Plan:
    """Everything about a run but its data.

    Attributes:
        out: the run directory.
        training: steps, batches, rates, seed, device.
        name: of the model, one of `latentsde.models.MODELS`.
        model: fields of its configuration and `dt`, `likelihoods`; what is not named is chosen from the data.
        samples: paths a series in the evaluation.
        threads: of torch on the CPU.
    """

    out: Path
    training: TrainingConfig
    name: str = "latent_sde"
    model: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 199
    threads: int = 1
    resume: bool = False
    overwrite: bool = False


def schedule_for(steps: int) -> dict[str, int]:
    """`TrainingConfig`'s warm-up, annealing and validation, in proportion where they do not fit few steps."""
    usual = TrainingConfig()
    return {
        "steps": steps,
        "warmup_steps": min(usual.warmup_steps, steps // 10),
        "anneal_steps": min(usual.anneal_steps, steps // 3),
        "validate_every": min(usual.validate_every, max(1, steps // 10)),
    }


def carry_out(study: Study, plan: Plan) -> None:
    """Do what is left to do of the run in `plan.out`, and print what came of it."""
    torch.set_num_threads(plan.threads)
    print(study.rule[0].upper() + study.rule[1:] + ".")
    options = {"period": study.period, "start": study.start, **plan.model}
    model = model_class(plan.name).for_series(study.train, seed=plan.training.seed, **options)
    evaluation = {"samples": plan.samples, "seed": plan.training.seed, "tasks": [t.name for t in study.tasks]}
    try:
        result = fit(
            model,
            study.train,
            out=plan.out,
            validation=study.validation,
            config=plan.training,
            resume=plan.resume,
            overwrite=plan.overwrite,
            metadata={"data": study.data, "evaluation": evaluation},
        )
        if not is_main_process():
            return
        model.cpu().eval()
        began = time.perf_counter()
        before = plan.resume and _judged(plan.out)
        if not before:
            judge(model, study, plan.out, samples=plan.samples, seed=plan.training.seed)
        judged = "before" if before else f"in {time.perf_counter() - began:.0f} s"
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; the same command with --resume continues {plan.out} from its last checkpoint"
        ) from None
    print_scores(plan.out, study.units)
    kept = f"the weights of step {result.best_step}, " if study.validation is not None else ""
    print(f"{result.steps} steps in {result.seconds:.0f} s, {kept}scored and drawn {judged}.")
    print(f"Report:  {plan.out / 'report.html'}")
    run = shlex.quote(str(plan.out))
    print(f"Predict: latentsde predict {run} --times START:STOP:STEP --out predictions.csv")


def judge(model: SeriesModel, study: Study, run: Path, *, samples: int, seed: int) -> None:
    """metrics.json, figures/ and report.html of a run."""
    training = read_config(run).get("training", {})
    evaluation = evaluate(model, study.tasks, period=study.period, samples=samples, seed=seed)
    write_json(run / "metrics.json", evaluation.metrics)
    figures = run / "figures"
    figures.mkdir(exist_ok=True)
    for old in figures.glob("*.png"):
        old.unlink()
    draw_figures(
        model,
        study.tasks,
        study.train,
        evaluation,
        _history(run / "history.csv"),
        figures,
        best_step=training.get("best_step") if study.validation is not None else None,
        units=study.units,
        samples=max(samples, 100),
        seed=seed,
    )
    write_report(run)


def print_scores(run: Path, units: Mapping[str, str] | None = None) -> None:
    """The tables of metrics.json; `InputError` where it is missing or damaged."""
    path = run / "metrics.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        lines = score_tables(metrics, units or {})
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        raise InputError(
            f"{path} is missing or damaged; make it again with 'latentsde report {run}'"
        ) from None
    print("\n" + "\n".join(lines))


def _history(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is missing or damaged ({type(error).__name__}); fit again with --overwrite"
        ) from None


def _judged(run: Path) -> bool:
    """Whether the run has its scores, figures and, written last, its page."""
    written = (run / "metrics.json").exists() and (run / "report.html").exists()
    return written and any((run / "figures").glob("*.png"))
