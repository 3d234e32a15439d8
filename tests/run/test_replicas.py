"""Replicas: each is the run of its seed alone, whatever kills the whole; summaries are right."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy import stats

from medjax.errors import UsageError
from medjax.run import stages
from medjax.run.check import check_values
from medjax.run.init_from import Place, find_source
from medjax.run.replicas import replicas, summarise
from tests.run import toy

STAGES, SEEDS = ("only", "next"), (3, 5)
pytestmark = pytest.mark.usefixtures("compiled_once")
TOY = SimpleNamespace(open_data=toy.open_data, build=toy.build)


def config(seeds: tuple[int, ...] = (), seed: int = 3) -> ConfigDict:
    """Two short stages, the second from the first one's weights."""
    made = toy.config()
    made.seed, made.stages = seed, STAGES
    made.only.train.epochs = 2
    made.next = made.only.copy_and_resolve_references()
    made.next.init_from = "only"
    made.replicas = ConfigDict({"seeds": seeds, "folds": 0, "run": "loop"})
    return made


def files(folder: Path) -> dict[str, bytes]:
    """What a stage's folder holds that must not depend on how the stage was run."""
    names = ("results.json", "metrics.jsonl", "artefacts.json")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def looped(tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("looped")
    stages.run_stages(config(SEEDS), workdir, "train", TOY)
    return workdir


def test_a_replica_is_the_run_of_its_seed_alone(looped, tmp_path):
    seed = SEEDS[1]
    stages.run_stages(config(seed=seed), tmp_path, "train", TOY)
    alone = json.loads((tmp_path / "results.json").read_text())
    together = json.loads((looped / "results.json").read_text())
    for stage in STAGES:
        assert files(looped / stage / f"seed={seed}") == files(tmp_path / stage)
        assert together[f"{stage}/seed={seed}"] == alone[stage]


def test_results_hold_every_replica_and_their_mean(looped):
    results = json.loads((looped / "results.json").read_text())
    assert set(results) == {
        *STAGES,
        *(f"{stage}/seed={seed}" for stage in STAGES for seed in SEEDS),
    }
    mean = results["next"]["test"]["loss"]
    values = [results[f"next/seed={seed}"]["test"]["loss"]["value"] for seed in SEEDS]
    assert values[0] != values[1]
    assert mean["value"] == pytest.approx(np.mean(values))
    assert mean["replicas"] == 2
    assert results["next"]["test"]["accuracy"]["n"] == toy.EXAMPLES["test"]


def test_killed_in_replicas_and_repeated_it_ends_the_same(looped, tmp_path):
    left = [0]

    def build(*arguments):
        system = toy.build(*arguments)

        def collate(split, epoch, plan, rows):
            left[0] -= epoch >= 0
            if left[0] < 0:
                raise RuntimeError("killed")
            return system.collate(split, epoch, plan, rows)

        return system._replace(collate=collate)

    killed = SimpleNamespace(open_data=toy.open_data, build=build)
    # In the second replica of the first stage, then in the second one of the second stage.
    for batches, reached in ((16, "only/seed=5"), (20, "next/seed=5")):
        left[0] = batches
        with pytest.raises(RuntimeError, match="killed"):
            stages.run_stages(config(SEEDS), tmp_path, "train", killed)
        assert (tmp_path / reached / "metrics.jsonl").exists()
        assert not (tmp_path / reached / "results.json").exists()
    assert not (tmp_path / "results.json").exists()
    stages.run_stages(config(SEEDS), tmp_path, "train", TOY)
    assert (tmp_path / "results.json").read_bytes() == (looped / "results.json").read_bytes()
    for stage in STAGES:
        for seed in SEEDS:
            place = Path(stage) / f"seed={seed}"
            assert files(tmp_path / place) == files(looped / place)


def test_replicas_are_evaluated_and_predicted_one_by_one(looped):
    before = (looped / "results.json").read_bytes()
    stages.run_stages(config(SEEDS), looped, "evaluate", TOY)
    assert (looped / "results.json").read_bytes() == before
    tables = [looped / "next" / f"seed={seed}" / "predictions-test.parquet" for seed in SEEDS]
    for table in tables:
        table.unlink()
    stages.run_stages(config(SEEDS), looped, "predict", TOY)
    assert all(table.is_file() for table in tables)


def test_a_replica_starts_from_the_same_replica_of_another_run(looped):
    place = Place(Path("elsewhere"), ("next",), "next", "seed=5")
    assert find_source(str(looped), place).folder == looped / "next" / "seed=5"
    assert find_source(str(looped / "only"), place).folder == looped / "only" / "seed=5"
    one = looped / "only" / "seed=3"
    assert find_source(str(one), place).folder == one, "named to the end, it is that one"
    assert find_source("next", place).folder == Path("elsewhere") / "next" / "seed=5"


def test_seeds_and_folds_make_a_grid_of_configs():
    made = config((3, 5))
    made.fold = 0
    made.replicas.folds = 2
    copies = replicas(made)
    assert [copy.name for copy in copies] == [
        "seed=3,fold=0", "seed=3,fold=1", "seed=5,fold=0", "seed=5,fold=1",
    ]  # fmt: skip
    assert [(copy.config.seed, copy.config.fold) for copy in copies] == [
        (3, 0), (3, 1), (5, 0), (5, 1),
    ]  # fmt: skip
    made.replicas.seeds = ()
    assert [copy.name for copy in replicas(made)] == ["fold=0", "fold=1"]
    assert made.fold == 0, "the run's own config stays as it is"


def test_without_replicas_the_run_is_its_only_copy():
    made = config()
    (copy,) = replicas(made)
    assert copy.config is made
    assert copy.label("only") == "only"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seeds": (1, 2, 1)}, "names a seed twice"),
        ({"seeds": (-1,)}, "no whole number"),
        ({"seeds": ("a",)}, "no whole number"),
        ({"folds": 1}, "at least 2"),
        ({"run": "lop"}, "'lop' is none of loop, vmap, auto.*loop"),
        ({"folds": 3}, "knows no folds"),
    ],
)
def test_replicas_that_cannot_be_are_refused_in_one_sentence(fields, message):
    made = config()
    made.replicas = ConfigDict({"seeds": (), "folds": 0, "run": "loop"} | fields)
    with pytest.raises(UsageError, match=message):
        check_values(made)


@pytest.mark.parametrize("count", [3, 10])
def test_the_interval_of_a_mean_is_students(count):
    values = np.random.default_rng(count).normal(0.8, 0.02, count)
    summary = summarise([{"value": value, "n": 40, "positives": 9} for value in values])
    low, high = stats.t.interval(0.95, count - 1, values.mean(), stats.sem(values))
    assert summary["value"] == pytest.approx(values.mean())
    assert summary["low"] == pytest.approx(low)
    assert summary["high"] == pytest.approx(high)
    assert (summary["n"], summary["positives"], summary["replicas"]) == (40, 9, count)


def test_undefined_replicas_are_left_out_and_counted():
    undefined = {"value": None, "reason": "one class only"}
    summary = summarise([{"value": 0.5, "n": 3}, undefined, {"value": 0.7, "n": 4}])
    assert math.isclose(summary["value"], 0.6)
    assert summary["reason"] == "undefined in 1 of 3 replicas"
    assert "n" not in summary, "the replicas do not agree on it"
    assert summarise([undefined] * 2)["value"] is None
    assert "one class only" in summarise([undefined] * 2)["reason"]
    assert "low" not in summarise([{"value": 0.5}] * 2), "two replicas tell too little of a spread"


def test_a_shared_stage_is_run_once_and_all_copies_start_from_it(looped, tmp_path):
    made = config(SEEDS)
    made.replicas.stages = ("next",)
    summaries = {"extra/seeds.csv": "a\n"}
    module = SimpleNamespace(**vars(TOY), summaries=lambda config, results, written: summaries)
    stages.run_stages(made, tmp_path, "train", module)
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results) == {*STAGES, *(f"next/seed={seed}" for seed in SEEDS)}
    assert "replicas" not in results["only"]["test"]["loss"]
    # The shared stage has the run's own seed, which is that of the first copy here.
    assert files(tmp_path / "only") == files(looped / "only" / f"seed={SEEDS[0]}")
    assert files(tmp_path / "next" / f"seed={SEEDS[0]}") == files(
        looped / "next" / f"seed={SEEDS[0]}"
    )
    assert (tmp_path / "extra" / "seeds.csv").read_text() == "a\n"
    with pytest.raises(UsageError, match="config.replicas.stages"):
        made.replicas.stages = ("nxet",)
        check_values(made)
