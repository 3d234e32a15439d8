"""Cox regression on biomarkers: the table that is read, and what is fitted and chosen."""

import numpy as np
import pytest

from medjax.errors import UserError
from medjax.systems.ecg_attention.biomarkers import fit, read_biomarkers
from medjax.systems.ecg_attention.cohort import Cohort

COHORT = Cohort(
    signals=np.zeros((3, 1, 4), np.float32),
    length=np.full(3, 4, np.int32),
    recorded=np.ones((3, 1), bool),
    event=np.array([1.0, 0.0, 1.0]),
    time=np.array([3.0, 4.0, 5.0]),
    record_id=np.array(["a", "b", "c"]),
    subject_id=np.array(["7", "8", "007"]),
    split=np.array(["all"] * 3),
    sampling_rate=500.0,
    digest="",
)


def write(folder, text):
    path = folder / "biomarkers.csv"
    path.write_text(text)
    return path


def test_rows_are_found_by_id_and_answers_are_numbers(tmp_path):
    path = write(tmp_path, "eid, VentricularRate ,LongPR\n8,61.5,yes\n7,70,No\n9,1,yes\n")
    found = read_biomarkers(path, COHORT)
    assert found.names == ("VentricularRate", "LongPR")
    np.testing.assert_array_equal(found.values, [[70, 0], [61.5, 1], [np.nan, np.nan]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rate\n3\n", "give a column record_id"),
        ("record_id\na\n", "a column a biomarker"),
        ("record_id,rate\na,3\na,4\n", "row 3: its record_id stands in an earlier row"),
        ("record_id,rate\na,3\nb,\n", "row 3: 'rate' is empty"),
        ("record_id,rate\na,much\n", "row 2: column 'rate' is not a number"),
        ("record_id,rate\nz,3\n", "no record_id of the risk cohort"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        read_biomarkers(write(tmp_path, text), COHORT)


def outputs(n, seed):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 3))
    time = generator.exponential(np.exp(-x[:, 0]))
    censored = generator.exponential(1.0, n)
    event = (time <= censored).astype(float)
    return {"covariates": x, "event": event, "time": np.minimum(time, censored)}


def test_the_penalty_is_the_best_on_validation():
    parts = {"train": outputs(60, 0), "validation": outputs(200, 1)}
    fitted = fit(parts, (1e4, 0.1, 1e-2))
    assert fitted["penalty"] in (0.1, 1e-2)
    assert np.argmax(np.abs(fitted["coefficients"])) == 0 and fitted["coefficients"][0] > 0
    assert len(fitted["baseline_time"]) == sum(int(p["event"].sum()) for p in parts.values())
