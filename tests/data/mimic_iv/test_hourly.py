"""Labels at whole hours, and that a prefix of a stay is a prefix of its discretised series."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medjax.data.mimic_iv.channels import load_channels
from medjax.data.mimic_iv.discretize import discretize
from medjax.data.mimic_iv.hourly import (
    UNKNOWN,
    Course,
    check_predicted,
    decompensation,
    hourly_labels,
    lived_hours,
    prediction_hours,
    remaining_stay,
)
from medjax.data.mimic_iv.tasks import (
    DECOMPENSATION,
    LENGTH_OF_STAY,
    MULTITASK,
    Excluded,
    benchmark_task,
)
from medjax.data.prepared import open_set
from tests.data.mimic_iv import raw as hand
from tests.data.mimic_iv.test_prepare import run

PHENOTYPES = np.array([1, 0], np.int8)


def test_decompensation_is_death_within_a_day() -> None:
    hours, dies = decompensation(Course(6.5, 40.0, 35.5, True))
    assert hours.tolist() == list(range(7, 36))
    assert dies.tolist() == [int(35.5 - hour < 24) for hour in hours]
    assert not decompensation(Course(0.0, 40.0, 35.5, False))[1].any()
    hours, _ = decompensation(Course(0.0, 40.0, np.inf, False))
    assert hours.tolist() == list(range(5, 41))


def test_remaining_stay_counts_down() -> None:
    hours, remaining = remaining_stay(Course(0.0, 10.25, np.inf, False))
    assert hours.tolist() == [5, 6, 7, 8, 9, 10]
    np.testing.assert_allclose(hours + remaining, 10.25)


def test_no_time_of_death_is_an_infinite_life() -> None:
    intime = np.array(["2150-01-01T10:00"] * 2, "datetime64[s]")
    deaths = np.array(["2150-01-02T11:30", "NaT"], "datetime64[s]")
    assert lived_hours(intime, deaths).tolist() == [25.5, np.inf]


def test_a_stay_that_ends_early_is_excluded_from_hours_alone() -> None:
    short = Course(0.0, 4.5, np.inf, False)
    for name in (DECOMPENSATION, LENGTH_OF_STAY):
        with pytest.raises(Excluded, match="before the first prediction"):
            check_predicted(benchmark_task(name), short)
    check_predicted(benchmark_task(MULTITASK), short)
    dead = Course(0.0, 90.0, 3.0, True)
    with pytest.raises(Excluded):
        check_predicted(benchmark_task(DECOMPENSATION), dead)
    check_predicted(benchmark_task(LENGTH_OF_STAY), dead)


def test_all_tasks_at_once_ask_only_what_can_be_asked() -> None:
    labels = hourly_labels(MULTITASK, Course(1.0, 60.2, 55.5, True), PHENOTYPES)
    assert labels["hours"].tolist() == list(range(5, 61))
    dies = labels["decompensation"]
    assert (dies[:51] == (55.5 - labels["hours"][:51] < 24)).all()
    assert (dies[51:] == UNKNOWN).all()
    assert labels["mortality"] == 1
    for course in (Course(1.0, 47.9, 40.0, True), Course(50.0, 60.0, 55.5, True)):
        assert hourly_labels(MULTITASK, course, PHENOTYPES)["mortality"] == UNKNOWN


@pytest.mark.parametrize("seed", range(3))
def test_a_prefix_has_the_first_steps_of_the_whole_series(seed: int) -> None:
    """For events on whole hours too: these lie in the step before."""
    rng = np.random.default_rng(seed)
    channels, los = load_channels(), 30.7
    times = np.sort(np.concatenate([rng.uniform(0, los, 40), np.arange(0.0, 31.0, 3.0)]))
    values = np.full((len(times), len(channels.names)), np.nan)
    for channel, known in enumerate(channels.categories):
        rows = rng.random(len(times)) < 0.4
        drawn = rng.integers(len(known), size=rows.sum()) if known else rng.normal(size=rows.sum())
        values[rows, channel] = drawn
    whole = discretize(times, values, channels, los)
    for hour in prediction_hours(times[0], los).astype(int):
        kept = times < hour + 1e-6
        prefix = discretize(times[kept], values[kept], channels, float(hour))
        np.testing.assert_array_equal(prefix, whole[:hour])


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hourly")
    raw = hand.write(folder / "raw", hand.tables(12))
    run(
        raw,
        folder / "out",
        "--workers=1",
        "--tasks=all",
        f"--write_benchmark={folder / 'out/benchmark'}",
    )
    return folder / "out"


def listed(out: Path, task: str, split: str) -> pd.DataFrame:
    """A list file of the published layout, as text."""
    part = {"validation": "val"}.get(split, split)
    return pd.read_csv(out / "benchmark" / task / f"{part}_listfile.csv", dtype=str)


@pytest.mark.parametrize("task", [DECOMPENSATION, LENGTH_OF_STAY])
def test_the_labels_of_the_prefixes_are_the_published_list(out: Path, task: str) -> None:
    digits = 0 if task == DECOMPENSATION else 6
    lines = 0
    for split, records in open_set(out, task).splits.items():
        table = listed(out, task.replace("_", "-"), split)
        ours = [
            (row["episode"], f"{hour:.6f}", str(row["stay_id"]), f"{label:.{digits}f}")
            for row in (records[i] for i in range(len(records)))
            for hour, label in zip(row["hours"], row["labels"], strict=True)
        ]
        assert sorted(ours) == sorted(map(tuple, table.to_numpy().tolist()))
        lines += len(ours)
    assert lines > 12 * 20


def test_the_multitask_list_holds_the_labels_of_the_set(out: Path) -> None:
    asked = 0
    for split, records in open_set(out, MULTITASK).splits.items():
        table = listed(out, "multitask", split).set_index("filename")
        assert len(table) == len(records)
        for row in (records[i] for i in range(len(records))):
            los, mortality, stay, bits, dies = table.loc[row["episode"]]
            assert round(float(los), 6) == row["period_length"]
            position, mask, label = map(int, mortality.split(";"))
            assert (position, mask) == ((47, 1) if row["mortality"] >= 0 else (0, 0))
            assert not mask or label == row["mortality"]
            asked += mask
            assert list(map(int, bits.split(";"))) == row["phenotypes"].tolist()
            for fields, known, values in (
                (stay, row["hours"], row["remaining"]),
                (dies, row["hours"][row["decompensation"] >= 0], row["decompensation"]),
            ):
                masks, labels = np.array_split(np.array(fields.split(";"), float), 2)
                hours = np.flatnonzero(masks)
                assert hours.tolist() == known.tolist()
                np.testing.assert_allclose(labels[hours], values[: len(hours)], atol=1e-6)
    assert asked > 5
