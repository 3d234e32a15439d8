"""Selecting, checking and joining events, beside plain loops over them."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from medjax.data.mimic_iv.channels import load_channels
from medjax.data.mimic_iv.episodes import series_of_stays, series_points
from medjax.data.mimic_iv.events import (
    CohortIndex,
    open_event_table,
    select_events,
    validate_events,
)
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.spill import NO_TIME, Encoder, ordered_map, parse_times
from medjax.errors import UserError

CHANNELS = load_channels()
START = np.datetime64("2150-01-01T00:00:00", "s")


def stays() -> pd.DataFrame:
    """Three stays of two subjects; those of the first overlap in time."""
    begin = [START, START + np.timedelta64(6, "h"), START]
    return pd.DataFrame(
        {
            "subject_id": [1, 1, 2],
            "hadm_id": [30, 10, 20],
            "stay_id": [300, 100, 200],
            "intime": pd.Series(begin, dtype="datetime64[s]"),
            "outtime": pd.Series([t + np.timedelta64(10, "h") for t in begin]),
        }
    )


INDEX = CohortIndex.of(stays())
HEADER = "subject_id,hadm_id,stay_id,charttime,itemid,value,valueuom\n"


def select(tmp_path: Path, text: str, items: list[int]) -> tuple:
    folder = tmp_path / "icu"
    folder.mkdir(exist_ok=True)
    (folder / "chartevents.csv").write_text(HEADER + text)
    source, counts = open_event_table(tmp_path, "chartevents"), Counter()
    (block,) = source.blocks
    events = select_events(block, source, "valueuom", np.array(items), INDEX, counts)
    return events, counts


def test_rows_of_other_items_and_subjects_are_left_out(tmp_path: Path) -> None:
    text = '1,30,300,t,7,"a\n,b",u\n1,30,300,t,8,a,u\n9,30,300,t,7,a,u\n2,,,t,99,,\n2,,,,,x,\n'
    events, counts = select(tmp_path, text, [7, 99])
    assert events.subject.tolist() == [1, 2]
    assert events.hadm.tolist() == [30, -1]
    assert events.value.to_pylist() == ["a\n,b", None]
    assert counts == {"rows": 5}


@pytest.mark.parametrize("quoted", ["", '1,30,300,t,7,"q",u\n'])
def test_bad_rows_are_counted_by_reason(tmp_path: Path, quoted: str) -> None:
    text = f"{quoted}1,30,300,t,7,a,u\n1,x,300,t,7,a,u\n1,30,300\n1,30,3.0,t,7,a,u\n 1,30,,t,7,,\n"
    events, counts = select(tmp_path, text, [7])
    assert len(events.subject) == 2 + bool(quoted)
    assert counts["wrong number of fields"] == 1
    assert counts["hadm_id not a whole number"] == 1
    assert counts["stay_id not a whole number"] == 1
    assert counts["rows"] == 5 + bool(quoted)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "icu").mkdir()
    (tmp_path / "icu/chartevents.csv").write_text("subject_id,hadm_id,charttime,itemid,value\n")
    with pytest.raises(UserError, match=r"chartevents\.csv: no column 'stay_id'"):
        open_event_table(tmp_path, "chartevents")


def test_events_get_the_stay_of_their_admission(tmp_path: Path) -> None:
    ids = ["1,30,300", "1,30,", "1,,300", "1,20,200", "1,77,300", "1,30,100", "2,20,200"]
    events, _ = select(tmp_path, "".join(f"{i},t,7,a,u\n" for i in ids), [7])
    counts: Counter[str] = Counter()
    kept, row = validate_events(events, INDEX, counts)
    assert kept.stay.tolist() == [300, 300, 200]
    assert row.tolist() == [0, 0, 2]
    assert counts == {
        "n_events": 7,
        "empty_hadm": 1,
        "no_hadm_in_stay": 2,
        "no_icustay": 1,
        "recovered": 1,
        "icustay_missing_in_stays": 1,
    }


def test_times() -> None:
    texts = ["2150-01-01 00:00:01", None, "soon", "2262-05-01 00:00:00", "2150-13-01 00:00:00"]
    seconds = parse_times(pa.array(texts))
    assert (seconds == NO_TIME).tolist() == [False, True, True, False, True]
    assert seconds[0] == (START + 1).astype(np.int64)
    assert seconds[3] == np.datetime64("2262-05-01", "s").astype(np.int64)


@pytest.mark.parametrize("rules", [Rules.default(), Rules.published()])
def test_series_are_those_of_a_loop_over_events(rules: Rules) -> None:
    rng, table = np.random.default_rng(0), stays()
    records = np.zeros(400, Encoder(CHANNELS, rules).dtype())
    records["stay"] = rng.integers(0, 3, 400)
    records["time"] = START.astype(np.int64) + 1800 * rng.integers(-4, 50, 400)
    records["channel"] = rng.choice([8, 10, 15], 400)
    records["value"] = rng.integers(5, 120, 400)
    by_text = "text" in records.dtype.names
    if by_text:
        converted = records["channel"] == 15
        texts = [str(int(v)) for v in records["value"]]
        records["text"] = np.where(converted, b"", np.array(texts, "S16"))
    subject = table.subject_id.to_numpy()[records["stay"]]
    last: dict[tuple[int, int, int], tuple] = {}
    touched = defaultdict(set)
    for record, who in zip(records, subject):
        key = (int(who), int(record["time"]), int(record["channel"]))
        rank = (bytes(record["text"]) if by_text else b"", float(record["value"]))
        last[key] = max(last.get(key, rank), rank)
        touched[int(who), int(record["time"])].add(int(record["stay"]))
    expected = defaultdict(dict)
    for row, stay in table.iterrows():
        begin, end = (t.to_datetime64().astype("M8[s]").astype(int) for t in stay.iloc[3:5])
        for (who, time, channel), (_, value) in last.items():
            inside = begin <= time <= end or row in touched[who, time]
            if who == stay.subject_id and inside:
                expected[row][(time - begin) / 3600, channel] = value
    for seed in range(3):
        mixed = np.random.default_rng(seed).permutation(records)
        points = series_points(mixed, INDEX)
        got = dict(series_of_stays(points, 17))
        assert got.keys() == expected.keys()
        for row, series in got.items():
            at = np.argwhere(~np.isnan(series.values))
            found = {(series.hours[r], int(c)): series.values[r, c] for r, c in at}
            assert found == expected[row]
            assert (np.diff(series.hours) > 0).all()


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_map_in_threads_keeps_the_order(workers: int) -> None:
    assert list(ordered_map(lambda x: x * x, range(50), workers)) == [x * x for x in range(50)]
