"""Every further ICU task through the command, from raw files to plots."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medjax.main import main
from medjax.prepare import main as prepare

CONFIG = Path(__file__).parents[3] / "configs" / "medfuse.py"
EXPECTED = {
    "decompensation": ("auroc/Decompensation", "fusion-test-roc.png"),
    "length_of_stay": ("kappa", "fusion-test-confusion.png"),
    "multitask": ("length_of_stay.mad", "fusion-test-decompensation.roc.png"),
}


@pytest.mark.slow
@pytest.mark.parametrize("task", EXPECTED)
def test_a_task_of_hours_runs(task, tmp_path, capsys):
    metric, plot = EXPECTED[task]
    argv = [f"--config={CONFIG}:smoke,{task}", f"--workdir={tmp_path}"]
    assert main(argv) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    found = results["fusion"]["test"][metric]
    assert found["low"] <= found["value"] <= found["high"]
    predictions = pd.read_parquet(tmp_path / "fusion" / "predictions-test.parquet")
    assert predictions.groupby("stay_id").hour.max().gt(4).all()
    if task == "decompensation":
        assert len(predictions) == found["n"]
        assert not predictions.duplicated(["stay_id", "hour"]).any()
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert plot in names, names
    assert main([*argv, "--mode=evaluate"]) == 0
    assert json.loads((tmp_path / "results.json").read_text()) == results


@pytest.mark.slow
def test_own_outcomes_on_own_channels_train(finish_smoke, tmp_path):
    """The outcome is whether the patient died, but for some stays it is not known."""
    demo = finish_smoke(CONFIG) / "demo"
    stays = pd.read_parquet(demo / "prepared" / "mimic_iv" / "stays.parquet")
    died = stays.mortality.astype(str).where(np.arange(len(stays)) % 9 > 0, "")
    labels = pd.DataFrame({"stay_id": stays.stay_id, "dead": died, "woman": stays.gender == "F"})
    labels.astype({"woman": int}).to_csv(tmp_path / "own.csv", index=False)
    urine = {"name": "Urine", "items": [226559], "kind": "numeric", "normal": 60}
    channels = {"base": "benchmark", "channels": [urine | {"range": [0, 3000]}]}
    (tmp_path / "channels.json").write_text(json.dumps(channels))
    own, out = tmp_path / "prepared", tmp_path / "out"
    argv = ["mimic_iv", f"--raw={demo / 'raw' / 'mimic_iv'}", f"--out={own}", "--labels_hours=24"]
    argv += [f"--labels={tmp_path / 'own.csv'}", f"--channels={tmp_path / 'channels.json'}"]
    assert prepare(argv) == 0
    argv = [f"--config={CONFIG}:smoke", "--config.data.task=own", f"--config.data.dir={own}"]
    assert main([*argv, f"--workdir={out}"]) == 0
    test = json.loads((out / "results.json").read_text())["fusion"]["test"]
    assert test["auroc/woman"]["n"] > test["auroc/dead"]["n"] > 0
    predictions = pd.read_parquet(out / "fusion" / "predictions-test.parquet")
    assert predictions["label/dead"].isna().any() and not predictions["label/woman"].isna().any()
