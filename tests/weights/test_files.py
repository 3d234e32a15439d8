"""Weights as PyTorch wrote them, read without it; what is written reads again, there and here."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from medjax.errors import UsageError, UserError
from medjax.weights.files import read_weights, write_weights

RECORDED = Path(__file__).parent / "recorded"
"""Written by PyTorch 2.13 in its zip format and in the one before 1.6: one checkpoint with an
optimiser, hyper-parameters, a numpy scalar and tensors of many types and views."""

MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3)
EXPECTED = {
    "encoder.weight": MATRIX,
    "encoder.bias": np.array([0.5, -1, 2], np.float32),
    "half": np.array([1, 2.5], np.float16),
    "brain": np.array([1, -3], ml_dtypes.bfloat16),
    "double": np.array([0.1]),
    "count": np.array(7),
    "bytes": np.arange(4, dtype=np.uint8),
    "flags": np.array([True, False]),
    "transposed": MATRIX.T,
    "empty": np.zeros((0, 3), np.float32),
    "shared": MATRIX[1],
}
EXTRA = {"epoch": 3, "score": 0.5, "big": 2**70, "note": "é", "none": None, "done": True}


def assert_same(found, expected) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("name", ["zip.pth.tar", "legacy.pth.tar"])
def test_what_pytorch_wrote_is_read(name):
    weights = read_weights(RECORDED / name)
    assert_same(weights.tensors, EXPECTED)
    assert weights.container == "state_dict"
    assert weights.extra == {"epoch": 3}
    assert not weights.ignored


@pytest.mark.parametrize("suffix", [".pth.tar", ".pth", ".pt", ".ckpt", ".bin"])
def test_pytorch_files_come_back_as_written(tmp_path, suffix):
    write_weights(tmp_path / f"w{suffix}", EXPECTED, EXTRA, "model")
    weights = read_weights(tmp_path / f"w{suffix}")
    assert_same(weights.tensors, EXPECTED)
    assert (weights.container, weights.extra) == ("model", EXTRA)


def test_safetensors_come_back_as_written(tmp_path):
    write_weights(tmp_path / "w.safetensors", EXPECTED, {"epoch": 3, "note": "é"})
    weights = read_weights(tmp_path / "w.safetensors")
    assert_same({name: weights.tensors[name] for name in EXPECTED}, EXPECTED)
    assert weights.extra == {"epoch": "3", "note": "é"}


def test_equal_weights_give_equal_bytes(tmp_path):
    for name in ("one.pth", "two.pth"):
        write_weights(tmp_path / name, EXPECTED)
    assert (tmp_path / "one.pth").read_bytes() == (tmp_path / "two.pth").read_bytes()


def test_a_wrong_suffix_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UsageError, match=r"\.safetensor.*did you mean '\.safetensors'"):
        write_weights(tmp_path / "w.safetensor", EXPECTED)
    assert not list(tmp_path.iterdir())
    write_weights(tmp_path / "w.pth", EXPECTED)
    (tmp_path / "w.pth").rename(tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"w\.safetensors: it is a PyTorch file: name it \.pth"):
        read_weights(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "pointer of Git LFS"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"hello", "neither a PyTorch file nor safetensors"),
        (b"\x89HDF\r\n\x1a\n", "not a readable HD5 file"),
    ],
)
def test_what_is_no_file_of_weights_is_named(tmp_path, content, sentence):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        read_weights(tmp_path / "w.pth")
