"""A run is never mixed with another, and --overwrite removes a run and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentsde.errors import InputError
from latentsde.training import check_directory, prepare_directory

RUN = (
    "config.json",
    "model.safetensors",
    "metrics.json",
    "history.csv",
    "report.html",
    "figures/series.png",
    "checkpoints/last.ckpt",
    "checkpoints/best.ckpt",
    "logs/events.out.tfevents.1.host.2.0",
    "logs/hparams.yaml",
)
LEFT_OVER = ("checkpoints/.last-abcd_123.ckpt", ".config-ABCDEFGH.json")
FOREIGN = ("thesis.tex", "figures/mine.svg", "checkpoints/other.ckpt", "deep/er/history.csv", ".hidden")


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_new_or_empty_directory_will_do(tmp_path: Path) -> None:
    for resume in (False, True):
        assert prepare_directory(tmp_path / "a" / "b", resume=resume).is_dir()
        assert prepare_directory(tmp_path / "a" / "b", resume=resume, overwrite=False).is_dir()


def test_a_check_changes_nothing(tmp_path: Path) -> None:
    check_directory(tmp_path / "new")
    check_directory(fill(tmp_path / "run", *RUN, *LEFT_OVER), overwrite=True)
    assert not (tmp_path / "new").exists()
    assert files(tmp_path / "run") == {*RUN, *LEFT_OVER}


@pytest.mark.parametrize("name", RUN)
def test_any_file_of_a_run_needs_resume_or_overwrite(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="holds a run; continue it with --resume"):
        prepare_directory(fill(tmp_path, name))


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("resume", [False, True])
def test_other_files_are_refused_and_named(tmp_path: Path, name: str, resume: bool) -> None:
    with pytest.raises(InputError, match="not of a run, such as .*" + name.split("/")[-1]):
        prepare_directory(fill(tmp_path, name), resume=resume)


def test_overwrite_removes_the_run_and_no_other_file(tmp_path: Path) -> None:
    prepare_directory(fill(tmp_path, *RUN, *LEFT_OVER, *FOREIGN), overwrite=True)
    assert files(tmp_path) == set(FOREIGN)


def test_overwrite_does_not_follow_links(tmp_path: Path) -> None:
    elsewhere = fill(tmp_path / "elsewhere", "series.png")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "figures").symlink_to(elsewhere, target_is_directory=True)
    prepare_directory(tmp_path / "run", overwrite=True)
    assert (elsewhere / "series.png").exists()


def test_resume_keeps_the_run_and_clears_what_a_kill_left_behind(tmp_path: Path) -> None:
    prepare_directory(fill(tmp_path, *RUN, *LEFT_OVER), resume=True)
    assert files(tmp_path) == set(RUN)


def test_resume_without_the_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json is missing.*--overwrite"):
        prepare_directory(fill(tmp_path, "checkpoints/last.ckpt"), resume=True)


def test_resume_and_overwrite_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exclude each other"):
        prepare_directory(tmp_path, resume=True, overwrite=True)


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_in_the_way_is_named(tmp_path: Path, below: str) -> None:
    file = fill(tmp_path, "taken") / "taken"
    for overwrite in (False, True):
        with pytest.raises(InputError, match="taken"):
            prepare_directory(file / below, overwrite=overwrite)
    assert file.read_text() == "x"


def test_an_impossible_name_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose another"):
        check_directory(tmp_path / ("x" * 300))
