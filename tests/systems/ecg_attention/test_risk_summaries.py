"""The CSV layout of the published code, from the numbers of results.json."""

import io

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from medjax.systems.ecg_attention.risk_summaries import summaries

CONFIG = ConfigDict({"stages": ("pretrain", "risk"), "seed": 1, "fold": 0})
CONFIG.pretrain, CONFIG.risk = ConfigDict({"kind": "pretrain"}), ConfigDict({"kind": "risk"})


def entry(value):
    return {"test": {"c_index": {"value": value} if value else {"value": None, "reason": "none"}}}


def read(files, path):
    return pd.read_csv(io.StringIO(files[path]))


def test_seeds_and_folds():
    config = CONFIG.copy_and_resolve_references()
    config.replicas = ConfigDict({"seeds": (42, 7), "folds": 2, "stages": ("risk",)})
    values = {(42, 0): 0.6, (42, 1): 0.8, (7, 0): 0.5, (7, 1): None}
    results = {f"risk/seed={s},fold={f}": entry(value) for (s, f), value in values.items()}
    files = summaries(config, results)
    assert read(files, "risk/42/cval_1/test_summary.csv")["c_index"].tolist() == [0.8]
    of_seed = read(files, "risk/42/c_index_mean_val.csv")
    assert of_seed["fold"].tolist() == ["0", "1", "mean", "std"]
    np.testing.assert_allclose(of_seed["c_index"], [0.6, 0.8, 0.7, 0.1])
    all_seeds = read(files, "risk/mean_c_index_for_different_seeds.csv")
    assert list(all_seeds) == ["mean_c_index", "std_c_index", "seed"]
    assert all_seeds["seed"].tolist() == ["42", "7", "AVG"]
    np.testing.assert_allclose(all_seeds["mean_c_index"], [0.7, 0.5, 0.6])
    assert len(files) == 4 + 2 + 1


def test_a_single_run_and_none():
    files = summaries(CONFIG, {"risk": entry(0.7), "pretrain": entry(0.1)})
    assert read(files, "risk/mean_c_index_for_different_seeds.csv")["mean_c_index"].tolist() == [
        0.7,
        0.7,
    ]
    assert summaries(CONFIG, {"pretrain": entry(0.1)}) == {}
