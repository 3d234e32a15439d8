"""A mistake at the command line is told at once: configs are read without JAX."""

import subprocess
import sys
from pathlib import Path

import pytest

from medjax.nn import known
from medjax.nn.activations import KERAS
from medjax.systems.crossmodal import choices as crossmodal
from medjax.systems.crossmodal.loss import ERRORS
from medjax.systems.medst import choices as medst
from medjax.systems.medst.networks.of_stage import METHODS

ROOT = Path(__file__).parents[2]
READS = """
import importlib, sys
from medjax.run.words import list_configs, load, open_recipe
systems = sys.argv[1:]
for name in systems:
    importlib.import_module(f"medjax.systems.{name}.choices")
    assert "jax" not in sys.modules, f"the choices of {name} import JAX"
for path in list_configs():
    load(open_recipe(path), ("smoke",))
    assert "jax" not in sys.modules, f"{path} imports JAX"
print(len(systems))
"""


@pytest.fixture(scope="module")
def systems() -> list[str]:
    folders = sorted((ROOT / "medjax" / "systems").glob("*/choices.py"))
    return [path.parent.name for path in folders]


def test_configs_and_choices_are_read_without_jax(systems) -> None:
    command = [sys.executable, "-c", READS, *systems]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(systems) >= 5


def test_names_are_those_of_what_they_name() -> None:
    assert tuple(KERAS) == known.KERAS_ACTIVATIONS
    assert tuple(ERRORS) == crossmodal.LOSSES
    assert tuple(METHODS) == medst.METHODS
