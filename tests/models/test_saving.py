"""A run directory: what is written is read back, and what is damaged is said."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pandas as pd
import pytest

import latentsde
from latentsde.data import IrregularSeries
from latentsde.errors import InputError
from latentsde.files import write_json, write_whole
from latentsde.models import Forecaster, LatentSDE, describe, load_run, save_weights
from tests.models.small import small_model, small_series

SERIES = small_series()
MODEL = small_model(SERIES)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_json(tmp_path / "config.json", describe(MODEL))
    save_weights(MODEL, tmp_path)
    return tmp_path


def test_a_loaded_run_predicts_what_the_model_did(run: Path) -> None:
    loaded = latentsde.load(run).predict(SERIES, [1.0, 20.0], samples=10)
    pd.testing.assert_frame_equal(loaded, Forecaster(MODEL, {}).predict(SERIES, [1.0, 20.0], samples=10))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", None, r"config\.json is missing"),
        ("config.json", b"{", r"config\.json cannot be read"),
        ("config.json", b"[]", "holds no JSON object"),
        ("config.json", b"{}", "does not describe a model"),
        ("config.json", b"\xff\xfe", r"config\.json cannot be read"),
        ("model.safetensors", None, r"model\.safetensors is missing: .* --resume"),
        ("model.safetensors", b"not weights", r"model\.safetensors cannot be read"),
    ],
)
def test_a_damaged_run_names_the_file_and_the_remedy(
    run: Path, file: str, content: bytes | None, message: str
) -> None:
    if content is None:
        (run / file).unlink()
    else:
        (run / file).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        latentsde.load(run)
    assert "\n" not in str(caught.value)


def test_weights_of_another_model_are_refused(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    config["model"]["latent"] += 1
    write_json(run / "config.json", config)
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        latentsde.load(run)


def test_no_directory_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run directory"):
        latentsde.load(tmp_path / "nowhere")


def test_loading_executes_nothing(run: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (run / "exploded",))  # type: ignore[return-value]

    (run / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError):
        latentsde.load(run)
    assert not (run / "exploded").exists()


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(target, fail)
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"] and target.read_text() == "old"


def test_classes_and_observation_times_come_back(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": list("aabb"), "t": [0, 1, 0, 2], "x": [1.0, 2, 3, 4], "stage": list("iijk")})
    series = IrregularSeries.from_frame(table, id="id", time="t", categories=["stage"])
    model = LatentSDE.for_series(series, observation_times="poisson", hidden=4, latent=2)
    assert model.config.likelihoods == ("normal", "categorical")
    write_json(tmp_path / "config.json", describe(model))
    save_weights(model, tmp_path)
    loaded, _ = load_run(tmp_path)
    assert loaded.config == model.config and loaded.config.levels == ((), ("i", "j", "k"))
    assert loaded.state_dict().keys() == model.state_dict().keys()


def test_a_run_of_before_classes_is_read(tmp_path: Path) -> None:
    described = describe(MODEL)
    del described["model"]["levels"], described["model"]["observation_times"]
    write_json(tmp_path / "config.json", described)
    save_weights(MODEL, tmp_path)
    assert load_run(tmp_path)[0].config == MODEL.config
