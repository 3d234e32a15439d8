"""Preparation from raw tables to sets: what may change nothing, and what must stop it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from medjax import prepare as command
from medjax.data.manifest import read_manifest
from medjax.data.mimic_iv import prepare as source
from medjax.data.mimic_iv import report
from medjax.data.mimic_iv.tasks import DEFAULT_TASKS
from medjax.data.prepared import open_set
from medjax.errors import UsageError, UserError
from tests.data.mimic_iv import raw as hand


def run(raw: Path, out: Path, *options: str) -> dict[str, Any]:
    """Prepare and return the manifest."""
    module, args = command.parse(["mimic_iv", f"--raw={raw}", f"--out={out}", *options])
    out.mkdir(exist_ok=True)
    module.prepare(args)
    return read_manifest(out)


def digests(manifest: dict[str, Any]) -> list[str]:
    return [manifest["sets"][task]["digest"] for task in DEFAULT_TASKS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mimic_iv")


@pytest.fixture(scope="module")
def raw(folder: Path) -> Path:
    return hand.write(folder / "raw", hand.tables())


@pytest.fixture(scope="module")
def prepared(folder: Path, raw: Path) -> Path:
    run(raw, folder / "prepared", "--workers=1")
    return folder / "prepared"


def examples(root: Path, task: str) -> dict[int, dict[str, Any]]:
    """All examples of a task by stay, with their split."""
    splits = open_set(root, task).splits.items()
    rows = [split[i] | {"split": name} for name, split in splits for i in range(len(split))]
    return {int(row["stay_id"]): row for row in rows}


def test_every_stay_is_there_once_with_its_label(prepared: Path) -> None:
    stays = pd.read_parquet(prepared / "stays.parquet").set_index("stay_id")
    phenotyping = examples(prepared, "phenotyping")
    mortality = examples(prepared, "in_hospital_mortality")
    assert set(phenotyping) == set(stays.index)
    assert set(mortality) == set(stays.index[stays.los_hours >= 48])
    for stay, row in mortality.items():
        assert row["series"].shape == (48, 76)
        assert row["labels"].tolist() == [stays.mortality[stay]]
    for stay, row in phenotyping.items():
        assert row["series"].shape == (np.ceil(stays.los_hours[stay]), 76)
        assert row["period_length"] == round(stays.los_hours[stay], 6)
        assert row["subject_id"] == stays.subject_id[stay]
        assert row["age"] == stays.age[stay]
    assert stays.mortality.sum() == 1


def test_labels_are_the_phenotypes_of_the_diagnoses(prepared: Path) -> None:
    names = read_manifest(prepared)["sets"]["phenotyping"]["labels"]
    atrial = names.index("Cardiac dysrhythmias")
    kidney = names.index("Acute and unspecified renal failure")
    for row in examples(prepared, "phenotyping").values():
        assert row["labels"][atrial] == 1
        assert row["labels"][kidney] == (row["subject_id"] % 3_000_000_000 % 4 == 1)


def test_no_patient_is_in_two_splits(prepared: Path) -> None:
    for task in DEFAULT_TASKS:
        rows = examples(prepared, task).values()
        pairs = {(int(row["subject_id"]), row["split"]) for row in rows}
        assert len(pairs) == len({subject for subject, _ in pairs})
    assert {split for _, split in pairs} == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("options", "form"),
    [
        (("--workers=1",), {"packed": False}),
        (("--workers=4",), {}),
        (("--workers=2",), {"core": True}),
    ],
)
def test_order_of_rows_workers_and_layout_change_nothing(
    options: tuple[str, ...], form: dict[str, bool], prepared: Path, tmp_path: Path
) -> None:
    other = hand.write(tmp_path / "raw", hand.shuffled(hand.tables(), 1), **form)
    manifest = run(other, tmp_path / "out", *options)
    reference = read_manifest(prepared)
    assert digests(manifest) == digests(reference)
    for key in ("counts", "normalizer", "sets", "fields"):
        assert manifest[key] == reference[key]


def test_buckets_and_blocks_change_nothing(
    raw: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "SUBJECTS_A_BUCKET", 3)
    monkeypatch.setattr(source.spill_events, "__defaults__", (1000,))
    manifest = run(raw, tmp_path / "out", "--workers=2")
    assert digests(manifest) == digests(read_manifest(prepared))


def test_the_fitted_normalizer_is_that_of_the_train_split(prepared: Path) -> None:
    for task in DEFAULT_TASKS:
        split = open_set(prepared, task).splits["train"]
        data = np.concatenate([split[i]["series"] for i in range(len(split))]).astype(np.float64)
        fitted = read_manifest(prepared)["normalizer"][task]
        np.testing.assert_allclose(fitted["means"], data.mean(0), rtol=1e-6, atol=1e-9)
        spread = np.maximum(data.std(0, ddof=1), 1e-7)
        np.testing.assert_allclose(fitted["stds"], spread, rtol=1e-5, atol=1e-7)


def test_published_rules_are_recorded_and_used(raw: Path, tmp_path: Path) -> None:
    manifest = run(raw, tmp_path / "out", "--compat=published", "--fio2_rule=percent_if_above_1")
    assert manifest["fields"]["age_reference"] == "anchor"
    assert manifest["fields"]["fio2_rule"] == "percent_if_above_1"
    assert manifest["normalizer"]["phenotyping"]["name"] == "ph_ts1.0"
    ages = pd.read_parquet(tmp_path / "out/stays.parquet").age
    assert sorted(set(ages)) == list(range(50, 74))


def test_unlabelled_tables_give_one_split_without_labels(tmp_path: Path) -> None:
    made = hand.tables(6)
    del made["diagnoses_icd"], made["d_icd_diagnoses"]
    for row in made["admissions"]:
        del row["dischtime"], row["deathtime"]
    raw = hand.write(tmp_path / "raw", made)
    manifest = run(raw, tmp_path / "out", "--unlabelled", "--workers=1")
    assert manifest["sets"]["phenotyping"]["splits"] == {"all": 9}
    rows = examples(tmp_path / "out", "phenotyping").values()
    assert all("labels" not in row for row in rows)


def test_limit_and_tasks(raw: Path, tmp_path: Path) -> None:
    manifest = run(raw, tmp_path / "out", "--limit=4", "--tasks=phenotyping", "--workers=1")
    assert list(manifest["sets"]) == ["phenotyping"]
    assert pd.read_parquet(tmp_path / "out/stays.parquet").subject_id.nunique() == 4


def test_dry_run_writes_nothing(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command.main(["mimic_iv", f"--raw={raw}", f"--out={out}", "--dry_run"]) == 0
    assert not out.exists()
    assert "rows" in capsys.readouterr().out


@pytest.mark.parametrize("option", [[], ["--dry_run"]])
def test_too_little_space_is_told_before_anything_is_written(
    option: list[str],
    raw: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(report.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    out = tmp_path / "out"
    assert command.main(["mimic_iv", f"--raw={raw}", f"--out={out}", *option]) == 1
    assert not out.exists()
    assert "GB needed" in capsys.readouterr().err


def test_a_log_holds_the_error_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = hand.write(tmp_path / "raw", hand.tables(6))
    path = made / "icu/chartevents.csv.gz"
    path.write_bytes(path.read_bytes()[:-20])
    assert command.main(["mimic_iv", f"--raw={made}", f"--out={tmp_path / 'out'}"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("medjax: ") and message.count("\n") == 1 and "\r" not in message


def test_a_damaged_table_leaves_no_set(raw: Path, tmp_path: Path) -> None:
    made = hand.write(tmp_path / "raw", hand.tables(6))
    path = made / "icu/chartevents.csv.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"chartevents\.csv\.gz.*byte"):
        run(made, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*"))


def test_leftovers_of_a_killed_run_do_not_mix_in(raw: Path, prepared: Path, tmp_path: Path) -> None:
    left = tmp_path / "out/.mimic_iv.partial/events-0000.records"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"\x00" * 2100)
    manifest = run(raw, tmp_path / "out", "--workers=1")
    assert digests(manifest) == digests(read_manifest(prepared))
    assert not left.parent.exists()


def test_a_table_of_unreadable_values_stops(tmp_path: Path) -> None:
    made = hand.tables(6)
    for row in made["chartevents"]:
        row["value"] = "1,234"
    raw = hand.write(tmp_path / "raw", made)
    with pytest.raises(UserError, match="max_error_rate"):
        run(raw, tmp_path / "out")


def test_the_manifest_counts_what_was_rejected(prepared: Path) -> None:
    manifest = read_manifest(prepared)
    assert manifest["rejected_values"]["labevents"] == {"pH: not a number": 36}
    for line in manifest["counts"]:
        assert line["in"] >= line["out"] >= 0
    assert json.dumps(manifest).count("3000000") == 0


@pytest.mark.parametrize("argument", ["--limit=4", "--fio2_rule=always_percent", "--unlabelled"])
def test_sets_of_other_options_are_kept(raw: Path, prepared: Path, argument: str) -> None:
    with pytest.raises(UsageError, match=f"{argument.split('=')[0]}.*--overwrite"):
        run(raw, prepared, argument)


@pytest.mark.parametrize("argument", ["--unlabelled", "--window_hours=24", "full"])
def test_the_published_layout_is_not_written_everywhere(
    raw: Path, tmp_path: Path, argument: str
) -> None:
    layout = tmp_path / "layout"
    if argument == "full":
        layout.mkdir()
        (layout / "other").write_text("")
    options = [] if argument == "full" else [argument]
    with pytest.raises(UsageError, match="--write_benchmark"):
        run(raw, tmp_path / "out", f"--write_benchmark={layout}", *options)
    assert not (tmp_path / "out/manifest.json").exists()


@pytest.mark.parametrize(
    "argument", ["--tasks=mortality", "--tasks=", "--fio2_rule=wrong", "--compat=old"]
)
def test_a_wrong_option_is_a_usage_error(raw: Path, tmp_path: Path, argument: str) -> None:
    with pytest.raises(UsageError):
        run(raw, tmp_path / "out", argument)
