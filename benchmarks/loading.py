"""Seconds to load 5,000 series of 500 rows from a CSV, as a ratio to a bare `pandas.read_csv` of the same
file.

python benchmarks/loading.py [--series 5000] [--rows 500] [--repeats 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from latentsde.data import IrregularSeries, Scaler, collate


def write_series(path: Path, series: int, rows: int, seed: int = 0) -> None:
    """A CSV of `series` times `rows` rows and three features, a third of the values missing, rows in random
    order.
    """
    draw = np.random.default_rng(seed)
    count = series * rows
    values = draw.normal(size=(count, 3)).round(4)
    values[draw.random(values.shape) < 1 / 3] = np.nan
    times = np.cumsum(draw.integers(1, 1000, size=(series, rows)), axis=1).reshape(-1) / 1000
    frame = pd.DataFrame({"id": np.repeat(np.arange(series), rows), "time": times, "a": values[:, 0]})
    frame = frame.assign(b=values[:, 1], c=values[:, 2]).iloc[draw.permutation(count)]
    frame.to_csv(path, index=False)


def fastest(job: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--series", type=int, default=5000)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.csv"
        write_series(path, arguments.series, arguments.rows)
        bare = fastest(lambda: pd.read_csv(path), arguments.repeats)
        ours = fastest(lambda: IrregularSeries.from_file(path, id="id", time="time"), arguments.repeats)
        loaded = IrregularSeries.from_file(path, id="id", time="time")
    scaler = Scaler.fit(loaded)
    everything = np.arange(len(loaded))
    batches = np.array_split(everything, max(1, len(loaded) // 64))
    collating = fastest(lambda: [collate(loaded, batch, scaler) for batch in batches], arguments.repeats)
    print(
        f"{len(loaded)} series, {loaded.n_rows} rows, {len(loaded.features)} features, best of "
        f"{arguments.repeats}"
    )
    print(f"pandas.read_csv            {bare:7.2f} s")
    print(f"IrregularSeries.from_file  {ours:7.2f} s   {ours / bare:.1f} times read_csv")
    print(f"collate, batches of 64     {collating:7.2f} s   for all series once")


if __name__ == "__main__":
    main()
