"""`latentsde demo`: the embedded weather, from data to report, with no arguments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from latentsde.cli.options import Device, Overwrite, Resume, Samples, Seed, Steps, Threads


@dataclass(frozen=True)
class DemoSettings:
    """What the demo fits with. Times are in hours."""

    steps: int = 1600
    batch_size: int = 64
    learning_rate: float = 1e-2
    weight_decay: float = 0.2
    hidden_share: float = 0.0  # more than half of the values are hidden already
    dt: float = 1.0
    period: float = 24.0
    latent: int = 8
    context: int = 32
    hidden: int = 32
    encoder: int = 64
    min_diffusion: float = 0.1


SETTINGS = DemoSettings()


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="Directory to write the run to.")] = Path(
        "runs/demo"
    ),
    steps: Steps = SETTINGS.steps,
    samples: Samples = 199,
    seed: Seed = 0,
    device: Device = "cpu",
    threads: Threads = 1,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Fit hourly weather of three New York airports: impute what is missing, forecast a day, report.

    Real data inside the package: 121 windows of three days at three airports, five features, half of the
    hours and some single values withheld. Prints scores beside five baselines and leaves figures and a
    report in --out.

    \b
    Example:
      latentsde demo
      latentsde predict runs/demo --times 0:96:1 --out weather.csv
    """
    from latentsde.cli.pipeline import Plan, carry_out, schedule_for
    from latentsde.cli.study import weather_study
    from latentsde.training import TrainingConfig, check_directory

    check_directory(out, resume=resume, overwrite=overwrite)
    sizes = {
        name: getattr(SETTINGS, name)
        for name in ("dt", "latent", "context", "hidden", "encoder", "min_diffusion")
    }
    training = TrainingConfig(
        **schedule_for(steps),
        batch_size=SETTINGS.batch_size,
        learning_rate=SETTINGS.learning_rate,
        weight_decay=SETTINGS.weight_decay,
        hidden_share=SETTINGS.hidden_share,
        seed=seed,
        device=device,
    )
    plan = Plan(
        out,
        training,
        model=sizes,
        samples=samples,
        threads=threads,
        resume=resume,
        overwrite=overwrite,
    )
    carry_out(weather_study(period=SETTINGS.period), plan)
