"""Runs of MedKLIP: a described disease, another run's weights, PyTorch and back, fine-tuning."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medjax.convert import main as convert
from medjax.main import main

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "configs" / "medklip.py"


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def test_promised_files_hold_the_same_numbers(finish_smoke) -> None:
    run = finish_smoke(CONFIG)
    told = json.loads((run / "metrics.json").read_text())
    auroc = results(run)["zero_shot"]["test"]["auroc/Effusion"]
    assert told["entities"]["Effusion"]["auroc"] == auroc
    assert told["roc"]["Effusion"]["tpr"][-1] == 1 and told["trend"]["train/loss"]["value"]
    assert results(run)["pretrain"]["test"]["text"]["reason"] == "TF-IDF and SVD"
    assert (run / "plots" / "zero_shot-test-auc_per_entity.png").is_file()
    assert list((run / "grounding" / "pages").glob("test-attention-*.png"))


def test_a_disease_is_described_to_weights_of_another_run(finish_smoke, tmp_path) -> None:
    """The books travel with the weights; the description folds into their table."""
    run = finish_smoke(CONFIG)
    prepared = run / "demo" / "prepared"
    argv = [f"--config={CONFIG}:smoke", "--config.stages=zero_shot"]
    argv += [f"--config.zero_shot.init_from={run / 'pretrain'}"]
    argv += [f"--config.data.dir={prepared / 'films'}"]  # no triplets, another table
    plain, asked = tmp_path / "plain", tmp_path / "asked"
    assert main([*argv, f"--workdir={plain}"]) == 0
    disease = ["--config.zero_shot.disease=Pneumonia"]
    disease += ["--config.zero_shot.description=consolidation of a lobe"]
    assert main([*argv, *disease, f"--workdir={asked}"]) == 0
    ours = pd.read_parquet(run / "zero_shot" / "predictions-test.parquet")
    again, described = (
        pd.read_parquet(folder / "zero_shot" / "predictions-test.parquet")
        for folder in (plain, asked)
    )
    np.testing.assert_allclose(again["score/Effusion"], ours["score/Effusion"], rtol=1e-4)
    difference = np.abs(described["score/Pneumonia"] - again["score/Pneumonia"])
    assert difference.max() > 1e-6


@pytest.mark.slow
def test_a_trained_run_goes_to_pytorch_and_back_with_its_results(finish_smoke, tmp_path) -> None:
    run = finish_smoke(CONFIG)
    file, ours = tmp_path / "pretrain.pth", tmp_path / "ours"
    assert convert(["medklip", "--back", f"--from={run / 'pretrain'}", f"--to={file}"]) == 0
    assert convert(["medklip", f"--from={file}", f"--to={ours}"]) == 0
    prepared = run / "demo" / "prepared"
    argv = [f"--config={CONFIG}:smoke,pretrain", "--mode=evaluate"]
    argv += [f"--config.pretrain.init_from={ours}", f"--config.data.dir={prepared / 'films'}"]
    argv += [f"--config.data.triplets_dir={prepared / 'triplets'}"]
    assert main([*argv, f"--workdir={tmp_path / 'evaluated'}"]) == 0
    trained = (run / "pretrain" / "results.json").read_bytes()
    assert (tmp_path / "evaluated" / "pretrain" / "results.json").read_bytes() == trained


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "metric"),
    [
        ("finetune_10", "auroc/Effusion"),
        ("segmentation_10", "dice/Effusion"),
        ("cmtalha", "auroc/effusion"),
        ("notebook", "constant_accuracy/effusion"),
        ("clip", "accuracy"),
    ],
)
def test_other_words_run(words, metric, tmp_path) -> None:
    assert main([f"--config={CONFIG}:smoke,{words}", f"--workdir={tmp_path}"]) == 0
    last = results(tmp_path)
    stage = next(name for name in last if name != "pretrain")
    assert 0 <= last[stage]["test"][metric]["value"] <= 1
