"""Outcomes and channels of one's own: what they give, and what stops them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from medjax.data.manifest import read_manifest
from medjax.data.mimic_iv.channels import load_channels
from medjax.data.mimic_iv.clean import Rejected, encode
from medjax.data.mimic_iv.own_channels import read_channels
from medjax.data.mimic_iv.own_labels import read_own_labels
from medjax.data.mimic_iv.rules import Rules
from medjax.data.prepared import open_set
from medjax.errors import UsageError, UserError
from tests.data.mimic_iv import raw as hand
from tests.data.mimic_iv.test_prepare import run

URINE = {"name": "Urine", "items": [226559], "kind": "numeric", "normal": 60, "range": [0, 2000]}
EYES = {"name": "Eyes", "items": [999999], "kind": "categorical"}
EYES |= {"values": ["used", "not used"], "normal": "used"}


def channels_file(folder: Path, *entries: dict[str, Any], base: str = "benchmark") -> Path:
    path = folder / "channels.json"
    path.write_text(json.dumps({"base": base, "channels": entries}))
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stays with two own outcomes and two own channels."""
    folder = tmp_path_factory.mktemp("own")
    made = hand.tables(12)
    raw = hand.write(folder / "raw", made)
    stays = [row["stay_id"] for row in made["icustays"]][:-3]
    rows = [f"{stay},{i % 2},{'' if i == 4 else '1.0'}" for i, stay in enumerate(stays)]
    (folder / "own.csv").write_text("\n".join(["Stay_ID,delirium,falls", *rows[::-1], "7,1,0", ""]))
    channels = channels_file(folder, URINE, EYES)
    options = (f"--labels={folder / 'own.csv'}", f"--channels={channels}", "--labels_hours=30")
    run(raw, folder / "out", "--workers=1", "--tasks=in_hospital_mortality", *options)
    return folder / "out"


def test_own_outcomes_are_a_set(out: Path) -> None:
    manifest = read_manifest(out)
    entry = manifest["sets"]["own"]
    assert entry["labels"] == ["delirium", "falls"]
    assert (entry["window_hours"], entry["hourly"]) == (30.0, False)
    counts = [line for line in manifest["counts"] if line["rule"] == "--labels"]
    assert [(line["in"], line["out"]) for line in counts] == [(16, 15)]
    rows = [
        records[i] for records in open_set(out, "own").splits.values() for i in range(len(records))
    ]
    found = {int(row["stay_id"]): row for row in rows}
    stays = pd.read_parquet(out / "stays.parquet").set_index("stay_id")
    assert found and all(stays.los_hours[stay] >= 30 for stay in found)
    assert {row["series"].shape for row in rows} == {(30, 59 + 1 + 2 + 19)}
    assert {tuple(row["labels"]) for row in rows} <= {(0, 1), (1, 1), (0, -1)}


def test_own_channels_stand_after_those_of_the_benchmark(out: Path) -> None:
    manifest = read_manifest(out)
    columns = manifest["normalizer"]["own"]["columns"]
    assert columns[:59] == list(load_channels().header(masks=False))
    assert columns[59:62] == ["Urine", "Eyes->used", "Eyes->not used"]
    records = open_set(out, "in_hospital_mortality").splits["train"]
    series = records[0]["series"]
    measured = series[:, columns.index("mask->Urine")] == 1
    assert measured.any() and set(series[measured, 59]) == {100.0}
    eyes = series[:, columns.index("mask->Eyes")] == 1
    np.testing.assert_array_equal(series[:, 61] >= eyes, True)
    assert (series[:, 60] + series[:, 61] == 1).all()
    assert manifest["inputs"]["--channels"]["bytes"] > 0


def test_units_ranges_and_values_of_own_channels(tmp_path: Path) -> None:
    warmth = {"name": "T", "items": [1], "kind": "numeric", "normal": 37, "range": [20, 45]}
    warmth["units"] = {"F": [0.5, 1.0], "x": 2}
    channels = read_channels(channels_file(tmp_path, warmth, EYES, base="none"))
    assert channels.header() == ("T", "Eyes->used", "Eyes->not used", "mask->T", "mask->Eyes")
    rules = Rules.default()
    assert encode(1, "60", "f", channels, rules) == 31
    assert encode(1, "15", " X", channels, rules) == 30
    assert encode(1, "36", "C", channels, rules) == 36
    for text in ("60", "warm"):
        with pytest.raises(Rejected):
            encode(1, text, "", channels, rules)
    code = encode(999999, "not used", "", channels, rules)
    assert channels.categories[1][int(code)] == "not used"
    with pytest.raises(Rejected, match="unknown category"):
        encode(999999, "else", "", channels, rules)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (URINE | {"kind": "number"}, "kind must be"),
        ({k: v for k, v in URINE.items() if k != "normal"}, "'normal' is missing"),
        (URINE | {"rnage": [0, 1]}, "unknown field 'rnage'.*'range'"),
        (URINE | {"name": "Glucose"}, "'Glucose' already"),
        (URINE | {"items": [220045]}, "feeds 'Heart Rate' already"),
        (URINE | {"items": []}, "list of item ids"),
        (URINE | {"range": [3, 1]}, "lowest, highest"),
        (URINE | {"normal": 5000}, "within its range"),
        (URINE | {"units": {"l": "1000"}}, "factor"),
        (EYES | {"normal": "shut"}, "one of its values"),
        (EYES | {"values": ["used", "used"]}, "different texts"),
    ],
)
def test_a_wrong_channel_is_named(tmp_path: Path, entry: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=f"channel 2: .*{sentence}"):
        read_channels(channels_file(tmp_path, EYES | {"name": "Lids", "items": [8]}, entry))


def test_a_file_that_describes_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "channels.json"
    for text in ("{", "[]", '{"channels": []}', '{"channels": [{}], "bsae": "none"}'):
        path.write_text(text)
        with pytest.raises(UserError, match="channels.json"):
            read_channels(path)
    with pytest.raises(UserError, match="give 'benchmark' or 'none'"):
        read_channels(channels_file(tmp_path, URINE, base="benchmrk"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("subject_id,a\n1,0\n", "no column 'stay_id'"),
        ("stay_id\n1\n", "no outcome"),
        ("stay_id,a\n", "no outcome"),
        ("stay_id,a\n1,0\n2,0\n1,1\n", "row 4 repeats the stay_id of row 2"),
        ("stay_id,a\n1,0\n2,yes\n", "row 3: column 'a'"),
        ("stay_id,a\n1,0\n2.5,0\n", "row 3: column 'stay_id' is not an integer"),
    ],
)
def test_a_wrong_label_file_is_named_by_row(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence):
        read_own_labels(path)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--labels=own.csv", "--unlabelled"], "exclude each other"),
        (["--labels_hours=12"], "give --labels"),
        (["--channels=c.json", "--compat=published"], "--normalizer=fit_train"),
        (["--channels=c.json", "--write_benchmark=new"], "benchmark's channels only"),
    ],
)
def test_options_that_exclude_each_other(tmp_path: Path, options: list[str], sentence: str) -> None:
    (tmp_path / "raw").mkdir()
    with pytest.raises(UsageError, match=sentence):
        run(tmp_path / "raw", tmp_path / "out", *options)
