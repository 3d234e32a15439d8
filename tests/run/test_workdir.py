"""The folder of a run: name, stored config, refusals, what counts as finished."""

import json
import os
import stat
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from medjax.errors import UsageError, UserError
from medjax.files import write_json
from medjax.run.config import flatten
from medjax.run.workdir import (
    check_workdir,
    default_workdir,
    finished_results,
    open_workdir,
    read_config,
    read_results,
)

RESULTS = {"fused": {"test": {"auroc/macro": {"value": 0.75}}}}


def config(**changes) -> ConfigDict:
    base = {
        "seed": 0,
        "scale": (0.5, 1.0),
        "stages": ("encoder", "fused"),
        "encoder": {"init_from": "", "optimizer": {"learning_rate": 0.1}},
        "fused": {"init_from": "encoder", "optimizer": {"learning_rate": 0.1}},
    }
    made = ConfigDict(base)
    for name, value in changes.items():
        *groups, field = name.split("__")
        part = made
        for group in groups:
            part = part[group]
        part[field] = value
    return made


def train(folder: Path, of: ConfigDict) -> None:
    with open_workdir(folder, of):
        write_json(folder / "results.json", RESULTS)


def test_default_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = Path("configs/toy.py")
    assert default_workdir(file, ("demo",), {}) == Path("runs/toy")
    assert default_workdir(file, ("smoke", "early"), {}) == Path("runs/toy-smoke-early")
    named = default_workdir(file, ("demo", "early"), {"seed": 1})
    assert named.parent == Path("runs") and named.name.startswith("toy-early-")
    assert named != default_workdir(file, ("demo", "early"), {"seed": 2})
    assert default_workdir(file, ("demo",), {}, "evaluate") == Path("runs/toy-evaluate")
    train(Path("runs/toy"), config())
    assert default_workdir(file, ("demo",), {}, "evaluate") == Path("runs/toy")


def test_a_new_folder_is_private_and_holds_the_config(tmp_path):
    folder = tmp_path / "a run with blanks" / "lauf-ä"
    with open_workdir(folder, config()):
        pass
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "config.json").stat().st_mode) == 0o600
    assert flatten(read_config(folder)) == flatten(config())


def test_the_same_config_goes_on_and_another_is_refused_by_name(tmp_path):
    train(tmp_path, config())
    check_workdir(tmp_path, config())
    with pytest.raises(UsageError) as caught:
        check_workdir(tmp_path, config(seed=1, fused__optimizer__learning_rate=0.2))
    assert "fused.optimizer.learning_rate 0.1 -> 0.2; seed 0 -> 1;" in str(caught.value)
    assert "encoder" not in str(caught.value)


def test_optimizer_changes_by_flag_in_stages_without_results(tmp_path):
    train(tmp_path, config())
    changed = config(fused__optimizer__learning_rate=0.2)
    check_workdir(tmp_path, changed, allow_optimizer_changes=True)
    with pytest.raises(UsageError, match=r"seed 0 -> 1;"):
        check_workdir(tmp_path, config(seed=1), allow_optimizer_changes=True)
    write_json(tmp_path / "fused" / "results.json", {})
    with pytest.raises(UsageError, match=r"fused.optimizer.learning_rate 0.1 -> 0.2"):
        check_workdir(tmp_path, changed, allow_optimizer_changes=True)


def test_old_results_are_never_those_of_a_changed_config(tmp_path):
    train(tmp_path, config())
    assert finished_results(tmp_path, config()) == RESULTS
    changed = config(fused__optimizer__learning_rate=0.2)
    assert finished_results(tmp_path, changed) is None
    with open_workdir(tmp_path, changed):
        assert not (tmp_path / "results.json").exists()
    assert finished_results(tmp_path, changed) is None
    with pytest.raises(UserError, match=r"holds no results.json"):
        read_results(tmp_path)


def test_evaluation_needs_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("encoder").mkdir()  # a stage is meant by that name, not this folder
    empty = tmp_path / "new"
    with pytest.raises(UsageError, match=r"no training run to evaluate"):
        check_workdir(empty, config(), "evaluate")
    check_workdir(empty, config(fused__init_from=str(tmp_path)), "evaluate")
    check_workdir(empty, config(fused__init_from=f"{tmp_path}@20"), "predict")


def test_training_is_refused_where_an_evaluation_was(tmp_path):
    of = config(fused__init_from=str(tmp_path))
    folder = tmp_path / "evaluated"
    with open_workdir(folder, of, "evaluate"):
        write_json(folder / "results.json", RESULTS)
    check_workdir(folder, of, "evaluate")
    assert flatten(read_config(folder)) == flatten(of)
    assert finished_results(folder, of) is None
    with pytest.raises(UsageError, match=r"made by --mode=evaluate"):
        check_workdir(folder, of)


def test_evaluation_leaves_a_training_run_as_it_is(tmp_path):
    train(tmp_path, config())
    before = (tmp_path / "config.json").read_bytes()
    with open_workdir(tmp_path, config(), "evaluate"):
        assert read_results(tmp_path) == RESULTS
    assert (tmp_path / "config.json").read_bytes() == before


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_a_damaged_config_is_one_sentence(tmp_path, text):
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"config.json .*(cannot be read|no.* JSON object)"):
        check_workdir(tmp_path, config())


def test_a_file_in_the_place_of_the_folder(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UsageError, match=r"is a file; name a folder"):
        check_workdir(file, config())
    with (
        pytest.raises(UserError, match=r"cannot write in .*\(Not a directory\)"),
        open_workdir(file / "inner", config()),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with (
        pytest.raises(UserError, match=r"cannot write in .*Permission denied"),
        open_workdir(tmp_path / "run", config()),
    ):
        pass


def test_a_full_disk_is_one_sentence_and_leaves_no_config(tmp_path, monkeypatch):
    def fail(path, value):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("medjax.run.workdir.write_json", fail)
    with (
        pytest.raises(UserError, match=r"No space left on device.*free some space"),
        open_workdir(tmp_path, config()),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert (tmp_path / ".lock").read_text() == ""


def test_stored_values_are_json_without_code(tmp_path):
    train(tmp_path, config())
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["scale"] == [0.5, 1.0] and "mode" not in stored


def test_a_folder_where_nothing_was_trained_binds_nobody(tmp_path):
    with open_workdir(tmp_path, config(seed=1)):
        pass
    check_workdir(tmp_path, config(seed=2))
    (tmp_path / "stage" / "checkpoints" / "7").mkdir(parents=True)
    with pytest.raises(UsageError, match="seed"):
        check_workdir(tmp_path, config(seed=2))
