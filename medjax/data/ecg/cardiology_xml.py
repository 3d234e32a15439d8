"""Resting ECGs in CardiologyXML, as CardioSoft exports them and UK Biobank gives them out.

The file is from outside: its size, its depth and the number of its samples are bounded, an entity
declaration is refused, and nothing that it names is fetched.
"""

import xml.parsers.expat
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medjax.data.ecg.fault import RecordFault
from medjax.data.ecg.recording import standard_age, standard_sex

MOST_BYTES = 32 * 2**20
MOST_DEPTH = 64
MOST_LEADS = 32
BLOCKS = ("StripData", "MedianSamples")
WAVEFORM = "WaveformData"
_OF_BLOCK = ("SampleRate", "Resolution", "ChannelSampleCountTotal")
_OF_FILE = ("Age", "Gender", "DiagnosisText")
_MICROVOLT = ("uvperlsb", "uv")


class Block(NamedTuple):
    """The waveforms of one part of a file."""

    leads: tuple[str, ...]
    samples: np.ndarray
    """Int32 [lead, samples]."""
    sampling_rate: float
    """Hz."""
    millivolt: float
    """What one unit of `samples` is in mV."""


class Cardiology(NamedTuple):
    """What is read of a file."""

    blocks: dict[str, Block]
    """"StripData" (the strip) and "MedianSamples" (the median beat), those that are there."""
    age: float
    """Years; NaN unknown."""
    sex: str
    """"female", "male" or ""."""
    diagnosis: str
    """The lines of the machine's reading."""


def read_cardiology(path: Path) -> Cardiology:
    """Read one file.

    Raises:
        RecordFault: too large, not XML of this kind, an entity declaration, leads of unequal
            length or other than declared, samples that are no whole numbers.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise RecordFault(f"over {MOST_BYTES >> 20} MiB, too large for one ECG")
    reader = _Reader()
    try:
        reader.parser.Parse(path.read_bytes(), True)
    except xml.parsers.expat.ExpatError as e:
        raise RecordFault("damaged XML; fetch it again", f"line {e.lineno}") from e
    except LookupError as e:
        raise RecordFault("XML in an unknown encoding; fetch it again") from e
    if reader.root != "CardiologyXML":
        raise RecordFault("no CardiologyXML; leave it out")
    blocks = {name: _block(name, parts) for name, parts in reader.blocks.items()}
    texts = reader.texts
    return Cardiology(
        blocks,
        standard_age(texts.get("Age", [""])[0]),
        standard_sex(texts.get("Gender", [""])[0]),
        "\n".join(line.strip() for line in texts.get("DiagnosisText", []) if line.strip()),
    )


class _Parts(NamedTuple):
    """The texts of one block, as they stand in the file."""

    waveforms: list[tuple[str, str]]
    """(lead, numbers)."""
    fields: dict[str, tuple[str, str]]
    """Name -> (unit, text)."""


class _Reader:
    """Collects the texts that matter while the parser goes through a file."""

    def __init__(self) -> None:
        self.root = ""
        self.blocks: dict[str, _Parts] = {}
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self._attributes: dict[str, str] = {}
        self._text: list[str] = []
        self.parser = xml.parsers.expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.EntityDeclHandler = self._entity

    def _entity(self, *_: object) -> None:
        raise RecordFault("declares XML entities, which no ECG needs; leave it out")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.root = self.root or name
        self._open.append(name)
        if len(self._open) > MOST_DEPTH:
            raise RecordFault(f"nested more than {MOST_DEPTH} deep; leave it out")
        self._attributes, self._text = attributes, []

    def _characters(self, text: str) -> None:
        self._text.append(text)

    def _end(self, name: str) -> None:
        self._open.pop()
        text, self._text = "".join(self._text), []
        block = next((b for b in BLOCKS if b in self._open), None)
        if block is None:
            if name in _OF_FILE:
                self.texts.setdefault(name, []).append(text)
            return
        parts = self.blocks.setdefault(block, _Parts([], {}))
        if name == WAVEFORM:
            parts.waveforms.append((self._attributes.get("lead", ""), text))
            if len(parts.waveforms) > MOST_LEADS:
                raise RecordFault(f"more than {MOST_LEADS} leads; leave it out", block)
        elif name in _OF_BLOCK:
            parts.fields[name] = (self._attributes.get("units", ""), text)


def _block(name: str, parts: _Parts) -> Block:
    leads = tuple(lead for lead, _ in parts.waveforms)
    rows = [_integers(name, text) for _, text in parts.waveforms]
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise RecordFault("no leads, or leads of unequal length; leave it out", name)
    (length,) = lengths
    if _number(parts, "ChannelSampleCountTotal", length) != length:
        raise RecordFault("holds other samples than it declares; fetch it again", name)
    rate = _number(parts, "SampleRate", 500.0)
    step = _number(parts, "Resolution", 5.0)
    unit = parts.fields.get("Resolution", ("", ""))[0]
    if unit and unit.lower() not in _MICROVOLT:
        raise RecordFault("a resolution that is not in uVperLsb; leave it out", name)
    return Block(leads, np.stack(rows), rate, step / 1000)


def _integers(block: str, text: str) -> np.ndarray:
    """The whole numbers of one lead, separated by commas; one may stand after the last."""
    cells = text.strip().rstrip(",").split(",")
    try:
        return np.array([int(cell) for cell in cells], np.int32)
    except (ValueError, OverflowError):
        raise RecordFault("samples that are no whole numbers; leave it out", block) from None


def _number(parts: _Parts, name: str, default: float) -> float:
    """A number above 0; the default where the file has none."""
    text = parts.fields.get(name, ("", ""))[1].strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = np.nan
    if not 0 < value < 1e9:
        raise RecordFault(f"{name} is not a number above 0; leave it out")
    return value
