"""The published csv layout: complete, and the same stays as the prepared sets."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medjax.data.mimic_iv.channels import load_channels
from medjax.data.prepared import open_set
from tests.data.mimic_iv import raw as hand
from tests.data.mimic_iv.test_prepare import run

SHORT = 4
"""Row of a stay that ends before its first prediction."""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layout")
    made = hand.tables(12)
    made["icustays"][SHORT]["los"] = 3.5 / 24
    raw = hand.write(folder / "raw", made)
    run(raw, folder / "out", "--workers=1", f"--write_benchmark={folder / 'out/benchmark'}")
    return folder / "out"


@pytest.mark.parametrize("task", ["in-hospital-mortality", "phenotyping"])
def test_the_lists_are_the_prepared_sets(out: Path, task: str) -> None:
    splits = open_set(out, task.replace("-", "_")).splits
    for split, part in {"train": "train", "validation": "val", "test": "test"}.items():
        listed = pd.read_csv(out / "benchmark" / task / f"{part}_listfile.csv")
        rows = {
            row["episode"]: row for row in (splits[split][i] for i in range(len(splits[split])))
        }
        assert set(listed.stay) == set(rows)
        for _, line in listed.iterrows():
            row = rows[line.stay]
            assert line.stay_id == row["stay_id"]
            assert line.iloc[3:].tolist() == row["labels"].tolist()
            folder = "test" if part == "test" else "train"
            series = pd.read_csv(out / "benchmark" / task / folder / line.stay)
            assert tuple(series.columns[1:]) == load_channels().names
            assert (np.diff(series.Hours) > 0).all()


def test_hourly_tasks_have_lists(out: Path) -> None:
    for task in ("decompensation", "length-of-stay"):
        lists = [pd.read_csv(path) for path in sorted((out / "benchmark" / task).glob("*.csv"))]
        lines = pd.concat(lists)
        assert len(lines) > 12 * 20
        assert (lines.period_length > 4).all()


def test_a_short_stay_has_a_series_but_no_line(out: Path) -> None:
    stay = pd.read_csv(out / "benchmark/root/all_stays.csv").set_index("los").loc[3.5 / 24]
    for task in ("decompensation", "length-of-stay"):
        folder = out / "benchmark" / task
        (series,) = folder.glob(f"t*/{stay.subject_id}_episode1_timeseries.csv")
        assert (pd.read_csv(series).Hours < 3.6).all()
        lists = [pd.read_csv(path) for path in sorted(folder.glob("*.csv"))]
        assert stay.stay_id not in set(pd.concat(lists).stay_id)


def test_every_subject_has_a_folder(out: Path) -> None:
    root = out / "benchmark/root"
    stays = pd.read_csv(root / "all_stays.csv")
    homes = sorted([*root.glob("train/*"), *root.glob("test/*")])
    assert {int(home.name) for home in homes} == set(stays.subject_id)
    for home in homes:
        rows = pd.read_csv(home / "stays.csv")
        for episode in range(1, len(rows) + 1):
            described = pd.read_csv(home / f"episode{episode}.csv")
            assert described.Icustay.tolist() == [rows.stay_id[episode - 1]]
            assert (home / f"episode{episode}_timeseries.csv").is_file()
        assert "HCUP_CCS_2015" in pd.read_csv(home / "diagnoses.csv")
