import pytest
from ml_collections import ConfigDict

from medjax.errors import UserError
from medjax.run.replicas import replicas
from medjax.run.stages import check_starts


def test_a_start_from_a_stage_that_comes_later_is_refused(tmp_path):
    config = ConfigDict({"seed": 1, "stages": ("second", "first"), "first": {"init_from": None}})
    config.second = ConfigDict({"init_from": "first"})
    with pytest.raises(UserError, match="second.init_from: stage first does not come before"):
        check_starts(config, tmp_path, replicas(config))


def test_a_start_without_weights_is_refused_before_any_stage_runs(tmp_path):
    (tmp_path / "trained" / "checkpoints").mkdir(parents=True)
    (tmp_path / "prepared").mkdir()
    config = ConfigDict({"seed": 1, "stages": ("first", "second"), "first": {"init_from": None}})
    for start in (("encoder", "first"), ("encoder", str(tmp_path / "trained"))):
        config.second = ConfigDict({"init_from": (start,)})
        check_starts(config, tmp_path / "run", replicas(config))
    config.second.init_from = (("encoder", str(tmp_path / "prepared")),)
    with pytest.raises(UserError, match=r"second.init_from.*prepared.*folder with checkpoints"):
        check_starts(config, tmp_path / "run", replicas(config))
