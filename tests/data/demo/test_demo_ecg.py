"""The invented ECGs: readable as what they imitate, learnable, the same every time."""

import ast
import csv
import hashlib

import numpy as np
import pandas as pd
import pytest

from medjax.data.demo import ecg
from medjax.data.demo.heart import LEADS, draw_hearts, median_beats, strips
from medjax.data.demo.patients import generator
from medjax.data.demo.statements import scp_statements
from medjax.errors import UserError

PATIENTS = 40


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    ecg.write_ptbxl(folder / "ptbxl", PATIENTS, seed=5, sampling_rates=(100, 500))
    ecg.write_medians(folder / "plus", PATIENTS, seed=5)
    return folder


@pytest.fixture(scope="module")
def table(raw):
    return pd.read_csv(raw / "ptbxl" / "ptbxl_database.csv", keep_default_na=False)


def digests(folder) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(folder.rglob("*")) if p.is_file()}  # fmt: skip


def concordance(event, days, risk) -> float:
    """Share of comparable pairs in which the higher risk has the earlier event."""
    i, j = np.triu_indices(len(days), 1)
    i, j = np.where(days[i] <= days[j], i, j), np.where(days[i] <= days[j], j, i)
    comparable = (event[i] == 1) & (days[i] < days[j])
    return float((risk[i] > risk[j])[comparable].mean())


def test_equal_arguments_give_equal_bytes(raw, tmp_path):
    ecg.write_ptbxl(tmp_path / "ptbxl", PATIENTS, seed=5, sampling_rates=(100, 500))
    ecg.write_medians(tmp_path / "plus", PATIENTS, seed=5)
    assert digests(tmp_path) == digests(raw)


def test_a_patient_is_the_same_however_many_there_are(raw, tmp_path):
    ecg.write_ptbxl(tmp_path, 3, seed=5)
    few = digests(tmp_path / "records100")
    many = digests(raw / "ptbxl" / "records100")
    assert len(few) >= 6
    assert all(many[name] == digest for name, digest in few.items())


def test_every_record_of_the_table_is_there(raw, table):
    assert len(table.columns) == 28
    for lr, hr in zip(table.filename_lr, table.filename_hr):
        assert (raw / "ptbxl" / f"{lr}.dat").stat().st_size == 24_000
        assert (raw / "ptbxl" / f"{hr}.dat").stat().st_size == 120_000


def test_folds_keep_patients_whole(table):
    assert (table.groupby("patient_id").strat_fold.nunique() == 1).all()
    assert (table.groupby("patient_id").age.nunique() == 1).all()
    assert set(table.strat_fold) == set(range(1, 11))
    assert len(table) > PATIENTS


def test_statements_are_those_of_the_shipped_table(raw, table):
    with open(raw / "ptbxl" / "scp_statements.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 71
    diagnostic = {row[""] for row in rows if row["diagnostic"] == "1.0"}
    known = {row[""] for row in rows}
    for text in table.scp_codes:
        codes = ast.literal_eval(text)
        assert set(codes) <= known
        assert all((likelihood > 0) == (code in diagnostic) for code, likelihood in codes.items())
        assert any(codes.values())


def test_einthoven_holds(raw, table):
    data = np.fromfile(raw / "ptbxl" / f"{table.filename_lr[0]}.dat", "<i2")
    signal = dict(zip(LEADS, data.reshape(-1, 12).T / 1000))
    # Noise and drift are each lead's own.
    assert np.abs(signal["I"] + signal["III"] - signal["II"]).std() < 0.08
    assert signal["II"].std() > 0.03


def test_medians_have_the_defect_of_the_original(raw, table):
    headers = sorted((raw / "plus" / "median_beats" / "12sl").rglob("*.hea"))
    assert 0.8 * len(table) < len(headers) < len(table)
    first = headers[0].read_text().splitlines()
    assert first[0] == f"ge_median_beats_wfdb/{headers[0].stem} 12 500 600"
    assert headers[0].with_suffix(".dat").stat().st_size == 28_800


def test_severity_is_seen_in_the_signal():
    rngs = [generator(1, i) for i in range(300)]
    hearts = draw_hearts(rngs)
    beat = median_beats(hearts, rngs, 600)
    lead = np.arange(300), np.where(np.abs(hearts.axis - 30) < 60, LEADS.index("V5"), 1)
    beat = beat[lead] / np.abs(beat[lead]).max(axis=1, keepdims=True)
    st = beat[:, 245:252].mean(axis=1)  # 90 to 104 ms after R
    normal = hearts.qrs_ms < 120
    assert np.corrcoef(st[normal], hearts.st_level[normal])[0, 1] > 0.6
    energy = np.abs(np.diff(beat, axis=1)).max(axis=1)
    assert np.corrcoef(energy, hearts.qrs_ms)[0, 1] < -0.5


def test_rate_and_rhythm_are_seen_in_the_strip():
    rngs = [generator(2, i) for i in range(200)]
    hearts = draw_hearts(rngs)
    power = strips(hearts, rngs, 10, 100)[:, LEADS.index("V4")]
    steep = np.abs(np.diff(power, axis=1))
    slopes = [np.flatnonzero(s > 0.5 * s.max()) for s in steep]
    beats = np.array([1 + (np.diff(s) > 25).sum() for s in slopes])
    regular = ~hearts.fibrillating
    assert np.median(np.abs(6 * beats - hearts.rate)[regular]) < 6


@pytest.mark.parametrize("share", [(0.1, "NORM"), (0.02, "CLBBB"), (0.05, "ISCAL"), (0.05, "LVH")])
def test_statements_are_frequent_enough_to_learn(share):
    least, code = share
    found = scp_statements(draw_hearts([generator(3, i) for i in range(1000)]))
    assert sum(code in codes for codes in found) >= least * 1000


def test_the_risk_can_be_told_from_st_level_and_qrs_width():
    event, days, log_hazard = ecg.draw_outcomes(2000, seed=0)
    assert 0.2 < event.mean() < 0.3
    assert 0.82 < concordance(event, days, log_hazard) < 0.9
    assert 1200 < np.median(days) < 2000


def test_risk_files(tmp_path):
    ecg.write_risk(tmp_path, 12, seed=0)
    signal = np.load(tmp_path / "ecg_data.npy", allow_pickle=False)
    outcome = np.load(tmp_path / "y_status_duration.npy", allow_pickle=False)
    assert signal.shape == (12, 12, 600) and signal.dtype == np.float32
    assert 300 < np.abs(signal).max() < 10_000, "microvolt"
    assert outcome.shape == (12, 3)
    assert set(outcome[:, 0]) <= {0, 1}
    assert (outcome[:, 1] >= 1).all()
    assert len(set(outcome[:, 2])) == 12


def test_random_risk_has_nothing_to_learn(tmp_path):
    ecg.write_random_risk(tmp_path, 30, seed=0)
    signal = np.load(tmp_path / "ecg_data.npy")
    outcome = np.load(tmp_path / "y_status_duration.npy")
    assert signal.shape == (30, 12, 608)
    assert outcome[:, 1].max() < 100
    assert outcome[:, 2].tolist() == list(range(30))


@pytest.mark.parametrize("write", [ecg.write_ptbxl, ecg.write_medians, ecg.write_risk])
def test_no_patients_is_an_error(write, tmp_path):
    with pytest.raises(UserError, match="at least 1"):
        write(tmp_path, 0, 0)
