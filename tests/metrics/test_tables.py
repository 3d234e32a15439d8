"""Tables hold the numbers of the metrics: in full as CSV, rounded as Markdown."""

import csv
import io

import numpy as np
import pytest

from medjax.metrics.classification import classification_metrics
from medjax.metrics.metric import Metric, interval_text
from medjax.metrics.subsets import crossed, range_subsets, subset_metrics
from medjax.metrics.tables import (
    Table,
    model_table,
    result_tables,
    to_csv,
    to_markdown,
)

NAMES = ("Shock, septic", "Gout")
GROUPS = {"type=acute": [0], "type=chronic": [1]}


def read(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(table))))


@pytest.fixture(scope="module")
def metrics() -> dict[str, Metric]:
    """Of 200 examples, 120 of them paired, 150 below forty; nobody paired is above."""
    generator = np.random.default_rng(5)
    labels = (generator.random((200, 2)) < 0.3).astype(float)
    risk = np.clip(generator.random((200, 2)) * 0.8 + labels * 0.2, 0, 1)
    options = {"groups": GROUPS, "resamples": 20}
    whole = classification_metrics(labels, risk, NAMES, **options)
    row = np.arange(200)
    sets = {"set=paired": row < 120, "set=partial": row >= 0}
    subsets = crossed(sets, range_subsets("age", np.where(row < 150, 30, 70), (18, 40, 100)))
    return whole | subset_metrics(labels, risk, NAMES, subsets, whole, **options)


def test_every_number_of_a_label_stands_in_its_row(metrics):
    tables = result_tables(metrics, NAMES, "phenotypes", GROUPS)
    assert list(tables) == [
        "labels-paired",
        "age-paired",
        "labels-partial",
        "age-partial",
    ]
    rows = read(tables["labels-paired"])
    assert [row["Label"] for row in rows] == [
        *NAMES,
        "mean of acute",
        "mean of chronic",
        "mean of all",
    ]
    for row, name, kind in zip(rows, NAMES, ("acute", "chronic")):
        expected = metrics[f"auroc/set=paired/{name}"]
        found = [float(row[f"AUROC{bound}"]) for bound in ("", " low", " high")]
        assert found == [expected.value, expected.low, expected.high]
        assert (int(row["Positive"]), int(row["n"])) == (expected.positives, 120)
        assert float(row["Prevalence"]) == expected.positives / 120
        assert row["Type"] == kind
    assert float(rows[-1]["AUPRC"]) == metrics["auprc/set=paired/macro"].value
    assert rows[-1]["Positive"] == ""


def test_age_groups_are_rows_and_empty_ones_undefined(metrics):
    tables = result_tables(metrics, NAMES, "phenotypes", GROUPS)
    young, old = read(tables["age-paired"])
    assert (young["Age"], young["n"], old["Age"], old["n"]) == ("18-40", "120", "40-100", "0")
    assert old["AUROC"] == "" and "undefined" in to_markdown(tables["age-paired"])


def test_one_label_without_sets_has_no_table():
    labels, risk = np.array([[0.0], [1.0]]), np.array([[0.2], [0.8]])
    assert not result_tables(classification_metrics(labels, risk, ["death"]), ["death"], "x")


def test_models_stand_side_by_side_on_the_sets_they_were_scored_on(metrics):
    paired_only = {name: m for name, m in metrics.items() if "partial" not in name}
    table = model_table({"MedFuse": metrics, "joint": paired_only}, "test")
    fused, joint = read(table)
    assert list(table.columns) == [
        *("Model", "paired AUROC", "paired AUPRC", "paired n"),
        *("partial AUROC", "partial AUPRC", "partial n"),
    ]
    assert fused["partial n"] == "200" and joint["partial n"] == joint["partial AUROC"] == ""
    assert fused["paired AUROC"] == joint["paired AUROC"]
    alone = model_table({"m": classification_metrics([[0], [1]], [[0], [1]], ["a"])}, "test")
    assert alone.columns == ("Model", "AUROC", "AUPRC", "n")


def test_markdown_is_rounded_aligned_and_escapes_bars():
    rows = (("a|b", 1234, 0.5, Metric(0.12345, 0.1, 0.2)), ("c", None, 0.25, Metric(None)))
    lines = to_markdown(Table("Title", ("Name", "n", "share", "AUROC"), rows)).splitlines()
    assert lines[0] == "Title" and len({len(line) for line in lines[2:]}) == 1
    assert (
        "a\\|b" in lines[4] and "1,234" in lines[4] and "0.123 (0.100\N{EN DASH}0.200)" in lines[4]
    )
    assert lines[3].endswith(":|") or lines[3].endswith(": |")


def test_no_dash_stands_before_a_negative_bound():
    assert interval_text(0.7, 0.81) == "0.700\N{EN DASH}0.810"
    assert interval_text(-0.02, 0.15) == "-0.020 to 0.150"
    assert interval_text(-0.2, -0.1, digits=1) == "-0.2 to -0.1"
