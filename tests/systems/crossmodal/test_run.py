"""The cross-modal system from raw files to latents, and the way of its weights through Keras."""

import json

import numpy as np
import pandas as pd
import pytest

from medjax import convert
from medjax.data.demo.ecg import write_medians, write_ptbxl
from medjax.main import main
from medjax.systems.crossmodal.latents import read_latents
from tests.conftest import CONFIGS
from tests.data.ecg.commands import prepare

CONFIG = next(path for path in CONFIGS if path.stem == "crossmodal")
TABLES = {
    "ecg": "hidden_ecg_rest_median_raw_10_{}.tsv",
    "mri": "hidden_lax_4ch_heart_center_{}.tsv",
}


@pytest.fixture(scope="module")
def run(finish_smoke):
    return finish_smoke(CONFIG)


def test_prediction_writes_the_latents_of_all_who_have_the_modality(run, tmp_path):
    argv = [f"--config={CONFIG}:smoke", f"--workdir={tmp_path}", "--mode=predict"]
    argv += ["--config.stages=paired,", f"--config.paired.init_from={run}"]
    assert main([*argv, f"--config.data.dir={run / 'demo/prepared'}"]) == 0
    parts = [
        pd.read_parquet(tmp_path / f"paired/predictions-{s}.parquet")
        for s in ("train", "validation", "test")
    ]
    table = pd.concat(parts).sort_values("sample_id")
    for modality, name in TABLES.items():
        ids, vectors = read_latents(tmp_path / "paired" / name.format("paired"))
        rows = table[table[f"has_{modality}"]]
        assert list(ids) == list(rows["sample_id"])
        columns = [f"{modality}_latent_{i}" for i in range(vectors.shape[1])]
        np.testing.assert_array_equal(vectors, rows[columns].to_numpy(np.float32))


def test_results_hold_losses_imputation_retrieval_and_probes(run):
    results = json.loads((run / "results.json").read_text())
    test = results["paired"]["test"]
    terms = [test[f"loss/{name}"]["value"] for name in ("ecg", "mri", "pair")]
    np.testing.assert_allclose(test["loss"]["value"], sum(terms), rtol=1e-6)
    assert 0 <= test["retrieval/ecg_to_mri/recall@1"]["value"] <= 1
    assert {"imputation/mri_from_ecg/mse", "imputation/ecg_from_mri/explained"} <= test.keys()
    probes = results["probes"]["test"]
    assert {"unimodal/probe/ecg/ridge_r2/lv_mass", "probe_gain/mri/ridge_r2/heart_rate"} <= set(
        probes
    )
    names = {path.name for path in (run / "plots").iterdir()}
    assert {"probes.png", "paired-test-latent_map.png", "paired-test-mri-1.png"} <= names


def test_encoders_go_to_keras_and_back_and_give_the_same_latents_without_training(run, tmp_path):
    whole, ours = tmp_path / "paired.h5", tmp_path / "weights"
    assert convert.main(["crossmodal", "--back", f"--from={run / 'paired'}", f"--to={whole}"]) == 0
    assert convert.main(["crossmodal", f"--from={whole}", f"--to={ours}"]) == 0
    argv = [f"--config={CONFIG}:smoke,encode", f"--workdir={tmp_path / 'new'}", "--mode=predict"]
    argv += [f"--config.data.dir={run / 'demo' / 'prepared'}"]
    parts = ",".join(f"encoder_{modality}:{ours}" for modality in TABLES)
    assert main([*argv, f"--config.latents.init_from={parts}"]) == 0
    known = pd.read_parquet(run / "paired/predictions-test.parquet").set_index("sample_id")
    for modality, name in TABLES.items():
        found = dict(zip(*read_latents(tmp_path / "new/latents" / name.format("latents"))))
        rows = known[known[f"has_{modality}"]]
        columns = [name for name in rows if name.startswith(f"{modality}_latent_")]
        for sample_id, vector in zip(rows.index, rows[columns].to_numpy()):
            np.testing.assert_allclose(found[sample_id], vector, atol=1e-5)
        assert len(found) > len(rows)  # the other splits as well


def test_median_beats_of_ptb_xl_train_the_ecg_stage_and_no_other(tmp_path, capsys):
    raw, plus, out = (tmp_path / name for name in ("raw", "plus", "out"))
    write_ptbxl(raw, 40, 1)
    write_medians(plus, 40, 1)
    options = ("--signal=median", "--sampling_rate=500", f"--medians={plus}")
    beats = f"--config.data.ecg_dir={prepare('ptbxl', raw, out, *options)}"
    workdir = f"--workdir={tmp_path / 'run'}"
    assert main([f"--config={CONFIG}:smoke,mri", workdir, beats]) == 1
    assert "stage mri reads MRI: give --config.data.dir" in capsys.readouterr().err
    fields = ["--config.evaluation.map=pca", "--config.ecg.train.final_splits=test,"]
    assert main([f"--config={CONFIG}:smoke,ecg", workdir, beats, *fields]) == 0
    test = json.loads((tmp_path / "run/results.json").read_text())["ecg"]["test"]
    assert test["loss"]["value"] > 0 and "reconstruction/ecg/explained" in test


def test_latents_of_no_weights_are_refused(run, tmp_path, capsys):
    argv = [f"--config={CONFIG}:smoke,encode", f"--workdir={tmp_path / 'run'}"]
    assert main([*argv, f"--config.data.dir={run / 'demo/prepared'}"]) == 1
    assert "give --config.latents.init_from=FOLDER" in capsys.readouterr().err
