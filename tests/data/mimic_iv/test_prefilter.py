"""Rows that are left out unread are exactly those that the csv reader would not want."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from medjax.data.mimic_iv.events import CohortIndex, Events, select_events
from medjax.data.mimic_iv.prefilter import is_among, plain_numbers, wanted_rows
from medjax.data.mimic_iv.stream import Source
from tests.data.mimic_iv.test_events import stays

ITEMS = np.array([7, 220045, 223761])
INDEX = CohortIndex.of(stays())
COLUMNS = ["subject_id", "hadm_id", "stay_id", "charttime", "itemid", "value", "valueuom"]
PLAIN = ("1", "2", "9", "30", "2150-01-01 00:00:00", "x")
ITEM_TEXTS = ("7", "220045", "223761", "220046", "8", "8", "8", "99999999", "223762")
NASTY = (
    *('"220045"', '"8"', " 220045", "0220045", "123456789", "-7", "", '"a,b"', '"a\nb"', '""'),
    *('"say ""7"""', '"\n220045,\n"', '5" tube', "\xe9", "7.0", "x", "220 045", "1\r2", '"8'),
)


def field(rng: np.random.Generator, column: str, nasty: float) -> str:
    if rng.random() < nasty:
        return str(rng.choice(NASTY))
    ids = {"subject_id": "1", "hadm_id": "30", "stay_id": "300"}
    if column == "itemid":
        return str(rng.choice(ITEM_TEXTS))
    return ids.get(column, str(rng.choice(PLAIN)))


def block(seed: int) -> tuple[bytes, list[str]]:
    """Rows with columns in any order; half of the blocks hold nasty fields and ragged rows."""
    rng = np.random.default_rng(seed)
    columns = [str(c) for c in rng.permutation([*COLUMNS, "more"])]
    nasty = float(rng.choice([0.0, 0.0, 0.002, 0.02]))
    end = str(rng.choice(["\n", "\r\n"]))
    rows = []
    for _ in range(int(rng.integers(1, 60))):
        fields = [field(rng, column, nasty) for column in columns]
        if rng.random() < nasty:
            fields = fields[: int(rng.integers(len(fields)))] or [""]
        if rng.random() < nasty:
            fields.append("1")
        rows.append(",".join(fields) + end)
    return "".join(rows).encode("latin-1"), columns


def rows_of(data: bytes, source: Source) -> tuple[list[tuple], Counter[str]]:
    counts: Counter[str] = Counter()
    events = select_events(data, source, "valueuom", ITEMS, INDEX, counts)
    return sorted(zip(*map(list, _texts(events))), key=repr), counts


def _texts(events: Events) -> list[list]:
    return [*(c.tolist() for c in events[:4]), *(c.to_pylist() for c in events[4:])]


@pytest.mark.parametrize("first", range(0, 600, 60))
def test_the_same_rows_and_counts_as_without(first: int, tmp_path: Path) -> None:
    left_out = 0
    for seed in range(first, first + 60):
        data, columns = block(seed)
        source = Source(tmp_path / "t.csv", columns, None, iter(()))
        found = wanted_rows(data, len(columns), columns.index("itemid"), ITEMS)
        ours, counts = rows_of(found.rows, source)
        expected, reference = rows_of(data, source)
        counts["rows"] += found.left_out
        assert ours == expected, data
        assert +counts == +reference, data
        left_out += found.left_out
    assert left_out > 100


def test_rows_of_other_items_are_left_out_beside_quoted_ones() -> None:
    rows = b'1,7,a\n1,8,b\n1,8,"x,\ny"\n1,9,c\n1,"7",d\n'
    found = wanted_rows(rows, 3, 1, ITEMS)
    assert found.left_out == 2
    assert found.rows == b'1,7,a\n1,8,"x,\ny"\n1,"7",d\n'


@pytest.mark.parametrize("row", [b"1,8\n", b"1,8,b,c\n", b'1,8,5" tube\n', b"1,8,a\rb\n", b"\n"])
def test_a_block_with_an_odd_row_is_kept_whole(row: bytes) -> None:
    block = b"1,8,a\n" * 3 + row
    assert wanted_rows(block, 3, 1, ITEMS) == (block, 0)


def test_two_wrong_rows_do_not_make_up_for_each_other() -> None:
    block = b"1,8,a\n1,8\n1,8,a,b\n"
    assert wanted_rows(block, 3, 1, ITEMS) == (block, 0)


def test_plain_numbers() -> None:
    texts = ["0", "7", "220045", "99999999", "123456789", "", "x", "12a4", " 7", "-7", "00000042"]
    data = np.frombuffer(("#" * 8 + ",".join(texts)).encode(), np.uint8)
    lengths = np.array([len(text) for text in texts])
    start = 8 + np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])
    expected = [0, 7, 220045, 99999999, -1, -1, -1, -1, -1, -1, 42]
    assert plain_numbers(data, start, start + lengths).tolist() == expected


def test_item_ids() -> None:
    values = np.array([-1, 0, 7, 8, 223761, 223762, 10**12])
    assert is_among(ITEMS, values).tolist() == np.isin(values, ITEMS).tolist()
    assert not is_among(np.array([], int), values).any()
