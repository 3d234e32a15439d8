"""Text of the command line becomes a value of the field's type, or one sentence."""

import pytest
from ml_collections import ConfigDict, config_dict

from medjax.errors import UsageError
from medjax.run.overrides import Override, apply_overrides, parse_value


def config() -> ConfigDict:
    return ConfigDict(
        {
            "steps": 10,
            "name": "a",
            "verbose": False,
            "dir": config_dict.placeholder(str),
            "limit": config_dict.placeholder(int),
            "encoder": {"optimizer": {"learning_rate": 0.1}, "layers": (1, 2)},
            "fused": {"optimizer": {"learning_rate": 0.2}},
        }
    ).lock()


OPTIONAL = frozenset(("dir", "limit"))


def changed(*overrides: Override) -> dict:
    return apply_overrides(config(), overrides, OPTIONAL)


@pytest.mark.parametrize(
    ("text", "kind", "current", "value"),
    [
        ("3", int, 1, 3),
        ("-3", int, 1, -3),
        ("1e-4", float, 1.0, 1e-4),
        ("3", float, 1.0, 3.0),
        ("True", bool, False, True),
        ("no", bool, True, False),
        ("1", str, "", "1"),
        ("a,b", str, "", "a,b"),
        ("1,2", tuple, (5,), (1, 2)),
        ("(1, 2)", tuple, (5,), (1, 2)),
        ("[1,2,]", tuple, (5,), (1, 2)),
        ("3", tuple, (5,), (3,)),
        ("", tuple, (5,), ()),
        ("()", tuple, (5,), ()),
        ("1,2.5", tuple, (0.5,), (1.0, 2.5)),
        ("a,b", tuple, ("x",), ("a", "b")),
        ("(a, b)", tuple, ("x",), ("a", "b")),
        ("('a', 'b,c')", tuple, ("x",), ("a", "b,c")),
        ("1e3,01", tuple, ("x",), ("1e3", "01")),
        ("1,a", tuple, (), (1, "a")),
        ("(('a','b'),('c','d'))", tuple, (("x", "y"),), (("a", "b"), ("c", "d"))),
        ("('a','b')", tuple, (("x", "y"),), (("a", "b"),)),
        ("runs/a", object, None, "runs/a"),
        ("(('a','b'),)", object, None, (("a", "b"),)),
        ("['a']", object, None, ("a",)),
        ("3", object, None, 3),
    ],
)
def test_values_take_the_type_of_their_field(text, kind, current, value):
    parsed = parse_value(text, kind, current)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "kind", "current"),
    [
        ("x", int, 1),
        ("1.5", int, 1),
        ("", int, 1),
        ("nan", float, 1.0),
        ("inf", float, 1.0),
        ("maybe", bool, True),
        ("1,x", tuple, (1,)),
        ("1,,2", tuple, (1,)),
        ("1.5", tuple, (1,)),
        ("__import__('os').getcwd()", tuple, (1,)),
    ],
)
def test_values_of_another_type_are_refused(text, kind, current):
    with pytest.raises(ValueError):
        parse_value(text, kind, current)


def test_text_is_never_executed(tmp_path):
    canary = tmp_path / "canary"
    text = f"__import__('pathlib').Path({str(canary)!r}).touch()"
    for kind in (tuple, object):
        parse_value(text, kind, ())
    assert not canary.exists()


def test_booleans_as_absl_has_them():
    assert changed(Override("verbose", None, "bare")) == {"verbose": True}
    assert changed(Override("verbose", "true")) == {"verbose": True}
    assert changed(Override("verbose", None, "no")) == {}
    with pytest.raises(UsageError, match=r"stray argument 'true'; write --config.verbose=true"):
        changed(Override("verbose", "true", "space"))
    with pytest.raises(UsageError, match=r"--noconfig.steps: the field is not true or false"):
        changed(Override("steps", None, "no"))


def test_none_only_where_a_field_starts_as_none():
    assert changed(Override("limit", "5")) == {"limit": 5}
    assert changed(Override("limit", "None")) == {}
    with pytest.raises(UsageError, match=r"config.steps expects a whole number"):
        changed(Override("steps", "None"))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (Override("steps", "x"), r"--config.steps expects a whole number \(now 10\), got 'x'"),
        (Override("steps", None, "bare"), "--config.steps needs a value"),
        (Override("stpes", "1"), "unknown field config.stpes; did you mean --config.steps"),
        (Override("fuse.learning_rate", "1"), "mean --config.fused.optimizer.learning_rate"),
        (Override("encoder.optimzer.learning_rate", "1"), "mean --config.encoder.optimizer.learn"),
        (Override("qqqqqqqq", "1"), "unknown field config.qqqqqqqq; --help lists"),
        (Override("steps.more", "1"), "unknown field config.steps.more; did you mean --config.st"),
        (
            Override("encoder.optimizer", "1"),
            "is a group of fields: .*--config.encoder.optimizer.l",
        ),
        (Override("", "1"), "unknown field config."),
    ],
)
def test_wrong_fields_are_one_sentence(override, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        changed(override)
    assert "\n" not in str(caught.value)


def test_a_repeated_field_is_refused():
    with pytest.raises(UsageError, match=r"--config.steps is given twice"):
        changed(Override("steps", "1"), Override("steps", "2"))
