"""The 17 measured variables: their item ids, plausible ranges, and columns after discretisation."""

import csv
import gzip
import io
import json
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import numpy as np

_FOLDER = resources.files(__package__) / "resources"


def read_resource(name: str) -> bytes:
    """Return a file of the resources folder, unpacked when its name ends in .gz."""
    data = (_FOLDER / name).read_bytes()
    return gzip.decompress(data) if name.endswith(".gz") else data


def read_json(name: str) -> Any:
    """Return a JSON file of the resources folder."""
    return json.loads(read_resource(name))


def read_rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a csv file of the resources folder, every field as text."""
    return list(csv.DictReader(io.StringIO(read_resource(name).decode("utf-8"))))


@dataclass(frozen=True)
class Item:
    """A charted item: which channel it feeds, and the label that tells its unit."""

    channel: int
    label: str


@dataclass(frozen=True)
class Range:
    """Values outside [outlier_low, outlier_high] are missing, others clipped to the valid ones."""

    outlier_low: float
    valid_low: float
    valid_high: float
    outlier_high: float


@dataclass(frozen=True)
class Channels:
    """The variables in the order of the columns.

    A value of a numeric channel is a float. A value of a categorical one is an index into
    `categories[channel]`, which is sorted the way ties are resolved (numbers by size, then texts by
    characters); `columns[channel]` gives the column of each category among the 59 value columns.
    """

    names: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    """Per channel its categories, () for a numeric one."""
    columns: tuple[np.ndarray, ...]
    """Per channel int64 [max(1, categories)]: columns among the value columns."""
    normal: np.ndarray
    """float64 [17]: the value of a healthy adult (a category index where categorical)."""
    items: dict[int, Item]
    """Item id -> channel and label, for the items that are used."""
    extracted_items: np.ndarray
    """int64, sorted: all item ids that the published extraction copies out."""
    ranges: dict[int, Range]
    """Plausible range of numeric channels."""
    units: dict[int, dict[str, tuple[float, float]]] = field(default_factory=dict)
    """Of a user's own channels: unit in lower case -> factor and offset."""

    @property
    def width(self) -> int:
        """Number of value columns (59)."""
        return sum(len(columns) for columns in self.columns)

    def numeric_columns(self) -> np.ndarray:
        """Return int64 [12]: the value columns that hold numbers."""
        pairs = zip(self.columns, self.categories)
        return np.array([columns[0] for columns, categories in pairs if not categories])

    def header(self, masks: bool = True) -> tuple[str, ...]:
        """Return the column names: values (59), then one mask a channel when `masks`."""
        names = [""] * self.width
        for name, categories, columns in zip(self.names, self.categories, self.columns):
            for column, category in zip(columns, categories or (None,)):
                names[column] = name if category is None else f"{name}->{category}"
        return tuple(names) + tuple(f"mask->{n}" for n in self.names if masks)


def tie_key(text: str) -> tuple[int, float, str]:
    """Sort key of category texts: numbers by size before other texts by characters."""
    return (0, float(text), text) if text.isdigit() else (1, 0.0, text)


def load_channels() -> Channels:
    """Read the channels from the resources of the package."""
    config = read_json("discretizer_config.json")
    names = tuple(config["id_to_channel"])
    categories, columns, normal, width = [], [], [], 0
    for name in names:
        published = config["possible_values"][name]
        known = tuple(sorted(published, key=tie_key))
        size = len(published) or 1
        order = [published.index(category) for category in known] or [0]
        categories.append(known)
        columns.append(width + np.array(order, np.int64))
        healthy = config["normal_values"][name]
        normal.append(known.index(healthy) if known else float(healthy))
        width += size
    variables = read_rows("itemid_to_variable_map.csv.gz")
    items = {
        int(row["ITEMID"]): Item(names.index(row["LEVEL2"]), row["MIMIC LABEL"].lower())
        for row in variables
        if row["LEVEL2"] in names and row["STATUS"] == "ready" and int(row["COUNT"] or 0) > 0
    }
    return Channels(
        names=names,
        categories=tuple(categories),
        columns=tuple(columns),
        normal=np.array(normal),
        items=items,
        extracted_items=np.array(sorted({int(row["ITEMID"]) for row in variables})),
        ranges=_ranges(names, categories),
    )


def _ranges(names: tuple[str, ...], categories: list[tuple[str, ...]]) -> dict[int, Range]:
    """Read the plausible ranges of the numeric channels; names are compared without case."""
    rows = {row["LEVEL2"].lower(): row for row in read_rows("variable_ranges.csv")}
    keys = ("OUTLIER LOW", "VALID LOW", "VALID HIGH", "OUTLIER HIGH")
    return {
        channel: Range(*(float(rows[name.lower()][key]) for key in keys))
        for channel, name in enumerate(names)
        if not categories[channel]
    }
