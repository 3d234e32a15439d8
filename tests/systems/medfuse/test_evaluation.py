"""Scores of MedFuse by set, age group and phenotype type, in one pass."""

from pathlib import Path

import numpy as np
import pytest

from medjax.data.mimic_iv.diagnoses import load_phenotypes
from medjax.metrics.ranking import auroc
from medjax.run.words import load_config
from medjax.systems.medfuse.data import NO_FILM, Stays
from medjax.systems.medfuse.evaluation import evaluate, label_groups, subsets, table, tables
from medjax.systems.medfuse.published import BEST_HEAD

CONFIG = Path(__file__).parents[3] / "configs" / "medfuse.py"
NAMES = load_phenotypes().names
AGES = (18, 40, 60, 80, 100)
COUNT = 400


def stays(film: np.ndarray) -> Stays:
    """Stays of rising age, 20 to 100 years, with these films."""
    ids = np.arange(COUNT)
    age, never = np.linspace(20, 99.9, COUNT), np.full(COUNT, np.inf)
    return Stays(None, ids, ids, ids, ids, None, film, age, never)


@pytest.fixture(scope="module")
def outputs() -> dict[str, np.ndarray]:
    """Every stay once, in falling order of age."""
    generator = np.random.default_rng(0)
    labels = (generator.random((COUNT, 25)) < 0.3).astype(np.float32)
    risk = np.clip(generator.random((COUNT, 25)) * 0.8 + labels * 0.2, 0, 1)
    positions = np.arange(COUNT)[::-1]
    return {
        "labels": labels,
        "probability": risk,
        "average.probability": 1 - risk,
        "loss": np.ones(COUNT, np.float32),
        "position": positions,
    }


def test_sets_ages_and_types_are_scored_on_their_stays(outputs):
    config = load_config(CONFIG, ("smoke",))
    film = np.where(np.arange(COUNT) % 2, NO_FILM, np.arange(COUNT))
    parts = subsets(stays(film), outputs["position"], AGES)
    metrics = evaluate(outputs, NAMES, config, True, parts)
    paired = outputs["position"] % 2 == 0
    young = outputs["position"] < COUNT // 4
    rows = {
        "set=paired": paired,
        "set=partial": paired >= 0,
        "set=paired/age=18-40": paired & young,
    }
    for name, members in rows.items():
        metric = metrics[f"auroc/{name}/{NAMES[3]}"]
        column = outputs["labels"][members, 3], outputs["probability"][members, 3]
        assert metric.value == pytest.approx(auroc(*column))
        assert (metric.n, metric.positives) == (members.sum(), column[0].sum())
        assert metric.low <= metric.value <= metric.high
    assert metrics["auroc/set=partial/macro"] == metrics["auroc/macro"]
    types = [metrics[f"auroc/set=paired/type={t}"].value for t in ("acute", "mixed", "chronic")]
    assert np.average(types, weights=(13, 5, 7)) == pytest.approx(
        metrics["auroc/set=paired/macro"].value
    )
    opposite = metrics["average.auroc/macro"].value
    assert opposite == pytest.approx(1 - metrics["auroc/macro"].value)


@pytest.mark.parametrize(("with_film", "sets"), [(0, ["set=partial"]), (1, ["set=paired"])])
def test_a_set_that_is_not_there_is_not_named(outputs, with_film, sets):
    film = np.full(COUNT, 0 if with_film else NO_FILM)
    parts = subsets(stays(film), outputs["position"], ())
    assert list(parts) == sets and all(members.all() for members in parts.values())


def test_tables_and_predictions_have_every_label_and_head(outputs):
    config = load_config(CONFIG, ("smoke",))
    parts = subsets(stays(np.arange(COUNT)), outputs["position"], AGES)
    made = tables(NAMES, evaluate(outputs, NAMES, config, True, parts), "phenotypes")
    assert set(made) == {"labels-paired", "age-paired"}
    assert [row[1] for row in made["labels-paired"].rows[:4]] == [
        "acute",
        "acute",
        "acute",
        "mixed",
    ]
    columns = table({"stay_id": outputs["position"]}, outputs, NAMES)
    assert len(columns) == 1 + 3 * 25
    np.testing.assert_array_equal(
        columns[f"average.probability/{NAMES[2]}"], 1 - columns[f"probability/{NAMES[2]}"]
    )


def test_unlabelled_outputs_have_a_reason_and_no_tables(outputs):
    config = load_config(CONFIG, ("smoke",))
    unlabelled = {name: value for name, value in outputs.items() if name != "labels"}
    metrics = evaluate(unlabelled, NAMES, config, True)
    assert metrics["labels"].reason and tables(NAMES, metrics, "x") == {}


def test_types_are_those_of_phenotypes_wherever_they_stand():
    names = ("own outcome", *NAMES[::-1])
    groups = label_groups(names)
    assert [len(members) for members in groups.values()] == [13, 5, 7]
    assert names.index("Shock") in groups["type=acute"]
    assert label_groups([f"outcome {i}" for i in range(25)]) == {}


def test_the_best_head_is_told_while_training_alone(outputs):
    """Here the further head is the mirror image of the first, on every label."""
    config = load_config(CONFIG, ("smoke",))
    mirrored = {**outputs, "probability": outputs["average.probability"]}
    mirrored["average.probability"] = outputs["probability"]
    for given in (outputs, mirrored):
        metrics = evaluate(given, NAMES, config, False)
        values = [metrics[name].value for name in ("auroc/macro", "average.auroc/macro")]
        assert metrics[BEST_HEAD].value == max(values) > min(values)
    assert BEST_HEAD not in evaluate(outputs, NAMES, config, True)


def test_published_mmtm_has_a_loop_and_a_choice_of_its_own_unless_told_otherwise():
    published = {"compat": "published", "fusion.train.epochs": 7}
    chosen = [
        load_config(CONFIG, ("smoke", word), fields).fusion.train
        for word, fields in (
            ("mmtm", {"compat": "published"}),
            ("mmtm", published | {"fusion.train.monitor": "loss"}),
            ("mmtm", {}),
            ("joint", published),
        )
    ]
    assert [t.monitor for t in chosen] == [BEST_HEAD, "loss", "auroc/macro", "auroc/macro"]
    orders = ["train_then_validate"] * 3 + ["validate_then_train"]
    assert [t.epoch_order for t in chosen] == orders
    assert [t.epochs for t in chosen] == [1, 7, 1, 7]
    assert [t.plateau.factor for t in chosen] == [1.0, 1.0, 0.5, 0.5]
