"""The hypotheses: stages are held against each other on the same stays, verdicts follow."""

import json

import numpy as np
import pandas as pd
import pytest
from ml_collections import ConfigDict
from sklearn.metrics import roc_auc_score

from medjax.main import main
from medjax.metrics.metric import Metric
from medjax.run.words import load_config
from medjax.systems.medfuse.hypotheses import align, compare, measure, verdict

STAYS = np.arange(9_000_000_001, 9_000_000_201)
QUESTIONS = (("Both or one?", "fusion", "ehr"), ("Sequence?", "fusion", "other"))


def predictions(signal: float, seed: int, stays: np.ndarray = STAYS) -> pd.DataFrame:
    """A predictions table of `stays` in an order of its own; labels follow from the ids."""
    order = np.random.default_rng((1, seed)).permutation(stays)
    labels = (order % 5 < 2).astype(np.int8)
    noise = np.random.default_rng((2, seed)).normal(size=len(order))
    return pd.DataFrame(
        {
            "stay_id": order,
            "subject_id": order // 2,
            "probability/death": 1 / (1 + np.exp(-signal * labels - noise)),
            "label/death": labels,
        }
    )


def config(comparisons: tuple = QUESTIONS) -> ConfigDict:
    made = load_config("configs/medfuse.py", ["smoke", "hypotheses"]).copy_and_resolve_references()
    with made.unlocked():
        made.other = made.fusion.copy_and_resolve_references()
        made.comparisons = comparisons
        made.evaluation.resamples = 200
    return made


@pytest.fixture(scope="module")
def tables() -> dict[str, dict[str, pd.DataFrame]]:
    return {
        "fusion": {f"seed={s}": predictions(3.0, s) for s in (1, 2)},
        "ehr": {f"seed={s}": predictions(0.5, s, STAYS[40:]) for s in (1, 2)},
        "other": {f"seed={s}": predictions(3.0, s) for s in (1, 2)},
    }


def test_stays_are_matched_by_id_and_only_common_ones_count(tables):
    predicted = align(tables)
    assert predicted.labels.shape == (160, 1)
    assert predicted.scores["fusion"].shape == (2, 160, 1)
    common = tables["fusion"]["seed=2"].set_index("stay_id").loc[STAYS[40:]]
    ours = dict(zip(predicted.patients * 0 + np.sort(STAYS[40:]), predicted.scores["fusion"][1]))
    assert all(ours[stay][0] == row["probability/death"] for stay, row in common.iterrows())


def test_numbers_are_those_of_the_mean_over_seeds_on_the_same_stays(tables):
    entries = measure(align(tables), QUESTIONS, 200, seed=0)
    frames = [t[t.stay_id.isin(STAYS[40:])] for t in tables["fusion"].values()]
    naive = np.mean([roc_auc_score(t["label/death"], t["probability/death"]) for t in frames])
    assert entries["auroc/fusion"].value == pytest.approx(naive)
    gap = entries["auroc/fusion - ehr"]
    assert gap.value == pytest.approx(naive - entries["auroc/ehr"].value)
    assert gap.low > 0
    same = entries["auroc/fusion - other"]
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_the_table_and_the_figure_hold_every_model_and_question(tables):
    comparison = compare(config(), lambda stage, split: tables[stage])["hypotheses"]
    assert set(comparison.metrics) == {"test"}
    assert len(comparison.table.rows) == 3 + 2
    question, pair, auroc, _, words = comparison.table.rows[3]
    assert (question, pair) == ("Both or one?", "fusion - ehr")
    assert auroc == comparison.metrics["test"]["auroc/fusion - ehr"]
    assert words == "fusion better, intervals apart"
    assert comparison.table.rows[4][-1] == "no difference shown"
    assert len(comparison.figure.axes) == 4


def test_nothing_is_compared_where_nothing_is_asked_or_known(tables):
    assert compare(config(()), lambda stage, split: tables[stage]) == {}
    unlabelled = {"": tables["fusion"]["seed=1"].drop(columns="label/death")}
    assert compare(config(), lambda stage, split: unlabelled) == {}


def test_stays_of_one_class_give_a_reason_instead_of_numbers(tables):
    alive = {
        stage: {name: t[t["label/death"] == 0] for name, t in of_stage.items()}
        for stage, of_stage in tables.items()
    }
    comparison = compare(config(), lambda stage, split: alive[stage])["hypotheses"]
    assert comparison.metrics["test"]["auroc/fusion"].value is None
    assert comparison.table.rows[3][-1] == "one class only"


@pytest.mark.parametrize(
    ("first", "second", "gap", "words"),
    [
        ((0.9, 0.86, 0.94), (0.8, 0.75, 0.85), (0.1, 0.05, 0.15), "a better, intervals apart"),
        ((0.9, 0.84, 0.94), (0.8, 0.75, 0.85), (0.1, 0.05, 0.15), "a better"),
        ((0.8, 0.75, 0.85), (0.9, 0.86, 0.94), (-0.1, -0.15, -0.05), "b better, intervals apart"),
        ((0.8, 0.7, 0.9), (0.79, 0.7, 0.9), (0.01, -0.1, 0.12), "no difference shown"),
    ],
)
def test_a_verdict_says_no_more_than_the_intervals(first, second, gap, words):
    assert verdict(Metric(*first), Metric(*second), Metric(*gap), ("a", "b")) == words


@pytest.mark.parametrize("size", ["smoke", "demo"])
def test_compared_stages_differ_only_in_what_is_asked(size):
    made = load_config("configs/medfuse.py", [size, "hypotheses"])
    for _, stage, other in made.comparisons:
        assert {stage, other} <= set(made.stages)
    fused = [made[name] for name in ("fusion", "separate", "early", "joint")]
    assert len({s.data.pairs for s in fused}) == 1
    assert len({s.model.backbone for s in fused}) == 1
    assert made.fusion.init_from == made.separate.init_from == made.early.init_from
    assert made.joint.init_from is None
    assert made.image.init_from == (("cxr", "cxr"),)


@pytest.mark.slow
def test_one_command_gives_the_table_and_the_plot(tmp_path, capfd):
    command = ["--config=configs/medfuse.py:smoke,hypotheses", f"--workdir={tmp_path}"]
    assert main(command) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    made = load_config("configs/medfuse.py", ["smoke", "hypotheses"])
    for stage in made.stages:
        assert {stage, *(f"{stage}/seed={seed}" for seed in made.replicas.seeds)} <= set(results)
    names = {f"auroc/{stage} - {other}" for _, stage, other in made.comparisons}
    assert names <= set(results["hypotheses"]["test"])
    table = pd.read_csv(tmp_path / "tables" / "hypotheses.csv")
    assert len(table) == 6 + len(made.comparisons)
    assert (tmp_path / "plots" / "hypotheses.png").is_file()
    before = (tmp_path / "results.json").read_bytes()
    capfd.readouterr()
    assert main(command) == 0, "a finished run prints its results again"
    assert "fusion - ehr" in capfd.readouterr().out
    (tmp_path / "results.json").unlink()
    assert main(command) == 0, "every replica is read, only the comparison is made again"
    assert (tmp_path / "results.json").read_bytes() == before
