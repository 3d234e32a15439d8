"""Keras files: what they hold, what is refused."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

from medjax.weights.errors import MalformedError
from medjax.weights.keras import find_coordinate_mask, read_keras, write_h5

ARRAYS = {
    "conv1d/kernel": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
    "conv1d/bias": np.ones(3, np.float32),
    "layer_normalization_4/gamma": np.zeros(2, np.float32),
}


def test_what_is_written_is_read_alone_and_inside_a_model(tmp_path) -> None:
    write_h5(tmp_path / "a.h5", ARRAYS)
    found, config, _ = read_keras(tmp_path / "a.h5")
    assert config is None and set(found) == set(ARRAYS)
    with h5py.File(tmp_path / "a.h5") as source, h5py.File(tmp_path / "b.h5", "w") as whole:
        for layer in source:
            source.copy(layer, whole.require_group("model_weights"))
        whole.attrs["model_config"] = '{"class_name": "Functional"}'
    again, config, _ = read_keras(tmp_path / "b.h5")
    assert config == {"class_name": "Functional"}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        np.testing.assert_array_equal(again[name], array)


def test_texts_beside_the_weights_come_back_without_those_of_keras(tmp_path) -> None:
    write_h5(tmp_path / "a.h5", ARRAYS, {"medjax": "ours"})
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs["keras_version"] = "2.9.0"
    assert read_keras(tmp_path / "a.h5").texts == {"medjax": "ours"}


def test_numbered_layers_of_keras_3_get_their_names(tmp_path) -> None:
    layers = [("InputLayer", "x"), ("Conv1D", "conv1d"), ("LayerNormalization", "norm_7")]
    config = {"config": {"layers": [{"class_name": k, "name": n} for k, n in layers]}}
    with io.BytesIO() as content:
        with h5py.File(content, "w") as file:
            file["layers/conv1d/vars/0"] = ARRAYS["conv1d/kernel"]
            file["layers/conv1d/vars/1"] = ARRAYS["conv1d/bias"]
            file["layers/layer_normalization/vars/0"] = np.ones(2, np.float32)
        data = content.getvalue()
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", data)
    found, _, _ = read_keras(tmp_path / "a.keras")
    assert list(found) == ["conv1d/kernel", "conv1d/bias", "norm_7/gamma"]


def test_links_to_elsewhere_and_damage_are_refused(tmp_path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["conv1d"] = h5py.ExternalLink("other.h5", "/")
    (tmp_path / "b.h5").write_bytes(b"\x89HDF\r\n" + bytes(40))
    for name in ("a.h5", "b.h5"):
        with pytest.raises(MalformedError):
            read_keras(tmp_path / name)


def test_the_mask_of_a_gather_layer() -> None:
    nodes = [["merge", 0, 0, {"indices": [[1, 0], [0, 1], [1, 2]]}]]
    config = {"config": {"layers": [{"name": "tf.gather_nd", "inbound_nodes": nodes}]}}
    assert find_coordinate_mask(config, 3) == [1, 0, 1]
    assert find_coordinate_mask(config, 4) is None
