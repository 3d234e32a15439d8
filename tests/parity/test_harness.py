"""The harness fails where it must."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.parity import harness
from tests.parity.harness import Case, ParityError, Registered, difference, named_tensor, tolerance

EXACT = {"rtol": 0.0, "atol": 0.0}


def test_named_tensor_is_the_published_draw() -> None:
    assert named_tensor("bn.weight", (2,), "around1", 0.05).tolist() == [
        np.float32(1) + x for x in named_tensor("bn.weight", (2,), "normal", 0.05)
    ]
    first, second = (named_tensor(name, (3,), "normal", 1.0) for name in ("a", "b"))
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(first, named_tensor("a", (3,), "normal", 1.0))
    with pytest.raises(ParityError):
        named_tensor("a", (3,), "uniform", 1.0)


def test_longest_prefix_wins_and_note_is_text() -> None:
    wide, narrow = {"rtol": 1.0, "atol": 0.0}, {"rtol": 0.1, "atol": 0.0}
    record = {"rtol": 0, "atol": 0, "tolerances": {"p": wide, "param": narrow, "note": "text"}}
    assert tolerance(record, "param:x") == narrow
    assert tolerance(record, "pair") == wide
    assert tolerance(record, "note") == EXACT


@pytest.mark.parametrize(
    ("ours", "reference", "limits", "equal"),
    [
        ([1.0, 2.0], [1.0, 2.2], {"rtol": 0.1, "atol": 0.0}, True),
        ([1.0, 2.0], [1.0, 2.3], {"rtol": 0.1, "atol": 0.0}, False),
        ([np.nan, 1.0], [np.nan, 1.0], EXACT, True),
        ([1.0, np.nan], [np.nan, 1.0], EXACT, False),
        ([1, 2], [1, 3], {"rtol": 1.0, "atol": 9.0}, False),
        (["a"], ["b"], {"rtol": 1.0, "atol": 9.0}, False),
        ([1.0], [[1.0]], EXACT, False),
        ([1.0, 5.0], [1.1, 5.0], {"rtol": 0.0, "atol": 1.0, "first_loss_rtol": 0.01}, False),
    ],
)
def test_difference(ours, reference, limits, equal) -> None:
    assert (difference(np.array(ours), np.array(reference), limits) == "") is equal


def make_case(folder: Path, config: dict) -> Case:
    folder.mkdir(parents=True)
    record = {"system": "toy", "kind": "double", "config": config, "rtol": 0, "atol": 0}
    record["weights"] = [{"name": "w", "shape": [2], "kind": "ones"}]
    (folder / "case.json").write_text(json.dumps(record))
    np.savez(folder / "inputs.npz", x=np.arange(2.0))
    np.savez(folder / "outputs.npz", y=np.arange(2.0) * 2, z=np.ones(2))
    return Case(folder)


@pytest.mark.parametrize(
    ("config", "outputs", "message"),
    [
        ({"a": 1}, {"y": np.arange(2.0) * 2, "z": np.ones(2)}, None),
        ({"a": 1, "b": 2}, {}, "options unknown to the handler: b"),
        ({}, {"y": np.arange(2.0) * 2}, "z: missing"),
        ({}, {"y": np.arange(2.0), "z": np.ones(2)}, "y: max difference"),
    ],
)
def test_check(tmp_path, monkeypatch, config, outputs, message) -> None:
    case = make_case(tmp_path / "toy" / "one", config)
    with pytest.raises(ParityError, match="no handler"):
        harness.check(case)
    registered = Registered(lambda case: outputs, frozenset({"a"}), frozenset())
    monkeypatch.setitem(harness._registry, ("toy", "double"), registered)
    if message is None:
        harness.check(case)
    else:
        with pytest.raises(ParityError, match=message):
            harness.check(case)
