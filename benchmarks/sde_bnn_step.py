"""Seconds for one training step of an SDE-BNN layer against a plain ODENet of the same block and evaluations.

The ODENet is what a user would write with torchdiffeq: the block's own parameters, `odeint` with Euler's
method and as many equal steps. Both take forward and backward of the same loss on the same images; the
SDE-BNN has the weights' path, its drift network and its KL besides. Also ours without noise. Interleaved,
medians of ratios.

    python -m benchmarks.sde_bnn_step
    python -m benchmarks.sde_bnn_step --rounds 15 --page docs/results/sde-bnn.md
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchdiffeq import odeint

from experiments.results import circumstances, insert
from latentsde.benchmarks.machine import describe, versions
from latentsde.benchmarks.timing import seconds_with_gradient
from latentsde.files import write_json
from latentsde.models.classifiers.blocks import ConvolutionBlock
from latentsde.models.sde_bnn import SDEBNN, Depth, ODENet

BAR = 1.5
SIZES = ((8, 32, 14, 128), (16, 64, 16, 128))
"""Channels, width of the block, pixels, batch."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = options.steps
    lines = [
        "| channels | width | pixels | batch | weights | torchdiffeq's ODENet, ms | SDE-BNN, times as long: "
        "median (quartiles) | latentsde's ODENet |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows: list[dict[str, Any]] = []
    for channels, width, pixels, batch in SIZES:
        torch.manual_seed(0)
        block = ConvolutionBlock(channels, width)
        bayesian, plain = SDEBNN(block, depth=Depth(steps)), ODENet(block, depth=Depth(steps))
        h = torch.randn(batch, channels, pixels, pixels).contiguous(memory_format=torch.channels_last)
        times = torch.tensor([0.0, 1.0])

        def by_torchdiffeq(
            h: Tensor, plain: ODENet = plain, times: Tensor = times, step: float = 1.0 / steps
        ) -> Tensor:
            end: Tensor = odeint(plain.f, h, times, method="euler", options={"step_size": step})[-1]
            return end.square().mean()

        def by_sde_bnn(h: Tensor, layer: SDEBNN = bayesian) -> Tensor:
            passed = layer(h, seed=0)
            return passed.h.square().mean() + passed.kl.mean()

        def by_odenet(h: Tensor, layer: ODENet = plain) -> Tensor:
            return layer(h).h.square().mean()

        calls = (by_torchdiffeq, by_sde_bnn, by_odenet)
        parameters = [*bayesian.parameters(), *plain.parameters()]
        for call in calls:
            seconds_with_gradient(partial(call, h), parameters)
        timed = np.array(
            [
                [seconds_with_gradient(partial(call, h), parameters) for call in calls]
                for _ in range(options.rounds)
            ]
        )
        ratios = timed[:, 1:] / timed[:, :1]
        median, low, high = np.median(ratios, 0), *np.quantile(ratios, (0.25, 0.75), axis=0)
        lines.append(
            f"| {channels} | {width} | {pixels} × {pixels} | {batch} | {bayesian.block.count:,} | "
            f"{1e3 * np.median(timed[:, 0]):.0f} | {median[0]:.2f} ({low[0]:.2f} to {high[0]:.2f}) | "
            f"{median[1]:.2f} |"
        )
        size = {"channels": channels, "width": width, "pixels": pixels, "batch": batch}
        names = ("torchdiffeq", "sde_bnn", "odenet")
        rows.append(size | {"seconds": dict(zip(names, timed.T.round(5).tolist(), strict=True))})
        print(lines[-1], flush=True)
        met = "met" if median[0] <= BAR else "missed"
        print(f"bar {BAR}: {met}")
    lines += [
        "",
        f"{steps} Euler steps of one layer, forward and backward; {options.rounds} interleaved rounds; "
        f"threads: {options.threads}; {describe()['cpu']}, torch {versions()['torch']}.",
    ]
    if options.page:
        insert("\n".join(lines), options.page, "sde_bnn_step")
        how = circumstances() | {"threads": options.threads, "steps": steps, "rounds": options.rounds}
        write_json(options.page.with_name("sde_bnn_step.json"), how | {"sizes": rows})


if __name__ == "__main__":
    main()
