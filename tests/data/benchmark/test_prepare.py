"""The published layout, written by one command and read back by another."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from medjax.data.benchmark.lists import LIST_OF
from medjax.data.mimic_iv.tasks import BENCHMARK_TASKS
from medjax.data.prepared import open_set, read_manifest
from medjax.prepare import main
from tests.data.mimic_iv import raw as hand

SUBJECTS = 12


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `out`, prepared from raw tables, and `layout`, written beside it."""
    folder = tmp_path_factory.mktemp("benchmark")
    raw = hand.write(folder / "raw", hand.tables(SUBJECTS))
    options = [f"--write_benchmark={folder / 'layout'}", "--tasks=all", "--workers=1"]
    assert main(["mimic_iv", f"--raw={raw}", f"--out={folder / 'out'}", *options]) == 0
    return folder


@pytest.fixture(scope="module")
def read_back(written: Path) -> Path:
    assert run(written / "layout", written / "back") == 0
    return written / "back"


@pytest.fixture
def layout(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(written / "layout", tmp_path / "layout"))


def run(layout: Path, out: Path, *options: str) -> int:
    return main(["benchmark", f"--raw={layout}", f"--out={out}", "--workers=1", *options])


def rows(folder: Path, task: str) -> dict[str, dict[str, Any]]:
    """Series file -> record, with its split."""
    splits = open_set(folder, task).splits
    return {row["episode"]: row | {"split": s} for s, part in splits.items() for row in part}


@pytest.mark.parametrize("task", BENCHMARK_TASKS)
def test_what_was_written_is_read_back(written: Path, read_back: Path, task: str) -> None:
    ours, back = rows(written / "out", task), rows(read_back, task)
    if task == "multitask":  # its list has no way to say that phenotypes are not known
        ours = {k: row for k, row in ours.items() if (row["phenotypes"] >= 0).all()}
    assert set(ours) == set(back) and len(ours) > 3
    for name, row in ours.items():
        assert set(row) == set(back[name])
        for key, value in row.items():
            if key in ("labels", "remaining", "age"):
                np.testing.assert_allclose(back[name][key], value, atol=1e-6, err_msg=key)
            else:
                np.testing.assert_array_equal(back[name][key], value, err_msg=key)


def test_the_rest_is_read_back_too(written: Path, read_back: Path) -> None:
    ours, back = (read_manifest(folder) for folder in (written / "out", read_back))
    for task in BENCHMARK_TASKS:
        for key in ("labels", "hourly", "window_hours"):
            assert ours["sets"][task][key] == back["sets"][task][key]
        assert ours["normalizer"][task]["columns"] == back["normalizer"][task]["columns"]
        if task != "multitask":
            for key in ("means", "stds"):
                np.testing.assert_allclose(
                    back["normalizer"][task][key], ours["normalizer"][task][key], rtol=1e-9
                )
    tables = [pd.read_parquet(folder / "stays.parquet") for folder in (written / "out", read_back)]
    first, second = (table.set_index("stay_id") for table in tables)
    pd.testing.assert_frame_equal(first.loc[second.index], second)
    assert len(second) == len(first)


def test_workers_change_no_record(written: Path, read_back: Path, tmp_path: Path) -> None:
    tasks = "--tasks=in-hospital-mortality"
    assert run(written / "layout", tmp_path / "out", tasks, "--workers=2") == 0
    some = read_manifest(tmp_path / "out")["sets"]
    assert set(some) == {"in_hospital_mortality"}
    assert all(read_manifest(read_back)["sets"][task] == entry for task, entry in some.items())


def test_limit_and_hash_and_published_statistics(written: Path, tmp_path: Path) -> None:
    options = ["--limit=5", "--split=hash", "--normalizer=ph_ts1.0", "--tasks=phenotyping"]
    assert run(written / "layout", tmp_path / "out", *options) == 0
    manifest = read_manifest(tmp_path / "out")
    assert len({row["subject_id"] for row in rows(tmp_path / "out", "phenotyping").values()}) <= 5
    assert manifest["normalizer"]["phenotyping"]["name"] == "ph_ts1.0"
    assert "hash" in manifest["split_rule"]


def test_lists_without_stays_are_enough(layout: Path, tmp_path: Path) -> None:
    """As mimic3-benchmarks writes them: no stay_id, and tables of another kind."""
    shutil.rmtree(layout / "root")
    task = layout / "in-hospital-mortality"
    for path in sorted(task.glob("*_listfile.csv")):
        pd.read_csv(path, dtype=str).drop(columns=["stay_id", "period_length"]).to_csv(
            path, index=False
        )
    assert run(layout, tmp_path / "out", "--tasks=in_hospital_mortality") == 0
    found = rows(tmp_path / "out", "in_hospital_mortality")
    assert len({row["stay_id"] for row in found.values()}) == len(found)
    assert not (tmp_path / "out/stays.parquet").exists()


def test_dry_run_writes_nothing(written: Path, tmp_path: Path, capsys: Any) -> None:
    assert run(written / "layout", tmp_path / "out", "--dry_run") == 0
    assert "series of 5 tasks" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def edit(path: Path, **columns: Any) -> None:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name, value in columns.items():
        table.loc[0, name] = value
    table.to_csv(path, index=False)


def any_series(layout: Path) -> Path:
    return min((layout / "in-hospital-mortality/train").glob("*.csv"))


def damage(layout: Path, how: str) -> None:
    mortality = layout / "in-hospital-mortality"
    listed = mortality / "train_listfile.csv"
    match how:
        case "no list":
            (mortality / "val_listfile.csv").unlink()
        case "no split":
            listed.rename(mortality / "train/listfile.csv")
        case "no file":
            any_series(layout).unlink()
        case "column":
            series = any_series(layout)
            pd.read_csv(series, dtype=str).drop(columns="Heart Rate").to_csv(series, index=False)
        case "unknown stay":
            edit(listed, stay_id="39999999")
        case "label":
            edit(listed, y_true="2")
        case "name":
            edit(listed, stay="series.csv")
        case "number":
            edit(any_series(layout), **{"Heart Rate": "fast"})
        case "category":
            edit(any_series(layout), **{"Glascow coma scale eye opening": "shut"})
        case "order":
            edit(any_series(layout), Hours="47.9")
        case "twice":
            table = pd.read_csv(listed, dtype=str)
            pd.concat([table, table[:1]]).to_csv(listed, index=False)
        case "two splits":
            table = pd.read_csv(listed, dtype=str)
            table[:0].to_csv(listed, index=False)
            table.to_csv(mortality / "val_listfile.csv", index=False)
        case "hour":
            edit(layout / "decompensation/train_listfile.csv", period_length="5.5")
        case "multitask":
            path = layout / "multitask/train_listfile.csv"
            edit(path, **{"phenotyping task (labels)": "0;1"})


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no list", "val_listfile.csv: no such list"),
        ("no split", "run the benchmark's own split"),
        ("no file", "1 listed files are missing"),
        ("column", "no column 'Heart Rate'"),
        ("unknown stay", "all_stays.csv: has no stay for"),
        ("label", "train_listfile.csv, row 2: column 'y_true'"),
        ("name", "train_listfile.csv, row 2: column 'stay'"),
        ("number", "row 2: column 'Heart Rate' is not a number"),
        ("category", "row 2: column 'Glascow coma scale eye opening' holds none of"),
        ("order", "column 'Hours' is empty somewhere or descends"),
        ("twice", "is listed more than once"),
        ("two splits", "stand in more than one split"),
        ("hour", "decompensation/train_listfile.csv, row 2: 'period_length'"),
        ("multitask", "multitask/train_listfile.csv, row 2: labels"),
    ],
)
def test_bad_folders_are_one_sentence(
    layout: Path, tmp_path: Path, capsys: Any, how: str, words: str
) -> None:
    damage(layout, how)
    assert run(layout, tmp_path / "out") == 1
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_another_folder_is_named(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "raw").mkdir()
    assert run(tmp_path / "raw", tmp_path / "out") == 1
    assert "none of the folders in-hospital-mortality" in capsys.readouterr().err
    assert run(tmp_path / "raw", tmp_path / "out", "--tasks=mortality") == 2
    assert "in_hospital_mortality" in capsys.readouterr().err
    assert set(LIST_OF) == {"train", "validation", "test"}
