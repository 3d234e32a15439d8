"""MedFuse through the command: kills change nothing, real-like data without films, no leak."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from medjax.data.prepared import open_set
from medjax.data.xray.index import read_index
from medjax.main import main
from medjax.run.init_from import Source, read_variables

CONFIG = Path(__file__).parents[3] / "configs" / "medfuse.py"


@pytest.fixture(scope="module")
def prepared(finish_smoke) -> Path:
    """The prepared folders of the demo's invented patients."""
    return finish_smoke(CONFIG) / "demo" / "prepared"


def test_no_patient_stands_in_two_splits_of_any_set(prepared):
    """Neither among the stays, nor among the films, nor in one split here and another there."""
    split_of: dict[int, str] = {}
    stays = pd.read_parquet(prepared / "mimic_iv" / "stays.parquet")
    pairs = list(zip(stays["subject_id"], stays["split"]))
    task = open_set(prepared / "mimic_iv", "in_hospital_mortality")
    for split, records in task.splits.items():
        pairs += [(records[i]["subject_id"], split) for i in range(len(records))]
    for split in ("train", "validation", "test"):
        films = read_index(prepared / "mimic_cxr", split)
        pairs += [(subject, split) for subject in films["subject_id"]]
    assert len({split for _, split in pairs}) == 3
    for subject, split in pairs:
        assert split_of.setdefault(int(subject), split) == split


def test_stays_alone_train_with_every_image_missing(prepared, tmp_path):
    argv = [f"--config={CONFIG}:smoke", f"--config.data.dir={prepared / 'mimic_iv'}"]
    assert main([*argv, f"--workdir={tmp_path}"]) == 0
    predictions = pd.read_parquet(tmp_path / "fusion" / "predictions-test.parquet")
    assert not predictions["has_image"].any()
    assert np.isfinite(predictions.filter(like="probability/")).all().all()
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["fusion"]["test"]["loss"]["value"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "word",
    [
        *("early", "joint", "late", "ensemble", "uni_cxr", "uni_ehr_paired", "radiology"),
        *("early_token", "joint_token", "lstm_token", "reversed_order", "mmtm", "daft"),
    ],
)
def test_every_run_of_the_paper_trains(prepared, tmp_path, word):
    argv = [f"--config={CONFIG}:smoke,{word}", f"--config.data.dir={prepared / 'mimic_iv'}"]
    argv += [f"--config.data.xray_dir={prepared / 'mimic_cxr'}", f"--workdir={tmp_path}"]
    assert main(argv) == 0
    assert json.loads((tmp_path / "results.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("size", ["resnet18", "resnet34", "resnet50", "densenet121"])
def test_every_published_image_network_trains_a_step(prepared, tmp_path, size):
    argv = [f"--config={CONFIG}:smoke,medfuse_random_init", f"--workdir={tmp_path}"]
    argv += [f"--config.data.dir={prepared / 'mimic_iv'}"]
    argv += [f"--config.data.xray_dir={prepared / 'mimic_cxr'}"]
    argv += [f"--config.fusion.model.backbone={size}", "--config.fusion.model.width=64"]
    argv += ["--config.fusion.train.global_batch_size=48"]
    assert main(argv) == 0


@pytest.mark.slow
def test_bfloat16_is_a_policy_of_the_computation_alone(prepared, tmp_path):
    argv = [f"--config={CONFIG}:smoke", f"--config.data.dir={prepared / 'mimic_iv'}"]
    argv += [f"--config.data.xray_dir={prepared / 'mimic_cxr'}", "--config.precision=bfloat16"]
    assert main([*argv, f"--workdir={tmp_path}"]) == 0
    weights = read_variables(Source(tmp_path / "fusion", "best"))
    assert {leaf.dtype for leaf in jax.tree.leaves(weights)} == {np.dtype(np.float32)}
    predictions = pd.read_parquet(tmp_path / "fusion" / "predictions-test.parquet")
    assert np.isfinite(predictions.filter(like="probability/")).all().all()


@pytest.mark.slow
def test_worker_processes_change_nothing(prepared, tmp_path):
    argv = [f"--config={CONFIG}:smoke", f"--config.data.dir={prepared / 'mimic_iv'}"]
    argv += [f"--config.data.xray_dir={prepared / 'mimic_cxr'}"]
    for workers in (0, 1):
        options = [f"--workdir={tmp_path / str(workers)}", f"--config.loader.workers={workers}"]
        assert main([*argv, *options]) == 0
    one, other = ((tmp_path / str(w) / "results.json").read_bytes() for w in (0, 1))
    assert one == other


def start(workdir: Path, prepared: Path) -> subprocess.Popen:
    """Start a smoke run in a process of its own, saving at every second step."""
    argv = [f"--config={CONFIG}:smoke", f"--workdir={workdir}"]
    argv += [f"--config.data.dir={prepared / 'mimic_iv'}"]
    argv += [f"--config.data.xray_dir={prepared / 'mimic_cxr'}"]
    argv += ["--config.ehr.train.save_every=2", "--config.fusion.train.save_every=2"]
    return subprocess.Popen(
        [sys.executable, "-m", "medjax.main", *argv],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def checkpoints(workdir: Path) -> int:
    """Return the number of steps saved so far, over both stages."""
    return len(list(workdir.glob("*/checkpoints/[0-9]*")))


@pytest.mark.slow
def test_killed_in_both_stages_a_run_ends_with_the_same_bytes(prepared, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(whole, prepared).wait(timeout=300) == 0
    for saved in (1, 4):  # in the first stage; in the second
        running = start(killed, prepared)
        while checkpoints(killed) < saved and running.poll() is None:
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert start(killed, prepared).wait(timeout=300) == 0
    for name in ("results.json", "ehr/metrics.jsonl", "fusion/metrics.jsonl"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
    for stage in ("ehr", "fusion"):
        name = f"{stage}/predictions-test.parquet"
        one, other = pd.read_parquet(whole / name), pd.read_parquet(killed / name)
        pd.testing.assert_frame_equal(one, other, check_exact=True)
