"""The command that gathers finished runs into one table."""

import csv
import json
import subprocess
import sys

import pytest

from medjax.run.report.comparison import Model, compare, write_comparisons
from medjax.tables import main


def entry(value, **counts):
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 50, **counts}


def scored(value, label="death", sets=("paired", "partial")):
    """One split of results.json."""
    metrics = {}
    for place in ("", *(f"set={name}/" for name in sets)):
        for name in (label, "macro"):
            metrics[f"auroc/{place}{name}"] = entry(value, positives=10)
            metrics[f"auprc/{place}{name}"] = entry(value / 2, positives=10)
    return metrics | {"loss": {"value": 0.3}}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two finished runs: `one` of three stages, `two` of one with a second head."""
    monkeypatch.chdir(tmp_path)
    heads = {f"average.{name}": value for name, value in scored(0.65).items()}
    results = {
        "one": {
            "cxr": {"test": scored(0.6, "Edema", ())},
            "ehr": {"test": scored(0.7)},
            "fusion": {"test": scored(0.8), "validation": scored(0.9)},
        },
        "two": {"fusion": {"test": scored(0.75, sets=("paired",)) | heads}},
    }
    for name, stages in results.items():
        (tmp_path / name).mkdir()
        config = {"stages": [*stages], "system": "x"}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        (tmp_path / name / "results.json").write_text(json.dumps(stages, sort_keys=True))
    return results


def rows_of(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def test_last_stages_named_stages_and_further_heads_are_rows(runs, tmp_path, capsys):
    assert main(["MedFuse=one", "one/ehr", "two", "--out=all/table.csv"]) == 0
    rows = rows_of(tmp_path / "all" / "table.csv")
    assert [row["Model"] for row in rows] == ["MedFuse", "one/ehr", "two", "two, average"]
    assert [float(row["paired AUROC"]) for row in rows] == [0.8, 0.7, 0.75, 0.65]
    assert float(rows[0]["partial AUPRC low"]) == pytest.approx(0.3)
    assert rows[2]["partial AUROC"] == ""
    shown, notes = capsys.readouterr()
    assert "0.800 (0.700\N{EN DASH}0.900)" in shown and "Test split, death" in shown
    assert (tmp_path / "all" / "table.md").read_text() == shown
    assert "one: its stage fusion; give one/STAGE for cxr, ehr" in notes
    assert "with 95 % intervals\n" in shown and "replicas" not in shown


def test_means_over_replicas_say_so_and_claim_no_interval_they_lack():
    few = {name: {"value": 0.7, "replicas": 2, "n": 50} for name in scored(0.7)}
    enough = {name: {**value, "replicas": 3} for name, value in scored(0.7).items()}
    titles = [compare([Model("a", entries)], "test").title for entries in (few, enough)]
    assert titles[0].endswith("means over 2 replicas, without intervals")
    assert titles[1].endswith("means over 3 replicas, with 95 % intervals of these means")


def test_a_run_compares_its_stages_of_the_same_labels(runs, tmp_path):
    write_comparisons(runs["one"], ("cxr", "ehr", "fusion"), tmp_path / "tables")
    rows = rows_of(tmp_path / "tables" / "comparison-test.csv")
    assert [row["Model"] for row in rows] == ["ehr", "fusion"]
    assert [row["Model"] for row in rows_of(tmp_path / "tables" / "comparison-validation.csv")] == [
        "fusion"
    ]


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["nowhere"], 1, "not the folder of a run"),
        (["one/fusoin"], 1, "did you mean 'fusion'"),
        (["one", "--split=train"], 1, "'train', only test, validation"),
        (["one", "one/cxr"], 2, "different labels"),
        (["one", "one"], 2, "two models are called 'one'"),
        (["one", "--out=table.txt"], 2, ".csv"),
        (["--split=test"], 2, "required"),
        (["one", "--spilt=test"], 2, "did you mean '--split'"),
    ],
)
def test_mistakes_are_one_sentence(runs, capsys, argv, code, words):
    assert main(argv) == code
    shown = capsys.readouterr()
    assert words in shown.err and shown.err.count("\n") == 1 and not shown.out


def test_without_arguments_it_shows_an_example():
    done = subprocess.run(
        [sys.executable, "-m", "medjax.tables"], capture_output=True, text=True, check=True
    )
    assert "--out" in done.stdout and "Example: " in done.stdout
