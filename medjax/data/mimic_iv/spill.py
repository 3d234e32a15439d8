"""The event pass: stream the event tables and spill what the cohort needs, by patient.

Each group of blocks is filtered by item and subject, parsed, checked against the stays and turned
into fixed-width records, independently of all other groups; records go to one file for each table
and range of patients. So neither the order of rows nor the number of workers changes any result.
"""

import functools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from medjax.data.mimic_iv import published
from medjax.data.mimic_iv.channels import Channels
from medjax.data.mimic_iv.clean import Rejected, encode
from medjax.data.mimic_iv.events import (
    CohortIndex,
    Events,
    open_event_table,
    select_events,
    validate_events,
)
from medjax.data.mimic_iv.prefilter import wanted_rows
from medjax.data.mimic_iv.record_files import RecordFiles
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.stream import BLOCK_BYTES, Source
from medjax.data.mimic_iv.tables import TEXT, find_table

TABLES = ("outputevents", "chartevents", "labevents")

REMEMBERED = 1_000_000
"""Distinct values whose result is kept in memory."""

BLOCKS_AT_ONCE = 32
"""Blocks whose wanted rows are parsed together: few rows of each are left."""
THREADS = 4
"""Threads beyond these would wait for the one that unpacks, and hold blocks in memory."""

A = TypeVar("A")
B = TypeVar("B")


class Encoder:
    """Turns events into records, remembering the result for each distinct (item, text, unit)."""

    def __init__(self, channels: Channels, rules: Rules):
        self.channels, self.rules = channels, rules
        self.items = np.array(sorted(channels.items))
        self.by_text = rules.same_time_tie == "text_order"
        self._known: dict[tuple[int, str, str], tuple[float, bytes, str]] = {}

    def dtype(self) -> np.dtype:
        """Return the type of a record: row of the stay, second since 1970, channel, value.

        Where ties are resolved by text, `text` is the value's text as far as it decides (its
        first 16 bytes; empty for a channel that is converted to a number).
        """
        fields: list[Any] = [("stay", "<i4"), ("time", "<i8"), ("channel", "u1"), ("value", "<f8")]
        return np.dtype(fields + ([("text", "S16")] if self.by_text else []))

    def records(self, events: Events, row: np.ndarray, counts: Counter[str]) -> np.ndarray:
        """Return the records of usable events; `counts` gets the others by reason."""
        seconds = parse_times(events.time)
        timed = seconds != NO_TIME
        counts["charttime not a time"] += int((~timed).sum())
        events, row, seconds = events.take(timed), row[timed], seconds[timed]
        code, known = self._distinct(events)
        values = np.array([value for value, _, _ in known])[code] if known else np.array([])
        for (_, _, reason), times in zip(known, np.bincount(code, minlength=len(known))):
            if reason:
                counts[reason] += int(times)
        counts["usable"] += int(np.isfinite(values).sum())
        keep = np.isfinite(values)
        records = np.empty(int(keep.sum()), self.dtype())
        channel = np.zeros(int(events.item.max(initial=0)) + 1, np.uint8)
        for item in np.unique(events.item):
            channel[item] = self.channels.items[int(item)].channel
        records["stay"], records["time"] = row[keep], seconds[keep]
        records["channel"], records["value"] = channel[events.item[keep]], values[keep]
        if self.by_text and len(records):
            records["text"] = np.array([text for _, text, _ in known], "S16")[code[keep]]
        return records

    def _distinct(self, events: Events) -> tuple[np.ndarray, list[tuple[float, bytes, str]]]:
        """Encode each distinct (item, text, unit) once; return code per event, result per code."""
        values = events.value.dictionary_encode()
        units = pc.fill_null(events.unit, "").dictionary_encode()
        value_code = pc.fill_null(values.indices, -1).to_numpy().astype(np.int64) + 1
        key = events.item * len(units.dictionary) + units.indices.to_numpy()
        code, distinct = pd.factorize(key * (len(values.dictionary) + 1) + value_code)
        texts, unit_texts = ["", *values.dictionary.to_pylist()], units.dictionary.to_pylist()
        pair, text_code = np.divmod(distinct, len(texts))
        items, unit_code = np.divmod(pair, max(len(unit_texts), 1))
        results = [
            self._encoded(int(item), texts[text], unit_texts[unit])
            for item, text, unit in zip(items, text_code, unit_code)
        ]
        return code, results

    def _encoded(self, item: int, text: str, unit: str) -> tuple[float, bytes, str]:
        """Return (value, tie text, "") of a usable value, (nan, "", reason) of another."""
        key = (item, text, unit)
        if key not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            channel = self.channels.items[item].channel
            try:
                value = encode(item, text, unit, self.channels, self.rules)
                tie = b"" if self.channels.names[channel] in published.CONVERTED else text.encode()
                self._known[key] = (value, tie, "")
            except Rejected as e:
                self._known[key] = (np.nan, b"", f"{self.channels.names[channel]}: {e}")
        return self._known[key]


NO_TIME = np.iinfo(np.int64).min


def parse_times(texts: pa.Array) -> np.ndarray:
    """Return times such as 2150-01-31 23:59:00 as seconds since 1970, NO_TIME where unreadable."""
    if not len(texts):
        return np.zeros(0, np.int64)
    try:
        times = texts.cast(pa.timestamp("s"))
    except pa.ArrowInvalid:
        form = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$"
        shaped = pc.match_substring_regex(texts, form)
        times = pc.strptime(
            pc.if_else(shaped, texts, pa.scalar(None, TEXT)),
            format="%Y-%m-%d %H:%M:%S",
            unit="s",
            error_is_null=True,
        )
    return pc.fill_null(times.cast(pa.int64()), NO_TIME).to_numpy()


@dataclass
class Tally:
    """What the event pass counted, by table, and the digests of the tables."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)


def spill_events(
    raw: Path,
    stays: pd.DataFrame,
    channels: Channels,
    rules: Rules,
    folder: Path,
    buckets: int,
    workers: int,
    block_bytes: int = BLOCK_BYTES,
) -> Tally:
    """Write the records of all events of the cohort into `folder`, by table and bucket.

    What a killed run has left there is used, as far as it was noted (`record_files`).

    Raises:
        UserError: when a table or column is absent, or a file is damaged.
    """
    index, encoder, tally = CohortIndex.of(stays), Encoder(channels, rules), Tally()
    bucket_of = bucket_of_stays(index, buckets)
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        path = find_table(raw, name)
        target = RecordFiles(folder, name, buckets, path)
        if not target.note.done:
            source, groups = _groups_left(raw, name, target, block_bytes)
            unit = published.UNIT_COLUMN[name] if rules.event_unit == "as_valuenum" else "valueuom"
            process = functools.partial(_process, source, unit, index, encoder)
            for records, counts, read in ordered_map(process, groups, min(workers, THREADS)):
                target.append(_by_bucket(records, bucket_of), counts, read)
            target.finish(source.position.digest())
        tally.counts[name] = Counter(target.note.counts)
        tally.inputs[str(path.relative_to(raw))] = target.note.read
    return tally


class Group(NamedTuple):
    """Successive blocks of a table."""

    blocks: tuple[bytes, ...]
    read: dict[str, Any]
    """Digest of the packed bytes read so far."""


def _groups_left(
    raw: Path, name: str, target: RecordFiles, block_bytes: int
) -> tuple[Source, Iterator[Group]]:
    """Open a table and go to the first group that is not noted; to the start if its bytes differ.

    Blocks that were read before are unpacked again, but not parsed.
    """
    source = open_event_table(raw, name, block_bytes)
    groups, last = _groups(source), target.note.read
    for group in islice(groups, target.note.groups):
        last = group.read
    if last == target.note.read:
        return source, groups
    source.position.close()
    target.restart()
    source = open_event_table(raw, name, block_bytes)
    return source, _groups(source)


def _groups(source: Source) -> Iterator[Group]:
    """Yield the blocks of a table in groups."""
    blocks = with_progress(source)
    while group := tuple(islice(blocks, BLOCKS_AT_ONCE)):
        yield Group(group, source.position.digest())


def _process(
    source: Source, unit: str, index: CohortIndex, encoder: Encoder, group: Group
) -> tuple[np.ndarray, Counter[str], dict[str, Any]]:
    """Return the records of a group of blocks, what was counted, and the group's digest."""
    counts: Counter[str] = Counter()
    place, fields, items = source.columns.index("itemid"), len(source.columns), encoder.items
    found = [wanted_rows(block, fields, place, items) for block in group.blocks]
    counts["rows"] += sum(part.left_out for part in found)
    rows = b"".join(part.rows for part in found)
    events = select_events(rows, source, unit, items, index, counts)
    events, row = validate_events(events, index, counts)
    records = encoder.records(events, row, counts)
    at, stay = records["time"], records["stay"]
    outside = (at < index.start[stay]) | (at > index.end[stay])
    counts["outside the stay"] += int(outside.sum())
    return records, counts, group.read


def bucket_of_stays(index: CohortIndex, buckets: int) -> np.ndarray:
    """Return int64 [stays]: ranges of subjects of equal number, never splitting a subject."""
    rank = np.searchsorted(index.subjects, index.subject_of)
    return rank * buckets // max(len(index.subjects), 1)


def _by_bucket(records: np.ndarray, bucket_of: np.ndarray) -> dict[int, bytes]:
    """Return the records of each bucket that has any."""
    bucket = bucket_of[records["stay"]].astype(np.int16)
    order = np.argsort(bucket, kind="stable")
    present, starts = np.unique(bucket[order], return_index=True)
    parts = np.split(records[order], starts[1:])
    return {int(b): part.tobytes() for b, part in zip(present, parts)}


def ordered_map(function: Callable[[A], B], items: Iterable[A], workers: int) -> Iterator[B]:
    """Map in threads, at most 2 x `workers` items ahead, and yield results in order."""
    if workers <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[B]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def with_progress(source: Source) -> Iterator[bytes]:
    """Yield the blocks of a table under a progress bar over the bytes of its file."""
    size = source.path.stat().st_size
    name = source.path.name
    bar = tqdm(total=size, desc=name, unit="B", unit_scale=True, leave=False, disable=None)
    with bar:
        for block in source.blocks:
            yield block
            bar.update(source.position.bytes - bar.n)
