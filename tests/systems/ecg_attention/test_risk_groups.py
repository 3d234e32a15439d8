"""Groups of risk: everybody by the models that did not see them, cut at a percentile."""

import numpy as np
import pandas as pd
import pytest
from ml_collections import ConfigDict

from medjax.metrics.survival.concordance import concordance
from medjax.systems.ecg_attention.risk_groups import compare, high_risk, mean_scores


def table(records: str, scores: list[float]) -> pd.DataFrame:
    """Predictions for some records, who have an event if they are called in the first half."""
    return pd.DataFrame(
        {
            "record_id": list(records),
            "subject_id": [f"s{name}" for name in records],
            "log_risk": np.asarray(scores, np.float32),
            "event": [float(name < "e") for name in records],
            "time": [float(ord(name)) - 90 for name in records],
        }
    )


TABLES = {
    "seed=1,fold=0": table("abcd", [9, 8, 7, 6]),
    "seed=1,fold=1": table("efgh", [1, 2, 3, 4]),
    "seed=2,fold=0": table("aceg", [11, 9, 5, 1]),
    "seed=2,fold=1": table("bdfh", [6, 4, 2, 0]),
}
CONFIG = ConfigDict(
    {
        "seed": 1,
        "stages": ("pretrain", "risk"),
        "pretrain": {"kind": "pretrain"},
        "risk": {
            "kind": "risk",
            "train": {"final_splits": ("validation", "test")},
        },
        "explain": {"high_risk_percentile": 70},
        "evaluation": {"resamples": 20, "horizons": (8.0, 50.0)},
        "data": {"time_unit": "month"},
    }
)


def test_a_record_has_the_mean_score_of_the_models_that_tested_it():
    subjects = mean_scores(TABLES)
    assert subjects.index.tolist() == list("abcdefgh")
    np.testing.assert_allclose(subjects["log_risk"], [10, 7, 8, 5, 3, 2, 2, 2])
    assert subjects["models"].tolist() == [2] * 8
    assert subjects["subject_id"].tolist() == [f"s{name}" for name in "abcdefgh"]


def test_high_risk_is_above_the_percentile():
    scores = np.arange(100.0)
    assert np.flatnonzero(high_risk(scores, 96)).tolist() == [96, 97, 98, 99]
    assert not high_risk(np.ones(5), 50).any()
    assert len(high_risk([], 96)) == 0


def test_the_groups_of_a_run_with_their_survival():
    compared = compare(CONFIG, lambda stage, split: {"test": TABLES}[split])["risk_groups"]
    subjects = mean_scores(TABLES)
    index = compared.metrics["test"]["c_index"]
    expected = concordance(subjects["event"], subjects["time"], subjects["log_risk"])
    assert index.value == pytest.approx(float(expected.c_index()))
    assert index.low <= index.value <= index.high
    low, high = compared.table.rows
    assert low[:3] == ("low risk", 5, 1)
    assert high[:3] == ("high risk", 3, 3)
    assert high[3].value == pytest.approx(1 / 3)  # of a, b and c, with events at 7, 8 and 9
    assert "mean scores of 4 models" in compared.table.title


def test_runs_without_risk_or_without_outcomes_have_no_groups():
    without = CONFIG.copy_and_resolve_references()
    without.stages = ("pretrain",)
    assert compare(without, lambda stage, split: pytest.fail("nothing to read")) == {}
    unknown = {name: frame.drop(columns="event") for name, frame in TABLES.items()}
    assert compare(CONFIG, lambda stage, split: unknown) == {}
