"""PyTorch itself reads what we write, and we what it writes; skipped where it is not installed."""

import numpy as np
import pytest

from medjax.errors import UserError
from medjax.weights.files import read_weights, write_weights
from tests.weights.test_files import EXPECTED, EXTRA, assert_same

pytestmark = pytest.mark.slow


@pytest.fixture
def torch():
    """PyTorch, imported only when a slow test runs."""
    return pytest.importorskip("torch")


def test_pytorch_reads_what_we_write(torch, tmp_path):
    write_weights(tmp_path / "w.pth", EXPECTED, EXTRA, "state_dict")
    content = torch.load(tmp_path / "w.pth", weights_only=True, mmap=True)
    state = content.pop("state_dict")
    assert content == EXTRA
    for name, value in EXPECTED.items():
        assert str(state[name].dtype) == f"torch.{value.dtype.name}"
        np.testing.assert_array_equal(state[name].double().numpy(), value.astype(np.float64))


@pytest.mark.parametrize("legacy", [False, True])
def test_we_read_what_pytorch_writes(torch, tmp_path, legacy):
    state = {
        "strided": torch.arange(24.0).reshape(2, 3, 4)[:, 1:, ::2],
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "buffer": torch.nn.Buffer(torch.arange(5)),
        "none": torch.randn(0),
    }
    path = tmp_path / "w.pt"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    found = read_weights(path).tensors
    assert_same(found, {name: value.numpy() for name, value in state.items()})


def test_weights_are_found_under_any_single_key(torch, tmp_path):
    two = {"teacher": {"w": torch.ones(1)}, "student": {"w": torch.zeros(1)}}
    torch.save({"student": two["student"], "lr": 0.1}, tmp_path / "one.pt")
    weights = read_weights(tmp_path / "one.pt")
    assert (weights.container, weights.extra) == ("student", {"lr": 0.1})
    torch.save(two, tmp_path / "two.pt")
    with pytest.raises(UserError, match=r"several sets of weights \(student, teacher\)"):
        read_weights(tmp_path / "two.pt")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "whole.pt")
    with pytest.raises(UserError, match=r"whole object \(torch\.nn\.modules\.linear\.Linear\)"):
        read_weights(tmp_path / "whole.pt")
