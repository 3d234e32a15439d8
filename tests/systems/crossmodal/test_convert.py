"""Keras files of the original become folders that a stage starts from, and go back."""

import json
from pathlib import Path

import numpy as np
import pytest

from medjax import convert
from medjax.run.converted import read_record
from medjax.run.init_from import Place, find_source, read_variables
from medjax.systems.crossmodal.names import to_variables
from medjax.weights.files import read_weights
from medjax.weights.keras import write_h5
from tests.parity.harness import Case

CASES = Path(__file__).parents[2] / "parity" / "cases" / "crossmodal"


def keras_file(path: Path, case: str, part: str) -> dict[str, np.ndarray]:
    """Write the weights of a case that stand in a file of the original; return them all."""
    found = Case(CASES / case)
    entries = {e["name"]: e for e in found.record["weights"]}
    chosen = {n: x for n, x in found.weights.items() if part in ("", entries[n]["h5_file"][:7])}
    write_h5(
        path,
        {f"{entries[n]['keras_layer']}/{entries[n]['keras_weight']}": x for n, x in chosen.items()},
    )
    return chosen


@pytest.mark.parametrize(
    ("case", "part"),
    [
        ("ecg_ae_small_deep", "encoder"),
        ("mri_ae_small_tanh_gelu", "decoder"),
        ("mri_ae_small_tanh_gelu", ""),
        ("paired_small", ""),
    ],
)
def test_there_and_back_is_the_same(tmp_path, case: str, part: str) -> None:
    weights = keras_file(tmp_path / "a.h5", case, part)
    folder = tmp_path / "ours"
    assert convert.main(["crossmodal", f"--from={tmp_path / 'a.h5'}", f"--to={folder}"]) == 0
    found = read_variables(find_source(str(folder), Place(Path(), (), "")))
    modality = "mri" if case.startswith("mri") else "ecg"
    expected = to_variables(weights, modality)["params"]
    assert set(found["params"]) == set(expected)
    for name, module in expected.items():
        np.testing.assert_equal(found["params"][name], module)
    record = json.loads(json.dumps(read_record(folder)))
    gelu = record["fields"]["model"][f"model.{modality}.gelu_approximate"]
    assert gelu and record["fields"]["data"]["mri_anchor"] == "top_left"
    back = tmp_path / "b.h5"
    assert convert.main(["crossmodal", f"--from={folder}", f"--to={back}", "--back"]) == 0
    again = tmp_path / "again"
    assert convert.main(["crossmodal", f"--from={back}", f"--to={again}"]) == 0
    twice = read_variables(find_source(str(again), Place(Path(), (), "")))
    np.testing.assert_equal(twice, found)
    if not part and case == "paired_small":
        assert set(read_weights(back).tensors) == set(read_weights(tmp_path / "a.h5").tensors)


def test_a_file_of_another_network_is_refused(tmp_path, capsys) -> None:
    write_h5(tmp_path / "a.h5", {"dense/kernel": np.zeros((2, 3), np.float32)})
    code = convert.main(["crossmodal", f"--from={tmp_path / 'a.h5'}", f"--to={tmp_path / 'b'}"])
    assert code == 1 and "no single encoder" in capsys.readouterr().err
