"""A checkpoint of published names and sizes: converted, evaluated on films, written back."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medjax.convert import main as convert
from medjax.main import main
from medjax.weights.files import read_weights, write_weights
from tests.parity.harness import find_cases

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "configs" / "medklip.py"
VECTORS = ("--config.text.encoder=random", "--config.text.dim=768")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """The file that the original's training writes, with the weights of a recorded case."""
    (case,) = (
        case
        for case in find_cases(ROOT / "tests/parity/cases", "medklip")
        if case.folder.name == "forward_eval"
    )
    file = tmp_path_factory.mktemp("original") / "checkpoint_final.pth"
    wrapped = {f"module.{name}": array for name, array in case.weights.items()}
    write_weights(file, wrapped, {"epoch": 40}, "model")
    return file


@pytest.mark.slow
def test_a_published_checkpoint_reads_films_and_comes_back(
    checkpoint, finish_smoke, tmp_path, capsys
) -> None:
    ours, back, run = tmp_path / "ours", tmp_path / "back.pth", tmp_path / "run"
    assert convert(["medklip", f"--from={checkpoint}", f"--to={ours}"]) == 0
    argv = [f"--config={CONFIG}:smoke", "--mode=evaluate"]
    argv += [f"--config.data.dir={finish_smoke(CONFIG) / 'demo' / 'prepared' / 'films'}"]
    argv += [f"--config.{stage}.init_from={ours}" for stage in ("zero_shot", "grounding")]
    assert main([*argv, f"--workdir={tmp_path / 'narrow'}"]) == 1
    assert "read texts of 768 numbers, and TF-IDF and SVD gives 64" in capsys.readouterr().err
    asked = ["--config.zero_shot.disease=COVID", "--config.zero_shot.description=a viral pneumonia"]
    assert main([*argv, *VECTORS, *asked, f"--workdir={run}"]) == 0
    config = json.loads((run / "config.json").read_text())
    assert config["zero_shot"]["model"]["backbone"] == "resnet50"
    assert config["grounding"]["text"]["position_prompt"] == "underscores"
    results = json.loads((run / "results.json").read_text())
    assert 0 <= results["zero_shot"]["test"]["auroc/Effusion"]["value"] <= 1
    assert 0 <= results["grounding"]["test"]["pointing/Effusion"]["value"] <= 1
    told = pd.read_parquet(run / "zero_shot" / "predictions-test.parquet")
    assert told["score/Effusion"].nunique() == len(told) and "score/COVID" in told
    assert convert(["medklip", "--back", f"--from={ours}", f"--to={back}"]) == 0
    first, again = read_weights(checkpoint), read_weights(back)
    assert list(again.tensors) == list(first.tensors) and again.container == "model"
    for name, array in first.tensors.items():
        assert again.tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(again.tensors[name], array, err_msg=name)
