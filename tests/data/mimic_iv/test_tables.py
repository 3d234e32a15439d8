"""Small tables: found in every layout, read by name, faults named."""

from pathlib import Path

import numpy as np
import pytest

from medjax.data.mimic_iv.tables import ID, NUMBER, TEXT, TIME, find_table, read_table
from medjax.errors import UserError

REQUIRED = {"subject_id": ID, "hadm_id": ID, "admittime": TIME}
OPTIONAL = {"race": TEXT, "deathtime": TIME, "weight": NUMBER}


def write(raw: Path, text: str, folder: str = "hosp") -> Path:
    (raw / folder).mkdir(exist_ok=True)
    (raw / folder / "admissions.csv").write_bytes(text.encode())
    return raw


def read(raw: Path) -> tuple:
    counts: list[dict] = []
    return read_table(raw, "admissions", REQUIRED, OPTIONAL, {}, counts), counts


@pytest.mark.parametrize("folder", ["hosp", "core", "."])
def test_harmless_forms_are_accepted(tmp_path: Path, folder: str) -> None:
    text = (
        '\ufeffextra,ETHNICITY,HADM_ID,"subject_id",AdmitTime\r\n'
        '"a\nb","WHITE, OTHER",20,4000000000, 2290-01-02 03:04:05\r\n'
        ",,21,7,2150-01-01\r\n"
    )
    table, counts = read(write(tmp_path, text, folder))
    assert table.subject_id.tolist() == [4_000_000_000, 7]
    assert table.race.tolist() == ["WHITE, OTHER", None]
    expected = np.array(["2290-01-02T03:04:05", "2150-01-01"], "datetime64[s]")
    assert (table.admittime.to_numpy() == expected).all()
    assert not counts


def test_ragged_rows_and_rows_without_an_id_are_counted(tmp_path: Path) -> None:
    text = "subject_id,hadm_id,admittime\n1,2,2150-01-01\n1,2\n,3,2150-01-01\n1,2,3,4\n"
    table, counts = read(write(tmp_path, text))
    assert len(table) == 1
    assert {line["rule"] for line in counts} == {"rows of admissions"}
    assert [(line["in"], line["out"], line["reason"]) for line in counts] == [
        (4, 2, "wrong number of fields"),
        (2, 1, "no subject_id"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("subject_id,admittime\n", "no column 'hadm_id'"),
        ("subject_id,hadm_id,admitime\n", "did you mean 'admitime'"),
        ("subject_id,hadm_id,admittime\n1,2.0,2150-01-01\n", "'hadm_id' of data row 1"),
        ("subject_id,hadm_id,admittime\n1,2,2150-01-01\n1,2,soon\n", "row 2 is not a time"),
    ],
)
def test_a_fault_is_one_sentence_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        read(write(tmp_path, text))
    assert "admissions.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no table icu/chartevents\.csv\.gz"):
        find_table(tmp_path, "chartevents")
