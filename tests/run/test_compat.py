from ml_collections import ConfigDict

from medjax.run.compat import set_unless_named


def test_named_fields_are_left_alone_and_told():
    config = ConfigDict({"mode": 1, "a": {"b": {"c": 2, "d": 3}}})
    left = set_unless_named(config, {"mode": 10, "a.b.c": 20, "a.b.d": 30}, frozenset({"a.b.c"}))
    assert left == ["a.b.c"]
    assert config.to_dict() == {"mode": 10, "a": {"b": {"c": 2, "d": 30}}}
