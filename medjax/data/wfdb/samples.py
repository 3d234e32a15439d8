"""Samples of WFDB records: only as many bytes are read as the file has and are asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medjax.data.ecg.fault import MissingFile, RecordFault
from medjax.data.ecg.leads import standard_name
from medjax.data.paths import resolve_under
from medjax.data.wfdb.header import Header, SignalLine, read_header
from medjax.errors import UserError

MILLIVOLT = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}
"""Small-letter unit -> what one of it is in mV."""


class Record(NamedTuple):
    """The samples of a record."""

    names: tuple[str, ...]
    values: np.ndarray
    """[signal, samples]: whole numbers (baseline taken away), or floats with NaN for gaps."""
    scale: np.ndarray
    """[signal]: mV a step."""
    rate: float
    """Hz."""
    comments: dict[str, str]
    notes: tuple[str, ...]


class Coding(NamedTuple):
    """How a format keeps samples."""

    bytes_of: Callable[[int], int]
    """Samples -> bytes."""
    decode: Callable[[bytes, int], np.ndarray]
    """(bytes, samples) -> whole numbers."""
    gap: int
    """The value that stands for no value."""


def _plain(dtype: str, gap: int, shift: int = 0) -> Coding:
    """A format of whole bytes a sample."""
    kind = np.dtype(dtype)

    def decode(data: bytes, count: int) -> np.ndarray:
        values = np.frombuffer(data, kind, count)
        return values.astype(np.int32) - shift if shift else values.astype(kind.newbyteorder("="))

    return Coding(lambda count: count * kind.itemsize, decode, gap)


def _decode_24(data: bytes, count: int) -> np.ndarray:
    """Three bytes a sample, the lowest first."""
    low, middle, high = np.frombuffer(data, np.uint8, 3 * count).reshape(count, 3).T
    value = low.astype(np.int32) | middle.astype(np.int32) << 8 | high.astype(np.int32) << 16
    return value - ((value & 0x800000) << 1)


def _decode_212(data: bytes, count: int) -> np.ndarray:
    """Two samples of 12 bits in three bytes; the middle byte has the high bits of both."""
    pairs = (count + 1) // 2
    padded = np.zeros(3 * pairs, np.int32)
    given = np.frombuffer(data, np.uint8)
    padded[: len(given)] = given
    first, middle, second = padded.reshape(pairs, 3).T
    values = np.stack([first | (middle & 0x0F) << 8, second | (middle & 0xF0) << 4], axis=1)
    flat = values.reshape(-1)[:count]
    return flat - ((flat & 0x800) << 1)


CODINGS = {
    "16": _plain("<i2", -(1 << 15)),
    "24": Coding(lambda count: 3 * count, _decode_24, -(1 << 23)),
    "32": _plain("<i4", -(1 << 31)),
    "61": _plain(">i2", -(1 << 15)),
    "80": _plain("u1", -(1 << 7), 1 << 7),
    "160": _plain("<u2", -(1 << 15), 1 << 15),
    "212": Coding(lambda count: (3 * count + 1) // 2, _decode_212, -(1 << 11)),
}


def read_record(header_path: Path, seconds: float | None = None) -> Record:
    """Read a record, or its first `seconds`.

    Raises:
        RecordFault: what `read_header` refuses; a signal file that is missing, leads out of the
            folder or is shorter than the header says; a format, unit or skew that is not read.
    """
    header = read_header(header_path)
    calibrated = all(line.calibrated for line in header.signals)
    notes = [] if calibrated else ["not calibrated: 200 steps a mV taken"]
    parts, scales = [], []
    for group in _groups(header):
        values = _read_group(header_path.parent, group, header, seconds)
        for line, row in zip(group, values):
            if not _sum_agrees(line, row, values.shape[1], header.samples):
                notes.append("checksum differs from the header's")
        gap = CODINGS[group[0].format].gap
        parts.append(_without_baseline(values, group, gap))
        scales += [_millivolt(line) / line.gain for line in group]
    shortest = min(part.shape[1] for part in parts)
    values = np.concatenate([part[:, :shortest] for part in parts])
    names = tuple(line.name for line in header.signals)
    return Record(
        names, values, np.array(scales), header.rate, header.comments, tuple(dict.fromkeys(notes))
    )


def _groups(header: Header) -> list[list[SignalLine]]:
    """Signals that stand interleaved in one file, in the order of the header."""
    groups: list[list[SignalLine]] = []
    for line in header.signals:
        if line.format not in CODINGS:
            known = ", ".join(CODINGS)
            raise RecordFault(
                f"signal format {line.format}, which is not read (read are {known}); convert the "
                "record with the WFDB tools"
            )
        if line.samples_per_frame != 1 or line.skew:
            raise RecordFault("signals of several rates or with skew, which are not read")
        if groups and groups[-1][0].file == line.file:
            groups[-1].append(line)
        else:
            groups.append([line])
    if any(len({(line.format, line.offset) for line in group}) > 1 for group in groups):
        raise RecordFault("a header that gives one file two formats")
    if len({group[0].file for group in groups}) < len(groups):
        raise RecordFault("a header that names a file twice")
    return groups


def _read_group(
    folder: Path, group: list[SignalLine], header: Header, seconds: float | None
) -> np.ndarray:
    """Read the signals of one file: whole numbers [signal, samples]."""
    coding, offset, width = CODINGS[group[0].format], group[0].offset, len(group)
    try:
        path = resolve_under(folder, group[0].file)
        size = path.stat().st_size - offset
    except FileNotFoundError:
        raise MissingFile("no such signal file") from None
    except UserError:
        raise RecordFault("a signal file that is none or leads out of its folder") from None
    except OSError as e:
        raise RecordFault(f"unreadable signal file ({e.strerror})") from e
    # The most samples that fit: bytes_of is at least one byte a sample.
    frames = header.samples
    if frames is None:
        bits = coding.bytes_of(2) * 4
        frames = max(size, 0) * 8 // bits // width
    if coding.bytes_of(frames * width) > size:
        raise RecordFault("a signal file shorter than its header says")
    if seconds is not None:
        frames = min(frames, int(np.ceil(seconds * header.rate)))
    count = frames * width
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read(coding.bytes_of(count))
    if len(data) < coding.bytes_of(count):
        raise RecordFault("a signal file shorter than its header says")
    return coding.decode(data, count).reshape(frames, width).T


def _sum_agrees(line: SignalLine, row: np.ndarray, read: int, stated: int | None) -> bool:
    """Whether the samples add up to the checksum, where all were read."""
    if line.checksum is None or read != stated:
        return True
    return (int(row.sum(dtype=np.int64)) - line.checksum) % (1 << 16) == 0


def _without_baseline(values: np.ndarray, group: list[SignalLine], gap: int) -> np.ndarray:
    """Take the baselines away; floats with NaN where there are gaps."""
    baselines = np.array([[line.baseline] for line in group], np.int64)
    gaps = values == gap
    if gaps.any():
        return np.where(gaps, np.nan, values - baselines)
    return values - baselines if baselines.any() else values


def _millivolt(line: SignalLine) -> float:
    """What one unit of a signal is in mV; 1 for signals that are no lead of an ECG."""
    factor = MILLIVOLT.get(line.unit.lower())
    if factor is None and standard_name(line.name) is not None:
        raise RecordFault("a lead in a unit that is none of V, mV, uV and nV")
    return factor or 1.0
