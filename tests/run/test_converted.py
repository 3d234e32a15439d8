"""What converted weights ask of a config: sizes, the published column, warnings about data."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict, config_dict

from medjax.convert import write_folder
from medjax.errors import UsageError, UserError
from medjax.run.config import name_parts
from medjax.run.converted import apply_records, read_record
from medjax.run.init_from import Place, start_from

RECORD = {
    "format": 2,
    "is_network": False,
    "bearing": {"encoder": ["model.dim"]},
    "settings": {"model.dim": 256, "model.unknown": 1},
    "fields": {
        "model": {"model.squeeze_mean": "padded"},
        "data": {"fio2_rule": "always_percent", "data.ratio": 1.0},
    },
}


@pytest.fixture
def weights(tmp_path):
    """A folder that looks like converted weights."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "converted.json").write_text(json.dumps(RECORD))
    return tmp_path / "weights"


def config_of(init_from, data_dir=None) -> ConfigDict:
    config = ConfigDict({"stages": ("fusion",), "data": {"dir": data_dir, "ratio": 1.0}})
    config.fusion = ConfigDict({"model": {"dim": 64, "squeeze_mean": "masked"}})
    config.fusion.init_from = config_dict.placeholder(object)
    config.fusion.init_from = str(init_from) if init_from else None
    return config


def test_whole_weights_bring_their_sizes_and_the_published_column(weights):
    config = config_of(weights)
    assert apply_records(config, frozenset()) == []
    assert config.fusion.model.to_dict() == {"dim": 256, "squeeze_mean": "padded"}


@pytest.mark.parametrize(("part", "dim"), [("encoder", 256), ("head", 64)])
def test_a_part_brings_the_fields_that_it_bears_and_no_others(weights, part, dim):
    config = config_of(None)
    config.fusion.init_from = ((part, str(weights)),)
    assert apply_records(config, frozenset()) == []
    assert config.fusion.model.to_dict() == {"dim": dim, "squeeze_mean": "masked"}


def test_a_part_under_another_name_brings_the_fields_of_its_own(weights):
    config = config_of(None)
    config.fusion.init_from = (("backbone", str(weights), "encoder"),)
    assert apply_records(config, frozenset()) == [] and config.fusion.model.dim == 256


def test_a_field_that_the_user_names_wins_with_a_warning(weights):
    config = config_of(f"{weights}@0")
    (warning,) = apply_records(config, frozenset({"fusion.model.squeeze_mean"}))
    assert config.fusion.model.squeeze_mean == "masked" and config.fusion.model.dim == 256
    assert "fusion.model.squeeze_mean=masked" in warning and "trained with padded" in warning
    config.fusion.model.squeeze_mean = "padded"
    assert apply_records(config, frozenset({"fusion.model.squeeze_mean"})) == []


def test_a_size_that_the_user_names_must_be_theirs(weights):
    config = config_of(weights)
    with pytest.raises(UsageError, match=r"--config\.fusion\.model\.dim=64: the weights in .*256"):
        apply_records(config, frozenset({"fusion.model.dim"}))


def test_parts_bring_nothing(weights):
    config = config_of(None)
    config.fusion.init_from = (("ehr", str(weights)),)
    assert apply_records(config, frozenset()) == []
    assert config.fusion.model.squeeze_mean == "masked"


def test_other_data_are_warned_of_field_by_field(weights, tmp_path):
    fields = {"fio2_rule": "percent_if_above_1", "height_unit": "by_item"}
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "manifest.json").write_text(json.dumps({"fields": fields}))
    config = config_of(weights, str(tmp_path / "prepared"))
    config.data.ratio = 0.5
    ratio, rule = apply_records(config, frozenset())
    assert "data.ratio=1.0; config.data.ratio has 0.5" in ratio
    assert "fio2_rule=always_percent; config.data.dir has percent_if_above_1" in rule


def test_parts_can_be_typed_without_brackets():
    config = config_of("cxr:weights/a@3, ehr:runs/b")
    name_parts(config)
    assert config.fusion.init_from == (("cxr", "weights/a@3"), ("ehr", "runs/b"))
    config = config_of("network:weights/a:encoder/network")
    name_parts(config)
    assert config.fusion.init_from == (("network", "weights/a", "encoder/network"),)
    for text in ("runs/a", "gs://bucket/run", "cxr:a,runs/b"):
        config = config_of(text)
        name_parts(config)
        assert config.fusion.init_from == text


def test_a_folder_whose_name_has_a_colon_is_one_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs:old").mkdir()
    config = config_of("runs:old@last")
    name_parts(config)
    assert config.fusion.init_from == "runs:old@last"
    config = config_of("cxr:runs:old@last")
    name_parts(config)
    assert config.fusion.init_from == (("cxr", "runs:old@last"),)


def test_one_network_becomes_a_part_of_a_model(tmp_path):
    kernel = np.arange(6, dtype=np.float16).reshape(2, 3)
    record = {**RECORD, "is_network": True, "settings": {"model.backbone": "resnet18"}}
    folder = tmp_path / "network"
    write_folder(folder, {"variables": {"params": {"stem": {"kernel": kernel}}}}, record, {})
    place = Place(tmp_path, ("fusion",), "fusion")
    fresh = {"params": {"cxr": {"stem": {"kernel": jnp.zeros((2, 3))}}, "head": jnp.ones(2)}}
    found = start_from(fresh, (("cxr", str(folder)),), place)
    assert found["params"]["cxr"]["stem"]["kernel"].dtype == np.float32
    np.testing.assert_array_equal(found["params"]["cxr"]["stem"]["kernel"], kernel)
    np.testing.assert_array_equal(found["params"]["head"], [1, 1])

    config = config_of(folder)
    with pytest.raises(UsageError, match=rf"--config\.fusion\.init_from=cxr:{folder}"):
        apply_records(config, frozenset())
    config.fusion.init_from = (("cxr", str(folder)),)
    config.fusion.model.backbone = "resnet34"
    with pytest.raises(UsageError, match=r"give --config\.fusion\.model\.backbone=resnet18"):
        apply_records(config, frozenset())


def test_a_damaged_record_is_named(weights):
    (weights / "converted.json").write_text("{")
    with pytest.raises(UserError, match=r"converted\.json cannot be read"):
        read_record(weights)
    (weights / "converted.json").write_text('{"format": 0}')
    with pytest.raises(UserError, match="another version"):
        read_record(weights)
    assert read_record(weights.parent) is None
