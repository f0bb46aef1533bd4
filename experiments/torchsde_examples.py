"""torchsde's examples `latent_sde` and `latent_sde_lorenz`, trained three ways from the same weights: by
torchsde, by the same code on the drop-in, and by `latentsde.solve`.

    python -m experiments.torchsde_examples                              a few minutes on one core
    python -m experiments.torchsde_examples --seeds 2 --iterations 20    a look
    python -m experiments.torchsde_examples --out docs/results/torchsde_examples.md

Printed are the final losses, whether the three loss curves have one law, and the time of a training iteration
as torchsde's time over each one's, the median of ratios within rounds. Training is at a reduced size, timing
at the examples' own size as well. `--out` writes the tables between the page's marks, everything as JSON, and
the loss curves as a figure.

One law: with the same weights and data, and noise of their own, the three curves of a seed can be exchanged.
The statistic is the largest difference of two ways' means over the seeds in any tenth of the training, in
standard deviations within seeds; its law comes from permutations within seeds. One law is rejected where p is
below FALSE_ALARM, which is how often it happens by chance to an example.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import stats
from torch.optim import Adam
from torch.optim.lr_scheduler import ExponentialLR

from experiments import torchsde_lorenz, torchsde_sine
from experiments.torchsde_ways import COMPILED, TIMED, TRAINED, Way
from latentsde.benchmarks.output import Circumstances, say
from latentsde.benchmarks.timing import Contender, Timing, interleave, torch_threads
from latentsde.benchmarks.wording import duration, times
from latentsde.brownian import derive_seed
from latentsde.files import write_json, write_whole
from latentsde.plotting import save
from latentsde.plotting.style import MODEL, OBSERVED, REFERENCE, legend, style

FALSE_ALARM = 0.01
EXAMPLES = {
    "latent_sde": (torchsde_sine.Sine, torchsde_sine),
    "latent_sde_lorenz": (torchsde_lorenz.Lorenz, torchsde_lorenz),
}
MARKS = ("<!-- torchsde's examples -->", "<!-- end -->")


@dataclass(frozen=True)
class Plan:
    seeds: int
    iterations: int
    rounds: int
    full_rounds: int
    compiled: bool


def trainer(model: Any, way: Way, seed: int) -> Callable[[], float]:
    """A function that takes one training iteration and returns its loss; noise is a function of `seed`."""
    optimizer = Adam(model.parameters(), lr=1e-2)
    schedule = ExponentialLR(optimizer, gamma=0.999)
    generator = torch.Generator().manual_seed(seed)
    iterations = itertools.count(1)

    def iterate() -> float:
        optimizer.zero_grad()
        z0, kl = model.start(torch.randn(model.batch, model.latent, generator=generator))
        entropy = int(torch.randint(2**62, (), generator=generator))
        zs, kl_path = way.call(model, z0, entropy)
        loss = model.loss(zs, kl + kl_path, min(1.0, next(iterations) / model.anneal))
        loss.backward()
        optimizer.step()
        schedule.step()
        return float(loss.detach())

    return iterate


def train(name: str, plan: Plan) -> np.ndarray:
    """The losses (ways, seeds, iterations) of an example at its reduced size."""
    kind, module = EXAMPLES[name]
    losses = np.empty((len(TRAINED), plan.seeds, plan.iterations))
    for seed in range(plan.seeds):
        for place, way in enumerate(TRAINED):
            iterate = trainer(kind(module.REDUCED, seed=seed), way, derive_seed(seed, place))
            losses[place, seed] = [iterate() for _ in range(plan.iterations)]
    return losses


def final(losses: np.ndarray) -> tuple[float, float]:
    """(mean, half of its 95 % t-interval over the seeds) of the last third of (seeds, iterations)."""
    means = losses[:, -max(1, losses.shape[1] // 3) :].mean(1)
    quantile = stats.t.ppf(0.975, len(means) - 1)
    return float(means.mean()), float(quantile * means.std(ddof=1) / np.sqrt(len(means)))


def one_law(losses: np.ndarray, permutations: int = 19_999) -> float:
    """The p-value of (ways, seeds, iterations) curves having one law; see the module."""
    windows = np.stack([w.mean(-1) for w in np.array_split(losses, min(10, losses.shape[-1]), axis=-1)], -1)
    windows = windows / windows.std(0, ddof=1, keepdims=True).mean(1, keepdims=True)
    rng = np.random.default_rng(0)
    order = rng.permuted(np.tile(np.arange(len(losses)), (permutations, losses.shape[1], 1)), axis=-1)

    def spread(curves: np.ndarray) -> np.ndarray:  # (..., ways, windows)
        return (curves.max(-2) - curves.min(-2)).max(-1)

    observed = spread(windows.mean(1))
    by_seed = windows.transpose(1, 0, 2)
    permuted = spread(sum(by_seed[k][order[:, k]] for k in range(losses.shape[1])) / losses.shape[1])
    # Equal up to rounding is equal.
    return float((1 + (permuted >= observed * (1 - 1e-9)).sum()) / (1 + permutations))


def measure(name: str, size: Any, rounds: int, ways: Sequence[Way]) -> dict[Way, Timing]:
    """The time of a training iteration of each way, in interleaved rounds."""
    kind, _ = EXAMPLES[name]

    def contender(way: Way) -> Contender:
        iterate = trainer(kind(size, seed=0), way, 0)
        return Contender(f"{way.name} {way.gradients}", 1, lambda steps: iterate, whole=True)

    found = interleave([contender(way) for way in ways], rounds=rounds, limit=60.0, budget=180.0)
    return dict(zip(ways, found.values(), strict=True))


def timing_rows(name: str, size: Any, timings: dict[Way, Timing]) -> list[dict[str, Any]]:
    rows = []
    for way, timing in timings.items():
        peer = next(t for w, t in timings.items() if w.name == "torchsde" and w.gradients == way.gradients)
        ratios = [theirs / ours for ours, theirs in zip(timing.seconds, peer.seconds, strict=True)]
        rows.append(
            {
                "example": name,
                "size": str(size),
                "gradients": way.gradients,
                "way": way.name,
                "seconds": timing.median,
                "rounds": len(ratios),
                "times_faster": timing.times_faster(peer),
                "in_rounds": (min(ratios), max(ratios)),
            }
        )
    return rows


def draw(curves: dict[str, np.ndarray]) -> Figure:
    """A panel for each example: every seed's curve thin, the mean over the seeds thick."""
    colours = (OBSERVED, REFERENCE, MODEL)
    with style():
        figure = Figure(figsize=(8.0, 3.0))
        for place, (name, losses) in enumerate(curves.items()):
            ax = figure.add_subplot(1, len(curves), place + 1, title=name, xlabel="iteration", ylabel="loss")
            ax.set_yscale("symlog", linthresh=10.0, subs=[2, 3, 5])  # an ELBO may be positive
            for axis in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
                axis(lambda value, _: f"{value:,.0f}")
            for way, of_way, colour in zip(TRAINED, losses, colours, strict=True):
                ax.plot(of_way.T, color=colour, lw=0.5, alpha=0.35)
                ax.plot(of_way.mean(0), color=colour, lw=1.4, label=way.name)
        handles, labels = ax.get_legend_handles_labels()
        legend(figure, dict(zip(labels, handles, strict=True)))
    return figure


def write(text: str, page: Path) -> None:
    """The text as a page, or between the marks of one that has them."""
    before, mark, rest = (page.read_text(encoding="utf-8") if page.exists() else "").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2] if mark else "\n"
    whole = f"{before if mark else ''}{MARKS[0]}\n{text}\n{MARKS[1]}{after}"
    write_whole(page, lambda temporary: temporary.write_text(whole, encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=8, help="of few, no law can be rejected")
    parser.add_argument("--iterations", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=15, help="of timing at the reduced size")
    parser.add_argument("--full-rounds", type=int, default=5, help="of timing at the examples' own size")
    parser.add_argument("--compiled", action="store_true", help="time compiled steps too: many minutes")
    parser.add_argument("--out", type=Path, help="the page for the tables, between its marks")
    options = vars(parser.parse_args())
    out = options.pop("out")
    with torch_threads(1):
        lines, results, curves = run(Plan(**options))
    if out is not None:
        write("\n".join(lines), out)
        write_json(out.with_name("torchsde_examples.json"), results)
        save(draw(curves), Path("docs/figures/torchsde_examples.png"))


def run(plan: Plan) -> tuple[list[str], dict[str, Any], dict[str, np.ndarray]]:
    """The lines that were printed, everything as plain values, and the curves."""
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        say(line)

    circumstances = Circumstances(threads=1)
    curves, losses, rows = {}, [], []
    names = [way.name for way in TRAINED]
    apart = [f"{name} - {names[0]}" for name in names[1:]]
    tell(f"| example | {' | '.join([*names, *apart])} | one law: p |")
    tell("|---" * (2 + len(names) + len(apart)) + "|")
    for name, (_, module) in EXAMPLES.items():
        curves[name] = train(name, plan)
        ends = [*curves[name], *(curves[name][1:] - curves[name][0])]
        found, p = dict(zip([*names, *apart], map(final, ends), strict=True)), one_law(curves[name])
        cells = " | ".join(f"{mean:,.1f} ± {half:,.1f}" for mean, half in found.values())
        tell(f"| `{name}`, {module.REDUCED} | {cells} | {p:.2g} |")
        losses.append({"example": name, "p": p, "final": found, "curves": curves[name].round(2).tolist()})
    tell("")
    tell(
        f"Losses: mean over the last third of {plan.iterations} iterations and {plan.seeds} seeds, with 95 %"
    )
    tell(f"intervals over the seeds. One law of the curves is rejected below p = {FALSE_ALARM}.")
    tell("")
    tell("| example | gradients | way | a training iteration | torchsde's time / this | in single rounds |")
    tell("|---|---|---|---|---|---|")
    for name, (kind, module) in EXAMPLES.items():
        for size, rounds in ((module.REDUCED, plan.rounds), (module.FULL, plan.full_rounds)):
            ways = [w for w in TIMED if not w.additive_noise or getattr(kind, "additive", False)]
            if plan.compiled and size is module.REDUCED:
                ways.insert(len(TRAINED), COMPILED)
            rows += timing_rows(name, size, measure(name, size, rounds, ways) if rounds else {})
            for row in [row for row in rows if (row["example"], row["size"]) == (name, str(size))]:
                cells = f"{row['gradients']} | {row['way']} | {duration(row['seconds'])}"
                low, high = map(times, row["in_rounds"])
                tell(f"| `{name}`, {size} | {cells} | {times(row['times_faster'])} | {low} to {high} |")
    tell("")
    versions = ", ".join(
        f"{name} {circumstances.versions[name]}" for name in ("latentsde", "torch", "torchsde")
    )
    tell(f"Times: medians of {plan.rounds} rounds, at the examples' own size of up to {plan.full_rounds}.")
    tell(f"Seeds 0 to {plan.seeds - 1}; {versions}; {circumstances.machine['cpu']}, one thread;")
    tell(f"all of it took {circumstances.seconds:.0f} s.")
    results = circumstances.as_json("torchsde_examples", plan) | {"losses": losses, "times": rows}
    return lines, results, curves


if __name__ == "__main__":
    main()
