"""Configs as values: names, JSON and back, differences, digests."""

import json

import pytest
from ml_collections import ConfigDict, config_dict

from medjax.errors import UsageError
from medjax.run.config import (
    check_values,
    differences,
    flatten,
    from_json,
    overrides_hash,
    to_json,
)


def config() -> ConfigDict:
    return ConfigDict(
        {
            "b": {"y": (1, (2.5, "t")), "x": config_dict.placeholder(int)},
            "a": True,
            "c": 1e-4,
        }
    )


def test_flat_names():
    assert flatten(config()) == {"a": True, "b.x": None, "b.y": (1, (2.5, "t")), "c": 1e-4}


def test_json_and_back_keeps_every_value():
    stored = json.loads(json.dumps(to_json(config())))
    back = from_json(stored)
    assert flatten(back) == flatten(config())
    assert back.is_locked
    assert differences(config(), back) == []


def test_differences_name_the_field_and_both_values():
    other = config()
    other.c = 2e-4
    other.d = "new"
    del other.a
    found = differences(config(), other)
    assert [tuple(d) for d in found] == [
        ("a", True, "absent"),
        ("c", 1e-4, 2e-4),
        ("d", "absent", "new"),
    ]
    assert str(found[1]) == "c 0.0001 -> 0.0002"


def test_values_that_are_no_json_are_refused():
    for value in ([1], float, object(), ({},)):
        with pytest.raises(UsageError, match=r"config.inner.field is of type"):
            check_values(ConfigDict({"inner": {"field": value}}))


def test_the_hash_depends_on_names_and_values_alone():
    assert overrides_hash({"a": 1, "b": 2}) == overrides_hash({"b": 2, "a": 1})
    others = ({"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"}, {"a": (1,)}, {"a": 1, "b": 1})
    assert len({overrides_hash(other) for other in others}) == len(others)
