"""Peak memory of training an SDE-BNN against its depth: every gradient of the core, on a whole network.

    python -m experiments.sde_bnn_memory --out runs/sde_bnn_memory

The network of images 3 x 32 x 32 that `latentsde bnn train` makes, two blocks; forward and backward of one
batch of noise. Megabytes are what malloc has given out at the peak, above the level before, so that the
weights themselves do not count (`latentsde.benchmarks.adjoint_memory.meter`). By the reversible Heun method
each step evaluates the blocks once; "backsolve" integrates backwards by the same method, and its gradient has
that method's error.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch.nn.functional import cross_entropy

from experiments.results import deliver
from latentsde.benchmarks.adjoint_memory.meter import how, peak_above
from latentsde.benchmarks.machine import describe
from latentsde.benchmarks.timing import torch_threads
from latentsde.models.classifiers import ClassifierConfig, build
from latentsde.models.sde_bnn import Depth
from latentsde.plotting.style import MODEL, MUTED, REFERENCE, WITHHELD, grid, legend, style

ADJOINTS = {"direct": MUTED, "checkpointed": WITHHELD, "backsolve": REFERENCE, "reversible": MODEL}
"""And the colours of their lines."""
STEPS = (10, 20, 40, 80)
NAME = "sde_bnn_memory"


@dataclass(frozen=True)
class Plan:
    batch: int = 64
    width: int = 32
    augment: int = 4
    blocks: tuple[int, ...] = (1, 1)
    method: str = "reversible_heun"


def peaks(plan: Plan, adjoint: str) -> list[float]:
    """MB at each of STEPS, after one step to warm up."""
    classes = tuple(map(str, range(10)))
    config = ClassifierConfig(
        "sde-bnn",
        (3, 32, 32),
        classes,
        (0.5,) * 3,
        (0.25,) * 3,
        blocks=plan.blocks,
        augment=plan.augment,
        width=plan.width,
    )
    network = build(config)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (plan.batch, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.arange(plan.batch) % len(classes)

    def work(steps: int) -> None:
        network.zero_grad()
        predicted = network(images, seed=1, depth=Depth(steps, plan.method, adjoint))
        (cross_entropy(predicted.output[0], labels) + predicted.kl.mean() / 50_000).backward()

    work(2)
    return [peak_above(lambda steps=steps: work(steps)) for steps in STEPS]  # type: ignore[misc]


def table(plan: Plan, found: dict[str, list[float]]) -> list[str]:
    lines = [
        "| gradient | " + " | ".join(f"{steps} steps" for steps in STEPS) + f" | {STEPS[-1]} / {STEPS[0]} |",
        "|---" * (len(STEPS) + 2) + "|",
    ]
    for adjoint, megabytes in found.items():
        cells = " | ".join(f"{value:.0f} MB" for value in megabytes)
        lines.append(f"| {adjoint} | {cells} | {megabytes[-1] / megabytes[0]:.2f} |")
    numbers = ", ".join(f"{name} {value}" for name, value in asdict(plan).items())
    return [*lines, "", f"Plan: {numbers}; {how('cpu')}; {describe()['cpu']}, one thread."]


def draw(found: dict[str, list[float]]) -> Figure:
    with style():
        figure, axes = grid(1, 1, width=3.6, height=2.4)
        ax, lines = axes[0, 0], {}
        for adjoint, megabytes in found.items():
            (lines[adjoint],) = ax.plot(STEPS, megabytes, "o-", ms=3, lw=1.0, color=ADJOINTS[adjoint])
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.set_xticks(STEPS, map(str, STEPS))
        ax.xaxis.set_minor_formatter(lambda value, _: "")
        ax.set_xlabel("steps of the solver")
        ax.set_ylabel("peak memory, MB")
        legend(figure, lines)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=Plan.batch)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    plan = Plan(batch=asked.batch)
    with torch_threads(1):
        found = {adjoint: peaks(plan, adjoint) for adjoint in ADJOINTS}
    results: dict[str, Any] = {"plan": asdict(plan), "steps": STEPS, "megabytes": found}
    deliver(table(plan, found), draw(found), results, NAME, asked.out, asked.page)


if __name__ == "__main__":
    main()
