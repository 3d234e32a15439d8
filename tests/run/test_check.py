"""Values that no run can use are refused with their field named, before anything is written."""

from pathlib import Path

import pytest

from medjax.errors import UsageError
from medjax.main import main
from medjax.run.check import check_values
from medjax.run.words import load_config

CONFIG = Path(__file__).parents[2] / "configs" / "medfuse.py"


def test_the_shipped_config_is_accepted():
    check_values(load_config(CONFIG, ("smoke",)))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("ehr.train.epochs", "0", "config.ehr.train.epochs is 0: it must be at least 1"),
        ("fusion.train.global_batch_size", "0", "must be at least 1"),
        ("ehr.train.evaluation_batch_size", "0", "must be at least 1"),
        ("fusion.train.accumulation", "3", "must divide global_batch_size, which is 8"),
        ("fusion.train.patience", "-3", "patience is -3: it must not be negative"),
        ("fusion.model.dropout", "2.0", "below 1"),
        ("fusion.optimizer.learning_rate", "0", "above 0"),
        ("evaluation.resamples", "-5", "must not be negative"),
        ("loader.threads", "0", "at least 1"),
    ],
)
def test_a_value_that_no_run_can_use(field, value, sentence):
    with pytest.raises(UsageError, match=sentence):
        check_values(load_config(CONFIG, ("smoke",), {field: value}))


@pytest.mark.parametrize(
    "override",
    ["fusion.model.backbone=resnet33", "ehr.optimizer.name=adamm", "data.image.crop=64"],
)
def test_nothing_is_written(tmp_path, capsys, override):
    workdir = tmp_path / "run"
    argv = [f"--config={CONFIG}:smoke", f"--config.{override}", f"--workdir={workdir}"]
    assert main(argv) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not workdir.exists()
