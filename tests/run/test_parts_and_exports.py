"""Weights named in parts predict without a training run; a system writes files of its own."""

import types

import pandas as pd
import pytest

from medjax.errors import UserError
from medjax.run import stages
from tests.run import toy


def build(config, stage_name, data, artefacts):
    """The toy system, which also writes how many it predicted by split."""

    def export(folder, predicted):
        counts = {split: len(outputs["probability"]) for split, (_, outputs) in predicted.items()}
        (folder / "counts.txt").write_text(str(counts))
        return [f"counts of {len(counts)} splits"]

    return toy.build(config, stage_name, data, artefacts)._replace(export=export)


MODULE = types.SimpleNamespace(open_data=toy.open_data, build=build)


def predict(tmp_path, parts):
    config = toy.config()
    config.only = {**config.only, "init_from": parts}
    stages.run_stages(config, tmp_path / "new", "predict", MODULE)
    return tmp_path / "new" / "only"


def test_parts_of_runs_predict_as_the_whole_run_does_and_its_files_are_written(tmp_path, capsys):
    stages.run_stages(toy.config(), tmp_path / "run", "train", MODULE)
    assert not (tmp_path / "run/only/counts.txt").exists()  # written with predictions alone
    source = str(tmp_path / "run")
    folder = predict(tmp_path, (("hidden", source), ("norm", source), ("head", source)))
    one, other = (
        pd.read_parquet(path / "predictions-test.parquet")
        for path in (tmp_path / "run/only", folder)
    )
    pd.testing.assert_frame_equal(one, other)
    assert (folder / "counts.txt").read_text() == "{'train': 70, 'validation': 24, 'test': 10}"
    assert "counts of 3 splits" in capsys.readouterr().out


def test_a_part_that_is_left_open_is_named(tmp_path):
    stages.run_stages(toy.config(), tmp_path / "run", "train", MODULE)
    source = str(tmp_path / "run")
    with pytest.raises(UserError, match="2 missing .*params/head/bias.*every part"):
        predict(tmp_path, (("hidden", source), ("norm", source)))
