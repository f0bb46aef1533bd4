"""The embedded data: what it holds, that no split leaks, and that its script makes it again."""

from __future__ import annotations

import gzip
import importlib.util
import os
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from latentsde.data import Weather, load_weather

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def weather() -> Weather:
    return load_weather()


def test_windows_of_three_days_at_three_airports(weather: Weather) -> None:
    assert len(weather.visible) == 363 and len(set(weather.groups)) == 121
    assert weather.visible.features == ("temp", "dewp", "humid", "wind_speed", "pressure")
    assert {name[:3] for name in weather.visible.names} == {"EWR", "JFK", "LGA"}
    assert weather.visible.times.min() == 0 and weather.visible.times.max() == 71
    assert weather.visible.lengths.min() >= 60


def test_visible_and_withheld_share_rows_but_no_value(weather: Weather) -> None:
    np.testing.assert_array_equal(weather.visible.times, weather.withheld.times)
    np.testing.assert_array_equal(weather.visible.names, weather.withheld.names)
    seen, dropped = np.isfinite(weather.visible.values), np.isfinite(weather.withheld.values)
    assert not (seen & dropped).any()
    # Half of the hours, and a tenth of the rest: 0.45 is visible.
    assert abs(seen.sum() / (seen | dropped).sum() - 0.45) < 0.01
    whole_hours = (~seen.any(axis=1)).mean()
    assert abs(whole_hours - 0.5) < 0.01


def test_values_are_physical(weather: Weather) -> None:
    values = np.where(np.isfinite(weather.visible.values), weather.visible.values, weather.withheld.values)
    assert (np.nanmin(values, axis=0) >= [-10, -20, 0, 0, 950]).all()
    assert (np.nanmax(values, axis=0) <= [110, 90, 100, 60, 1050]).all()
    hour, temperature = weather.visible.times % 24, values[:, 0]
    night, afternoon = np.nanmean(temperature[hour == 5]), np.nanmean(temperature[hour == 14])
    assert afternoon > night + 5  # the hour is the local one


@pytest.mark.parametrize("seed", range(5))
def test_no_window_is_in_two_parts_and_every_season_is_in_each(weather: Weather, seed: int) -> None:
    parts = weather.split(seed=seed)
    windows = [set(part.groups) for part in parts]
    assert sum(len(part) for part in windows) == len(set().union(*windows)) == 121
    for part in parts:
        assert len(part.visible) == 3 * len(set(part.groups))
        assert {int(day[5:7]) % 12 // 3 for day in part.groups} == {0, 1, 2, 3}
        np.testing.assert_array_equal(part.visible.names, part.withheld.names)


def test_the_file_is_small() -> None:
    assert len((files("latentsde.data") / "weather.csv.gz").read_bytes()) <= 300_000


def test_the_script_makes_the_embedded_file_again() -> None:
    root = Path(os.environ.get("LATENTSDE_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (root / "irregular" / "nyc_weather_2013.csv.gz").exists():
        pytest.skip("the original observations are not here; name their directory in LATENTSDE_SHARED_DATA")
    spec = importlib.util.spec_from_file_location(
        "make_weather", REPOSITORY / "experiments" / "make_weather.py"
    )
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    embedded = (files("latentsde.data") / "weather.csv.gz").read_bytes()
    assert script.content(root) == gzip.decompress(embedded)
