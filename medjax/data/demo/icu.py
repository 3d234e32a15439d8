"""Writes the synthetic patients as the tables of MIMIC-IV 2.2 (`hosp/` and `icu/`, csv.gz)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from medjax.data.demo.conditions import BYSTANDERS, CONDITIONS
from medjax.data.demo.events import ITEMS, LABS, Events, chart_events, lab_events, output_events
from medjax.data.demo.patients import EPOCH, HOUR, Story, draw_story
from medjax.data.demo.rawcsv import require_patients, write_columns, write_table
from medjax.data.demo.vitals import draw_hours

_RACES = np.array([
    "WHITE", "WHITE", "WHITE", "BLACK/AFRICAN AMERICAN", "HISPANIC/LATINO - PUERTO RICAN",
    "ASIAN - CHINESE", "PORTUGUESE", "UNKNOWN",
])  # fmt: skip


def write_icu(folder: Path, patients: int, seed: int) -> None:
    """Write the hospital and ICU tables of `patients` synthetic patients below `folder`.

    Equal arguments give equal bytes. Raises `UserError` when `patients` is below 1.
    """
    require_patients(patients)
    story = draw_story(patients, seed)
    hours = draw_hours(story, seed)
    write_table(folder / "hosp/patients.csv.gz", _patients(story))
    write_table(folder / "hosp/admissions.csv.gz", _admissions(story))
    write_table(folder / "hosp/diagnoses_icd.csv.gz", _diagnoses(story))
    write_table(folder / "hosp/d_icd_diagnoses.csv.gz", _diagnosis_titles())
    write_table(folder / "hosp/d_labitems.csv.gz", _lab_items())
    write_table(folder / "icu/icustays.csv.gz", _icustays(story))
    write_table(folder / "icu/d_items.csv.gz", _items())
    _write_chart(folder / "icu/chartevents.csv.gz", story, chart_events(story, hours))
    _write_output(folder / "icu/outputevents.csv.gz", story, output_events(hours))
    _write_labs(folder / "hosp/labevents.csv.gz", story, lab_events(story, hours))


def _times(seconds: pd.Series | np.ndarray) -> np.ndarray:
    return EPOCH + np.asarray(seconds).astype("timedelta64[s]")


def _texts(seconds: pd.Series | np.ndarray) -> pd.Series:
    """`YYYY-MM-DD HH:MM:SS`, as MIMIC-IV writes times."""
    return pd.Series(np.datetime_as_string(_times(seconds), unit="s")).str.replace("T", " ")


def _patients(story: Story) -> pd.DataFrame:
    people = story.patients
    first = story.admissions[story.admissions.number == 0]
    last = story.admissions.drop_duplicates("patient", keep="last")
    year = _times(first.intime).astype("datetime64[Y]").astype(int) + 1970
    # The anchor year lies up to two years before the first stay, the anchor age with it.
    back = np.where(people.age > 20, (3 * people.anchor_u).astype(int), 0)
    age = people.age - back
    days = np.where(last.died_later, 20 + 300 * last.late_death_u.to_numpy() * 10, 0)
    death = np.datetime_as_string(_times(last.dischtime + days * 24 * HOUR), unit="D")
    dead = (last.died | last.died_later).to_numpy()
    return pd.DataFrame({
        "subject_id": people.subject_id,
        "gender": people.gender,
        "anchor_age": np.where(age > 89, 91, age),
        "anchor_year": year - back,
        "anchor_year_group": np.where(people.icd_u < 0.5, "2011 - 2013", "2017 - 2019"),
        "dod": np.where(dead, death, ""),
    }).sort_values("subject_id")  # fmt: skip


def _admissions(story: Story) -> pd.DataFrame:
    a = story.admissions
    discharge = _texts(a.dischtime)
    emergency = a.unit_u < 0.7
    return pd.DataFrame({
        "subject_id": a.subject_id,
        "hadm_id": a.hadm_id,
        "admittime": _texts(a.admittime),
        "dischtime": discharge,
        "deathtime": np.where(a.died, discharge, ""),
        "admission_type": np.where(emergency, "EW EMER.", "ELECTIVE"),
        "admit_provider_id": "",
        "admission_location": np.where(emergency, "EMERGENCY ROOM", "PHYSICIAN REFERRAL"),
        "discharge_location": np.where(a.died, "DIED", np.where(a.ward_u < 0.5, "HOME", "REHAB")),
        "insurance": np.where(a.age >= 65, "Medicare", "Other"),
        "language": np.where(a.group_u < 0.9, "ENGLISH", "?"),
        "marital_status": np.where(a.group_u < 0.5, "MARRIED", "SINGLE"),
        "race": _RACES[(a.group_u * len(_RACES)).astype(int)],
        "edregtime": "",
        "edouttime": "",
        "hospital_expire_flag": a.died.astype(int),
    }).sort_values("hadm_id")  # fmt: skip


def _icustays(story: Story) -> pd.DataFrame:
    s = story.stays
    return pd.DataFrame({
        "subject_id": s.subject_id,
        "hadm_id": s.hadm_id,
        "stay_id": s.stay_id,
        "first_careunit": s.first_careunit,
        "last_careunit": s.last_careunit,
        "intime": _texts(s.intime),
        "outtime": _texts(s.outtime),
        "los": ((s.outtime - s.intime) / (24 * HOUR)).round(6),
    }).sort_values("stay_id")  # fmt: skip


def _diagnoses(story: Story) -> pd.DataFrame:
    """One code for each condition, of version 9 or 10 by patient, and one or two bystanders."""
    a = story.admissions
    ten, patient = (a.icd_u >= 0.5).to_numpy(), a.patient.to_numpy()
    parts = []
    for k, condition in enumerate(CONDITIONS):
        rows = np.flatnonzero(a[condition.name])
        choices = [condition.icd10 if ten[r] else condition.icd9 for r in rows]
        chosen = [c[patient[r] % len(c)] for r, c in zip(rows, choices)]
        parts.append(pd.DataFrame({"row": rows, "rank": k, "icd_code": chosen}))
    for k, (_, nine, new) in enumerate(BYSTANDERS):
        rows = np.flatnonzero((a.hadm_id // 2 + k) % 3 != 0)
        codes = np.where(ten[rows], new, nine)
        parts.append(pd.DataFrame({"row": rows, "rank": 100 + k, "icd_code": codes}))
    d = pd.concat(parts).sort_values(["row", "rank"], ignore_index=True)
    return pd.DataFrame({
        "subject_id": a.subject_id.to_numpy()[d.row],
        "hadm_id": a.hadm_id.to_numpy()[d.row],
        "seq_num": d.groupby("row").cumcount() + 1,
        "icd_code": d.icd_code,
        "icd_version": np.where(ten[d.row], 10, 9),
    })  # fmt: skip


def _diagnosis_titles() -> pd.DataFrame:
    rows = [
        (code, version, f"{c.name}, variant {k}" if k else c.name)
        for c in CONDITIONS
        for version, codes in ((9, c.icd9), (10, c.icd10))
        for k, code in enumerate(codes)
    ]
    rows += [(nine, 9, name) for name, nine, _ in BYSTANDERS]
    rows += [(ten, 10, name) for name, _, ten in BYSTANDERS]
    return pd.DataFrame(sorted(rows), columns=["icd_code", "icd_version", "long_title"])


def _items() -> pd.DataFrame:
    return pd.DataFrame([
        {"itemid": item, "label": label, "abbreviation": label,
         "linksto": "outputevents" if category == "Output" else "chartevents",
         "category": category, "unitname": unit,
         "param_type": "Text" if item in (220048, 220739, 223900, 223901) else "Numeric",
         "lownormalvalue": "", "highnormalvalue": ""}
        for item, (label, unit, category) in ITEMS.items()
    ])  # fmt: skip


def _lab_items() -> pd.DataFrame:
    return pd.DataFrame([
        {"itemid": item, "label": label, "fluid": "Blood", "category": category}
        for item, (label, _, category, _, _) in LABS.items()
    ])  # fmt: skip


def _shift_order(story: Story, events: Events) -> np.ndarray:
    """Rows bound shift by shift: a patient returns in each book, as in the open MIMIC-IV demo."""
    subject = story.stays.subject_id.to_numpy()[events.stay]
    shift = events.second // (8 * HOUR) % 3
    return np.lexsort((events.item, events.second, subject, shift))


def _ids(story: Story, stay: np.ndarray) -> dict[str, pa.Array]:
    return {name: pa.array(story.stays[name].to_numpy()[stay])
            for name in ("subject_id", "hadm_id", "stay_id")}  # fmt: skip


def _time_array(seconds: np.ndarray) -> pa.Array:
    return pa.array(_times(seconds))


def _units(item: np.ndarray, table: dict[int, str]) -> pa.Array:
    known, inverse = np.unique(item, return_inverse=True)
    return pa.array([table[int(i)] for i in known], pa.string()).take(pa.array(inverse))


def _write_chart(path: Path, story: Story, events: Events) -> None:
    order = _shift_order(story, events)
    stay, second, item = events.stay[order], events.second[order], events.item[order]
    write_columns(path, {
        **_ids(story, stay),
        "caregiver_id": pa.array(40_000 + second // (8 * HOUR) % 97),
        "charttime": _time_array(second),
        "storetime": _time_array(second + 60 * (1 + item % 40)),
        "itemid": pa.array(item),
        "value": events.text.take(pa.array(order)),
        "valuenum": events.number.take(pa.array(order)),
        "valueuom": _units(item, {i: unit for i, (_, unit, _) in ITEMS.items()}),
        "warning": pa.array(events.warning[order].astype(np.int8)),
    })  # fmt: skip


def _write_output(path: Path, story: Story, events: Events) -> None:
    order = _shift_order(story, events)
    stay, second, item = events.stay[order], events.second[order], events.item[order]
    write_columns(path, {
        **_ids(story, stay),
        "caregiver_id": pa.array(40_000 + second // (8 * HOUR) % 97),
        "charttime": _time_array(second),
        "storetime": _time_array(second + 600),
        "itemid": pa.array(item),
        "value": events.text.take(pa.array(order)),
        "valueuom": _units(item, {i: unit.lower() for i, (_, unit, _) in ITEMS.items()}),
    })  # fmt: skip


def _write_labs(path: Path, story: Story, events: Events) -> None:
    """No stay id; no admission id for clinic values and a few others."""
    order = _shift_order(story, events)
    stay, second, item = events.stay[order], events.second[order], events.item[order]
    ids = _ids(story, stay)
    admitted = story.admissions.admittime.to_numpy()[story.stays.admission][stay]
    outpatient = (second < admitted) | (second // 60 % 60 == 37)
    known, inverse = np.unique(item, return_inverse=True)
    low, high = (np.array([LABS[int(i)][k] for i in known])[inverse] for k in (3, 4))
    number = events.number.take(pa.array(order))
    values = number.to_numpy(zero_copy_only=False)
    abnormal = np.where((values < low) | (values > high), "abnormal", "")
    empty = pa.array(np.full(len(order), ""))
    write_columns(path, {
        "labevent_id": pa.array(np.arange(1, len(order) + 1)),
        "subject_id": ids["subject_id"],
        "hadm_id": pa.array(ids["hadm_id"].to_numpy(), mask=outpatient),
        "specimen_id": pa.array(97_000_000 + second // 60 % 1_000_000),
        "itemid": pa.array(item),
        "order_provider_id": empty,
        "charttime": _time_array(second),
        "storetime": _time_array(second + 3000),
        "value": events.text.take(pa.array(order)),
        "valuenum": number,
        "valueuom": _units(item, {i: lab[1] for i, lab in LABS.items()}),
        "ref_range_lower": pa.array(low),
        "ref_range_upper": pa.array(high),
        "flag": pa.array(abnormal),
        "priority": pa.array(np.where(item == 50931, "ROUTINE", "")),
        "comments": empty,
    })  # fmt: skip
