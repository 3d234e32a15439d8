"""Blocks of whole rows from plain and packed files, and files that are damaged."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from medjax.data.mimic_iv.stream import open_table
from medjax.errors import UserError

ROWS = b"".join(b'%d,"a ""quoted""\n, %d",x\r\n' % (i, i * i) for i in range(500))
HEADER = b'\xef\xbb\xbfSubject_ID,"Value",  NOTE \r\n'


def read(path: Path, block_bytes: int) -> tuple[list[str], list[bytes]]:
    table = open_table(path, block_bytes)
    return table.columns, list(table.blocks)


@pytest.mark.parametrize("block_bytes", [1, 7, 100, 4096, 1 << 20])
@pytest.mark.parametrize("packed", [True, False])
def test_blocks_are_whole_rows_and_together_the_file(
    tmp_path: Path, block_bytes: int, packed: bool
) -> None:
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    half = len(ROWS) // 2 + 3
    members = gzip.compress(HEADER + ROWS[:half]) + gzip.compress(ROWS[half:])
    path.write_bytes(members if packed else HEADER + ROWS)
    columns, blocks = read(path, block_bytes)
    assert columns == ["subject_id", "value", "note"]
    assert b"".join(blocks) == ROWS
    assert all(block.endswith(b",x\r\n") for block in blocks)


def test_the_last_row_may_lack_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,2\n3,4")
    assert b"".join(read(path, 4)[1]) == b"1,2\n3,4\n"


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(HEADER + ROWS))
    table = open_table(path)
    list(table.blocks)
    assert table.position.digest()["bytes"] == path.stat().st_size


PACKED = gzip.compress(HEADER + ROWS * 20)
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[: len(data) // 2],
    "without its checksum": lambda data: data[:-4],
    "of a wrong checksum": lambda data: data[:-6] + bytes([data[-6] ^ 1]) + data[-5:],
    "with a flipped bit": lambda data: data[:500] + bytes([data[500] ^ 8]) + data[501:],
    "with garbage behind": lambda data: data + b"garbage",
    "not packed": lambda data: HEADER + ROWS,
    "an html page": lambda data: b"<html>",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_with_its_byte(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "chartevents.csv.gz"
    path.write_bytes(DAMAGE[damage](PACKED))
    with pytest.raises(UserError, match=r"chartevents\.csv\.gz: .*byte [0-9,]+ of"):
        read(path, 1000)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(b"")
    with pytest.raises(UserError, match="0 bytes"):
        read(path, 1000)
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(UserError, match="empty table"):
        read(path, 1000)
