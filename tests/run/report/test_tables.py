"""The tables count every parameter once and show every number with its interval or reason."""

import io
import sys

import numpy as np
import optax
import pytest

from medjax.metrics.metric import Metric
from medjax.run.report.tables import parameter_table, results_table
from medjax.run.system import Update


def update(role):
    return Update("main", lambda *_: None, role, optax.identity())


PARAMS = {
    "encoder": {"block": {"conv": {"kernel": np.zeros((3, 3, 1, 8)), "bias": np.zeros(8)}}},
    "head": {"kernel": np.zeros((1000, 2)), "bias": np.zeros(2)},
    "scale": np.zeros(()),
}


def rows_of(table):
    return [line.split() for line in table.splitlines() if line.strip(" ─")]


def test_parameters_are_grouped_by_module_and_role():
    table = parameter_table(
        PARAMS, [update(lambda path: "frozen" if path[0] == "encoder" else "train")]
    )
    rows = rows_of(table)
    assert ["encoder/block", "frozen", "2", "3", "x", "3", "x", "1", "x", "8", "80"] in rows
    assert ["head", "train", "2", "1000", "x", "2", "2,002"] in rows
    assert ["scale", "train", "1", "1"] in rows
    assert rows[-3:] == [["frozen", "80"], ["train", "2,003"], ["total", "total", "2,083"]]


def test_one_training_update_among_several_makes_a_parameter_trained():
    updates = [update(lambda path: "unused"), update(lambda path: "train")]
    assert rows_of(parameter_table(PARAMS, updates))[-2:] == [
        ["train", "2,083"],
        ["total", "total", "2,083"],
    ]


RESULTS = {
    "fusion": {
        "validation": {"loss": Metric(0.25).to_json()},
        "test": {
            "auroc/[Shock]": Metric(0.8123, 0.7901, 0.8334, 1240, 31).to_json(),
            "auroc/Sepsis": Metric(None, reason="one class only").to_json(),
            "loss": Metric(0.31, n=1240).to_json(),
        },
    }
}


def test_results_show_intervals_counts_and_reasons():
    rows = rows_of(results_table(RESULTS))
    assert rows[0] == ["fusion", "validation", "positives", "/", "n", "test", "positives", "/", "n"]
    assert ["loss", "0.250", "0.310", "1,240"] in rows
    assert ["auroc/[Shock]", "0.812", "(0.790–0.833)", "31", "/", "1,240"] in rows  # noqa: RUF001
    assert ["auroc/Sepsis", "undefined:", "one", "class", "only"] in rows


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_tables_can_be_printed_in_any_encoding(monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    print(results_table(RESULTS))
    print(parameter_table(PARAMS, []))
    stream.flush()
    assert b"0.812 (0.790" in stream.buffer.getvalue()


def test_a_table_is_never_wider_than_where_it_goes():
    undefined = Metric(None, reason="no positives in this split " * 9).to_json()
    table = results_table({"fusion": {"test": {"auroc/" + "x" * 30: undefined}}})
    assert max(map(len, table.splitlines())) <= 160
