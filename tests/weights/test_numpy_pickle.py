"""Pickles of arrays: every protocol is read, ours is read by `pickle`, and nothing is run."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from medjax.errors import UserError
from medjax.weights.numpy_pickle import read_arrays, write_arrays

ARRAYS = {
    3: np.arange(6, dtype=np.float32),
    17: np.arange(6, dtype=np.float64).reshape(2, 3) / 3,
    np.int64(5): np.asfortranarray(np.arange(6).reshape(2, 3)),
    "text": np.arange(3, dtype=">f4"),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_is_read(tmp_path, protocol):
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps({**ARRAYS, "listed": [ARRAYS[3], "more"]}, protocol))
    found = read_arrays(path)
    assert list(found) == [*ARRAYS, "listed"] and all(type(k) in (int, str) for k in found)
    for key, array in {**ARRAYS, "listed": ARRAYS[3]}.items():
        np.testing.assert_array_equal(found[key], array)


def test_names_of_both_generations_of_numpy_are_read(tmp_path):
    path = tmp_path / "file.pkl"
    content = pickle.dumps({1: ARRAYS[3]}, 3)
    old, new = b"numpy.core.multiarray", b"numpy._core.multiarray"
    for text in (content.replace(new, old), content.replace(old, new)):
        path.write_bytes(text)
        np.testing.assert_array_equal(read_arrays(path)[1], ARRAYS[3])


def test_ours_is_read_by_pickle_and_by_us(tmp_path):
    path = tmp_path / "file.pkl"
    arrays = {-1: ARRAYS[3], 2**30: ARRAYS[3] + 1, "é": np.zeros((2, 0), np.float32)}
    write_arrays(path, arrays)
    theirs = pickle.loads(path.read_bytes())  # noqa: S301
    for found in (theirs, read_arrays(path)):
        assert list(found) == list(arrays)
        for key, array in arrays.items():
            assert found[key].dtype == np.float32
            np.testing.assert_array_equal(found[key], array)


class Evil:
    """Runs something when a pickle of it is loaded."""

    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return Path.touch, (self.flag,)


class Alien:
    pass


@pytest.mark.parametrize(
    "value, message",
    [
        ([1], "no dictionary of arrays"),
        ({}, "no dictionary of arrays"),
        ({1: 2.0}, "no NumPy array"),
        ({1: []}, "no NumPy array"),
        ({1: Alien()}, "no NumPy array"),
        ({1: np.array(["a"])}, "not of numbers"),
        ({1: np.array([None])}, "not of numbers"),
    ],
)
def test_what_is_no_dictionary_of_arrays_is_refused(tmp_path, value, message):
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(UserError, match=message):
        read_arrays(path)


def test_nothing_is_run(tmp_path):
    flag, path = tmp_path / "flag", tmp_path / "file.pkl"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps({1: Evil(flag)}, protocol))
        with pytest.raises(UserError):
            read_arrays(path)
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(flag).encode() + b"'\ntR.")
    with pytest.raises(UserError, match="asks to call 'os.system'"):
        read_arrays(path)
    assert not flag.exists()


def test_damaged_files_are_refused_in_one_sentence(tmp_path):
    path, rng = tmp_path / "file.pkl", np.random.default_rng(0)
    for protocol in (0, 2, 5):
        whole = pickle.dumps({1: ARRAYS[3], 2: ARRAYS[17]}, protocol)
        for _ in range(150):
            broken = bytearray(whole[: rng.integers(1, len(whole) + 1)])
            broken[rng.integers(len(broken))] = rng.integers(256)
            path.write_bytes(broken)
            try:
                read_arrays(path)
            except UserError as error:
                assert str(error).startswith(str(path))
    with pytest.raises(UserError, match="no such file"):
        read_arrays(tmp_path / "absent.pkl")
