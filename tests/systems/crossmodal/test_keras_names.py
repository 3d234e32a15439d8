"""Layer names of Keras files, numbered from anywhere, lead to the right layers."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from medjax.errors import UserError
from medjax.systems.crossmodal.keras_names import canonical

CASES = Path(__file__).parents[2] / "parity" / "cases" / "crossmodal"


def entries(case: str) -> list[dict]:
    return json.loads((CASES / case / "case.json").read_text())["weights"]


def array(entry: dict) -> np.ndarray:
    return np.zeros(entry["shape"], np.float32)


def marker(entry: dict) -> int:
    """A number that tells the tensor."""
    return zlib.crc32(entry["name"].encode()) % 997


def shifted(layer: str, by: int) -> str:
    """The name that the layer has where Keras had numbered `by` layers of its class before."""
    stem, _, number = layer.rpartition("_")
    if layer.split("_")[0] in ("embed", "output"):
        return layer
    return f"{stem}_{int(number) + by}" if number.isdigit() else f"{layer}_{by}"


@pytest.mark.parametrize("by", [0, 7])
@pytest.mark.parametrize("case", ["ecg_ae_small_deep", "mri_ae_small_tanh_gelu"])
@pytest.mark.parametrize("part", ["encoder", "decoder", "whole"])
def test_files_of_one_modality(case: str, part: str, by: int) -> None:
    chosen = [e for e in entries(case) if part in ("whole", e["name"].split(".")[0])]
    tensors = {}
    for entry in chosen:
        layer = shifted(entry["keras_layer"], by) if by else entry["keras_layer"]
        tensors[f"{layer}/{entry['keras_weight']}"] = array(entry) + marker(entry)
    found = canonical(dict(sorted(tensors.items())))
    assert set(found) == {entry["name"] for entry in chosen}
    for entry in chosen:
        assert found[entry["name"]].shape == tuple(entry["shape"])
        assert found[entry["name"]].flat[0] == marker(entry)


def test_a_paired_file_with_its_temperature() -> None:
    chosen = entries("paired_small")
    tensors = {f"{e['keras_layer']}/{e['keras_weight']}": array(e) for e in chosen}
    assert set(canonical(tensors)) == {entry["name"] for entry in chosen}


def test_another_network_is_refused() -> None:
    with pytest.raises(UserError, match="no single encoder"):
        canonical({"dense/kernel": np.zeros((2, 3), np.float32)})
    chosen = [e for e in entries("ecg_ae_small_deep") if e["name"].startswith("encoder")]
    tensors = {f"{e['keras_layer']}/{e['keras_weight']}": array(e) for e in chosen}
    del tensors["layer_normalization_3/gamma"], tensors["layer_normalization_3/beta"]
    with pytest.raises(UserError, match="normalisations"):
        canonical(tensors)
