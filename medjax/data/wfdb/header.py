"""WFDB headers (`.hea`), read as text from strangers: nothing they claim is believed unchecked.

The format is that of PhysioNet's header(5) manual page. A folder before the record's or a signal
file's name is stripped: the median beats of PTB-XL+ name one that is not there.
"""

import re
from pathlib import Path
from typing import NamedTuple

from medjax.data.ecg.fault import MissingFile, RecordFault

MOST_BYTES = 1 << 20
"""A header is a few kB."""
MOST_SIGNALS = 1000
DEFAULT_RATE = 250.0
DEFAULT_GAIN = 200.0
"""What WFDB takes where a signal has no gain or gain 0: it is not calibrated."""
LEAST_GAIN, MOST_GAIN = 1e-9, 1e12
_FORMAT = re.compile(r"(\d{1,3})(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_GAIN = re.compile(r"([-+.\deE]+)(?:\(([-+]?\d+)\))?(?:/(\S+))?")
_COMMENT = re.compile(r"#\s*<?([A-Za-z][\w ()]*?)>?\s*:\s*(.*)")


class SignalLine(NamedTuple):
    """What a header says of one signal."""

    file: str
    """Without folder."""
    format: str
    samples_per_frame: int
    skew: int
    offset: int
    """Bytes before the first sample of the file."""
    gain: float
    """Steps a unit."""
    calibrated: bool
    baseline: int
    """Steps at 0 of the unit."""
    unit: str
    checksum: int | None
    """Sum of all samples modulo 2^16."""
    name: str


class Header(NamedTuple):
    """A record of one segment."""

    rate: float
    """Frames a second."""
    samples: int | None
    """Frames; None where the header does not say."""
    signals: tuple[SignalLine, ...]
    comments: dict[str, str]
    """Small-letter key -> text of the lines `# Key: text`."""


def read_header(path: Path) -> Header:
    """Read a header.

    Raises:
        RecordFault: missing, no header, numbers that are none, a record of several segments.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise MissingFile("no such header") from None
    except OSError as e:
        raise RecordFault(f"unreadable header ({e.strerror})") from e
    if len(data) > MOST_BYTES:
        raise RecordFault("not a WFDB header: too long")
    return parse_header(data.decode("utf-8", "replace"))


def parse_header(text: str) -> Header:
    """Read the text of a header; raises as `read_header`."""
    if "\0" in text:
        raise RecordFault("not a WFDB header: not text")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    stated = [line for line in lines if not line.startswith("#")]
    if not stated:
        raise RecordFault("not a WFDB header: no record line")
    name, *fields = stated[0].split()
    if re.search(r"[^/]/\d+$", name):
        raise RecordFault("a record of several segments, which is not read; join its segments")
    count = _whole(fields[0]) if fields else -1
    if not 1 <= count <= MOST_SIGNALS or len(stated) - 1 < count:
        raise RecordFault("not a WFDB header: as many signals as lines are wanted")
    rate = _number(re.split(r"[/(]", fields[1])[0]) if len(fields) > 1 else DEFAULT_RATE
    samples = _whole(fields[2]) if len(fields) > 2 else 0
    if not 0 < rate < 1e6 or samples < 0:
        raise RecordFault("a header with an impossible sampling rate or length")
    signals = tuple(_signal_line(line) for line in stated[1 : count + 1])
    found = [_COMMENT.fullmatch(line) for line in lines]
    comments = {match[1].strip().lower(): match[2].strip() for match in found if match}
    return Header(rate, samples or None, signals, comments)


def _signal_line(line: str) -> SignalLine:
    """Read the line of one signal."""
    fields = line.split(maxsplit=8)
    form = _FORMAT.fullmatch(fields[1]) if len(fields) > 1 else None
    if form is None:
        raise RecordFault("not a WFDB header: a signal without format")
    gain = _GAIN.fullmatch(fields[2]) if len(fields) > 2 else None
    if len(fields) > 2 and gain is None:
        raise RecordFault("a header whose gain is no number")
    steps = _number(gain[1]) if gain else 0.0
    if steps and not LEAST_GAIN < abs(steps) < MOST_GAIN:
        raise RecordFault("a header with an impossible gain")
    zero = _whole(fields[4]) if len(fields) > 4 else 0
    return SignalLine(
        file=fields[0].replace("\\", "/").rpartition("/")[2],
        format=form[1],
        samples_per_frame=_whole(form[2] or "1"),
        skew=_whole(form[3] or "0"),
        offset=_whole(form[4] or "0"),
        gain=steps or DEFAULT_GAIN,
        calibrated=bool(steps),
        baseline=_whole(gain[2]) if gain and gain[2] else zero,
        unit=(gain[3] or "mV") if gain else "mV",
        checksum=_whole(fields[6]) if len(fields) > 6 else None,
        name=fields[8] if len(fields) > 8 else "",
    )


def _whole(text: str) -> int:
    """Read a whole number of at most 18 digits."""
    if not re.fullmatch(r"[-+]?\d{1,18}", text):
        raise RecordFault("a header with a number that is none")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RecordFault("a header with a number that is none") from None
