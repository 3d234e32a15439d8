"""The devices of a run, and accelerators that JAX does not see."""

import importlib.util
import os
import platform
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import jax

import medjax
from medjax.errors import UserError

GOOGLE = "0x1ae0"
TPU_DEVICES = frozenset(("0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076"))
"""PCI device numbers of TPUs; Google's network cards have the same vendor and other numbers."""

CUDA_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")


def describe_devices() -> str:
    """Return one line: devices, platform, and the versions that decide results."""
    kinds = Counter(device.device_kind for device in jax.devices())
    devices = ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items()))
    several = f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
    return (
        f"{devices} ({jax.default_backend()}){several};"
        f" medjax {medjax.__version__}, jax {jax.__version__}, flax {version('flax')},"
        f" python {platform.python_version()}"
    )


def missing_accelerator(root: Path = Path("/")) -> str | None:
    """Return a sentence about a GPU or TPU of this machine that JAX does not see, or None.

    `root` is where `dev` and `sys` are looked for.
    """
    if jax.default_backend() != "cpu":
        return None
    found = find_accelerator(root)
    if found is None:
        return None
    chosen = os.environ.get("JAX_PLATFORMS") or os.environ.get("JAX_PLATFORM_NAME")
    if chosen:
        mend = f"unset JAX_PLATFORMS, which is {chosen!r}"
    elif found == "GPU" and os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        mend = "unset CUDA_VISIBLE_DEVICES, which hides it"
    elif found == "GPU" and any(importlib.util.find_spec(name) for name in CUDA_PLUGINS):
        mend = "JAX's CUDA plugin is installed, so check the driver with nvidia-smi"
    else:
        extra = "cuda" if found == "GPU" else "tpu"
        mend = f"install its support with: pip install -e '.[{extra}]'"
    return f"this machine has a {found} but JAX sees only the CPU; {mend}"


def find_accelerator(root: Path = Path("/")) -> str | None:
    """Return "GPU" or "TPU" when the system shows such a device, else None."""
    if any((root / "dev").glob("nvidia[0-9]*")):
        return "GPU"
    if (root / "dev/accel0").exists():
        return "TPU"
    for card in sorted((root / "sys/bus/pci/devices").glob("*")):
        try:
            vendor, device = (
                (card / name).read_text(encoding="ascii").strip() for name in ("vendor", "device")
            )
        except OSError:
            continue
        if vendor == GOOGLE and device in TPU_DEVICES:
            return "TPU"
    return None


def require_accelerator() -> None:
    """Raise UserError when JAX runs on the CPU, saying why it does."""
    if jax.default_backend() == "cpu":
        reason = missing_accelerator() or "this machine shows no GPU or TPU"
        raise UserError(f"config.require_accelerator is set: {reason}")
