"""The line about devices, and accelerators that JAX does not see."""

import jax
import pytest

import medjax
from medjax.errors import UserError
from medjax.run import devices

on_cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="JAX sees an accelerator")


@pytest.fixture
def no_choice(monkeypatch):
    for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(devices, "CUDA_PLUGINS", ())


def add_card(root, vendor, device):
    card = root / "sys/bus/pci/devices" / f"{vendor}:{device}"
    card.mkdir(parents=True)
    (card / "vendor").write_text(f"{vendor}\n")
    (card / "device").write_text(f"{device}\n")


def test_the_line_names_devices_and_versions():
    line = devices.describe_devices()
    assert "\n" not in line
    for part in (jax.devices()[0].device_kind, medjax.__version__, f"jax {jax.__version__}"):
        assert part in line
    assert f"{len(jax.devices())} x " in line


def test_accelerators_are_found_by_their_device_files(tmp_path):
    assert devices.find_accelerator(tmp_path) is None
    add_card(tmp_path, "0x1ae0", "0x0042")  # a network card of Google's machines
    add_card(tmp_path, "0x8086", "0x0062")
    assert devices.find_accelerator(tmp_path) is None
    add_card(tmp_path, "0x1ae0", "0x0062")
    assert devices.find_accelerator(tmp_path) == "TPU"
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    assert devices.find_accelerator(tmp_path) == "GPU"


@on_cpu
def test_an_idle_accelerator_is_one_sentence_with_the_mend(tmp_path, no_choice, monkeypatch):
    assert devices.missing_accelerator(tmp_path) is None
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/accel0").touch()
    sentence = devices.missing_accelerator(tmp_path)
    assert "has a TPU" in sentence and "pip install -e '.[tpu]'" in sentence
    (tmp_path / "dev/nvidia3").touch()
    assert "pip install -e '.[cuda]'" in devices.missing_accelerator(tmp_path)
    monkeypatch.setattr(devices, "CUDA_PLUGINS", ("jax",))
    assert "nvidia-smi" in devices.missing_accelerator(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "unset CUDA_VISIBLE_DEVICES" in devices.missing_accelerator(tmp_path)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert "unset JAX_PLATFORMS" in devices.missing_accelerator(tmp_path)


@on_cpu
def test_a_required_accelerator_that_is_missing():
    with pytest.raises(UserError, match=r"config.require_accelerator is set: this machine"):
        devices.require_accelerator()
