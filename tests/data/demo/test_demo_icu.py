"""The synthetic tables: same bytes, MIMIC-IV's columns and wording, all phenotypes, real dirt."""

import hashlib
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medjax.data.demo.conditions import CONDITIONS
from medjax.data.demo.icu import write_icu
from medjax.data.demo.patients import draw_story
from medjax.data.mimic_iv.diagnoses import load_phenotypes
from medjax.errors import UserError

PATIENTS, SEED = 120, 3

COLUMNS = {
    "hosp/patients": "subject_id gender anchor_age anchor_year anchor_year_group dod",
    "hosp/admissions": "subject_id hadm_id admittime dischtime deathtime admission_type "
    "admit_provider_id admission_location discharge_location insurance language marital_status "
    "race edregtime edouttime hospital_expire_flag",
    "hosp/diagnoses_icd": "subject_id hadm_id seq_num icd_code icd_version",
    "hosp/d_icd_diagnoses": "icd_code icd_version long_title",
    "hosp/d_labitems": "itemid label fluid category",
    "hosp/labevents": "labevent_id subject_id hadm_id specimen_id itemid order_provider_id "
    "charttime storetime value valuenum valueuom ref_range_lower ref_range_upper flag priority "
    "comments",
    "icu/icustays": "subject_id hadm_id stay_id first_careunit last_careunit intime outtime los",
    "icu/chartevents": "subject_id hadm_id stay_id caregiver_id charttime storetime itemid value "
    "valuenum valueuom warning",
    "icu/outputevents": "subject_id hadm_id stay_id caregiver_id charttime storetime itemid value "
    "valueuom",
    "icu/d_items": "itemid label abbreviation linksto category unitname param_type "
    "lownormalvalue highnormalvalue",
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("icu")
    write_icu(folder, PATIENTS, SEED)
    return folder


def read(folder: Path, table: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"{table}.csv.gz", dtype=str, keep_default_na=False)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.gz"))
    }


def test_equal_arguments_give_equal_bytes_and_another_seed_others(raw, tmp_path):
    write_icu(tmp_path / "again", PATIENTS, SEED)
    assert digests(tmp_path / "again") == digests(raw)
    write_icu(tmp_path / "other", PATIENTS, SEED + 1)
    assert (
        digests(tmp_path / "other")["icu/chartevents.csv.gz"]
        != (digests(raw)["icu/chartevents.csv.gz"])
    )


@pytest.mark.parametrize("table", COLUMNS)
def test_every_table_has_the_columns_of_mimic_iv(raw, table):
    assert list(read(raw, table).columns) == COLUMNS[table].split()


def test_a_patient_is_the_same_however_many_there_are(raw, tmp_path):
    write_icu(tmp_path, 40, SEED)
    for table in ("hosp/patients", "hosp/admissions", "icu/icustays", "icu/chartevents"):
        few, many = read(tmp_path, table), read(raw, table)
        same = many[many.subject_id.isin(set(few.subject_id))]
        key = list(few.columns)
        pd.testing.assert_frame_equal(
            few.sort_values(key, ignore_index=True), same.sort_values(key, ignore_index=True)
        )


def test_ids_are_eight_digits_that_mimic_never_uses(raw):
    for table in ("hosp/admissions", "icu/icustays"):
        rows = read(raw, table)
        for column in rows.filter(like="_id").columns.drop("admit_provider_id", errors="ignore"):
            assert rows[column].str.fullmatch(r"9\d{7}").all(), column


def test_times_are_ordered_and_deaths_agree(raw):
    stays = read(raw, "icu/icustays").merge(read(raw, "hosp/admissions"), on="hadm_id")
    assert (stays.admittime <= stays.intime).all()
    assert (stays.intime < stays.outtime).all()
    assert (stays.outtime <= stays.dischtime).all()
    assert ((stays.deathtime != "") == (stays.hospital_expire_flag == "1")).all()
    patients = read(raw, "hosp/patients").set_index("subject_id")
    dead = read(raw, "hosp/admissions").query("hospital_expire_flag == '1'")
    assert (patients.dod[dead.subject_id].to_numpy() == dead.deathtime.str[:10].to_numpy()).all()


def test_coma_scale_has_only_texts_that_the_discretiser_knows(raw):
    text = resources.files("medjax.data.mimic_iv").joinpath("resources/discretizer_config.json")
    known = json.loads(text.read_text())["possible_values"]
    chart = read(raw, "icu/chartevents")
    for item, part in {
        "220739": "eye opening", "223901": "motor response", "223900": "verbal response",
    }.items():  # fmt: skip
        values = set(chart.value[chart.itemid == item])
        assert len(values) > 2
        assert values <= set(known[f"Glascow coma scale {part}"])


def test_events_are_as_dirty_as_real_ones(raw):
    chart = read(raw, "icu/chartevents")
    assert (chart.value == "___").any()
    assert (chart.value == "").any()
    assert (chart.warning == "1").any()
    order = chart.subject_id.to_numpy()
    runs = 1 + np.count_nonzero(order[1:] != order[:-1])
    assert runs > chart.subject_id.nunique(), "rows are grouped by patient"
    labs = read(raw, "hosp/labevents")
    assert 0.02 < (labs.hadm_id == "").mean() < 0.5
    stays = read(raw, "icu/icustays").merge(labs[labs.hadm_id != ""], on="hadm_id")
    assert (stays.charttime < stays.intime).any()
    assert (stays.charttime > stays.outtime).any()


def test_cohort_has_its_exceptions():
    story = draw_story(600, SEED)
    hours = (story.stays.outtime - story.stays.intime) / 3600
    assert 0.08 < (hours < 48).mean() < 0.4
    assert (story.stays.first_careunit != story.stays.last_careunit).any()
    assert story.stays.hadm_id.duplicated().any()
    assert story.admissions.subject_id.duplicated().any()
    assert (story.patients.age < 18).any()
    died = story.admissions.died
    assert 0.15 < died.mean() < 0.35
    assert (
        not story.admissions[died]
        .subject_id.isin(story.admissions.subject_id[story.admissions.number == 1])[
            story.admissions.number == 0
        ]
        .any()
    ), "admitted again after death"


def test_all_25_phenotypes_occur_in_both_code_versions(raw):
    story = draw_story(600, SEED)
    shares = story.admissions[[c.name for c in CONDITIONS]].mean()
    assert len(CONDITIONS) == 25
    assert shares.between(0.02, 0.6).all(), shares
    codes = read(raw, "hosp/diagnoses_icd")
    assert set(codes.icd_version) == {"9", "10"}
    titles = read(raw, "hosp/d_icd_diagnoses")
    joined = codes.merge(titles, on=["icd_code", "icd_version"])
    assert len(joined) == len(codes)


def test_no_patients_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="at least 1 patient"):
        write_icu(tmp_path, 0, SEED)


def test_the_conditions_are_the_25_benchmark_phenotypes():
    phenotypes = load_phenotypes()
    groups = []
    for condition in CONDITIONS:
        found = {phenotypes.group[code] for code in condition.icd9 + condition.icd10}
        assert len(found) == 1, condition.name
        groups += found
    assert sorted(groups) == list(phenotypes.names)
