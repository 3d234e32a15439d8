"""The risk stage from raw files to numbers: where there is nothing to learn, nothing is found."""

import json

import pytest

from medjax.main import main
from tests.conftest import CONFIGS

CONFIG = next(path for path in CONFIGS if path.stem == "ecg_attention")


@pytest.mark.slow
def test_noise_with_random_outcomes_gives_a_c_index_of_one_half(tmp_path):
    """A leak from the test fold, or of the outcome into the input, would show here."""
    options = {
        "data.demo.subjects": 300,
        "risk.train.epochs": 3,
        "evaluation.resamples": 500,
    }
    words = f"--config={CONFIG}:smoke,dummy"
    fields = [f"--config.{name}={value}" for name, value in options.items()]
    assert main([words, f"--workdir={tmp_path / 'run'}", *fields]) == 0
    test = json.loads((tmp_path / "run" / "results.json").read_text())["risk"]["test"]
    assert test["c_index"]["n"] == 150
    assert test["c_index"]["low"] < 0.5 < test["c_index"]["high"]
    assert 0.4 < test["c_index"]["value"] < 0.6
