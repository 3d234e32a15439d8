"""Channels of one's own, beside the 17 of the benchmark or instead of them: a JSON file.

    {"base": "benchmark",
     "channels": [
       {"name": "Lactate", "items": [50813, 52442], "kind": "numeric", "normal": 1.0,
        "range": [0.1, 30], "units": {"mg/dl": 0.111}},
       {"name": "Pupil response", "items": [227121], "kind": "categorical",
        "values": ["Brisk", "Sluggish", "Non-reactive"], "normal": "Brisk"}]}

base: "benchmark" (its channels come first) or "none".
items: item ids of chartevents, labevents or outputevents; each feeds one channel.
normal: of a healthy adult, for hours before the first value.
range (numeric): lowest and highest possible value; others count as missing.
units (numeric, optional): unit as charted, without regard to case -> factor, or [factor, offset];
    values in other units stay as they are.
values (categorical): the texts as charted; others are counted and left out.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medjax.data.mimic_iv.channels import Channels, Item, Range, load_channels, tie_key
from medjax.errors import UserError, nearest

MOST = 255
FIELDS = {
    "numeric": ({"name", "items", "kind", "normal", "range"}, {"units"}),
    "categorical": ({"name", "items", "kind", "normal", "values"}, set()),
}
"""Kind -> fields that must be there, fields that may."""


def read_channels(path: Path) -> Channels:
    """Return the channels that a file describes.

    Raises:
        UserError: the file cannot be read, or an entry is wrong; names the channel and the field.
    """
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as e:
        raise UserError(f"{path}: not a readable JSON file ({e})") from e
    entries = described.get("channels") if isinstance(described, dict) else None
    if not isinstance(entries, list) or not entries or not set(described) <= {"base", "channels"}:
        raise UserError(f'{path}: give {{"base": ..., "channels": [...]}} with one channel or more')
    base = described.get("base", "benchmark")
    if base not in ("benchmark", "none"):
        raise UserError(f"{path}: base is {base!r}; give 'benchmark' or 'none'")
    channels = load_channels() if base == "benchmark" else _no_channels()
    for number, entry in enumerate(entries, 1):
        _check(entry, number, path, channels)
        channels = _with(channels, entry)
    if len(channels.names) > MOST:
        raise UserError(f"{path}: {len(channels.names)} channels; give at most {MOST}")
    return channels


def _no_channels() -> Channels:
    none = np.zeros(0, np.int64)
    return Channels((), (), (), np.zeros(0), {}, none, {})


def _check(entry: Any, number: int, path: Path, channels: Channels) -> None:
    """Refuse an entry that does not describe a channel."""

    def refuse(problem: str) -> None:
        raise UserError(f"{path}: channel {number}: {problem}")

    if not isinstance(entry, dict) or entry.get("kind") not in FIELDS:
        refuse("its kind must be 'numeric' or 'categorical'")
    needed, optional = FIELDS[entry["kind"]]
    for name in sorted(needed - set(entry)):
        refuse(f"the field {name!r} is missing")
    for name in sorted(set(entry) - needed - optional):
        refuse(f"unknown field {name!r}{nearest(name, needed | optional)}")
    if not isinstance(entry["name"], str) or not entry["name"] or "->" in entry["name"]:
        refuse("its name must be a text without '->'")
    if entry["name"] in channels.names:
        refuse(f"there is a channel {entry['name']!r} already; name it otherwise")
    items = entry["items"]
    if not isinstance(items, list) or not items or not all(type(i) is int and i > 0 for i in items):
        refuse("its items must be a list of item ids")
    for item in items:
        if item in channels.items:
            other = channels.names[channels.items[item].channel]
            refuse(f"item {item} feeds {other!r} already; leave it out, or give base 'none'")
    if entry["kind"] == "numeric":
        problem = _problem_of_numbers(entry)
    else:
        problem = _problem_of_values(entry)
    if problem:
        refuse(problem)


def _problem_of_numbers(entry: dict[str, Any]) -> str | None:
    limits = entry["range"]
    if not _numbers(limits, 2) or limits[0] >= limits[1]:
        return "its range must be [lowest, highest]"
    if not _numbers([entry["normal"]], 1) or not limits[0] <= entry["normal"] <= limits[1]:
        return "its normal value must be a number within its range"
    units = entry.get("units", {})
    if not isinstance(units, dict) or not all(
        _numbers([rule], 1) or _numbers(rule, 2) for rule in units.values()
    ):
        return "its units must be {unit: factor} or {unit: [factor, offset]}"
    return None


def _problem_of_values(entry: dict[str, Any]) -> str | None:
    values = entry["values"]
    texts = isinstance(values, list) and all(isinstance(v, str) and v.strip() for v in values)
    if not texts or len(set(values)) != len(values) or len(values) < 2:
        return "its values must be two or more different texts"
    return None if entry["normal"] in values else "its normal value must be one of its values"


def _numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(type(v) in (int, float) and np.isfinite(v) for v in values)
    )


def _with(channels: Channels, entry: dict[str, Any]) -> Channels:
    """Return the channels with one more."""
    place, width = len(channels.names), channels.width
    ranges, units = dict(channels.ranges), dict(channels.units)
    if entry["kind"] == "numeric":
        known: tuple[str, ...] = ()
        order, normal = [0], float(entry["normal"])
        low, high = map(float, entry["range"])
        ranges[place] = Range(low, low, high, high)
        units[place] = {
            unit.lower(): (float(rule[0]), float(rule[1]))
            if isinstance(rule, list)
            else (float(rule), 0.0)
            for unit, rule in entry.get("units", {}).items()
        }
    else:
        known = tuple(sorted(entry["values"], key=tie_key))
        order, normal = [entry["values"].index(v) for v in known], known.index(entry["normal"])
        units[place] = {}
    items = channels.items | {item: Item(place, entry["name"].lower()) for item in entry["items"]}
    return replace(
        channels,
        names=(*channels.names, entry["name"]),
        categories=(*channels.categories, known),
        columns=(*channels.columns, width + np.array(order, np.int64)),
        normal=np.append(channels.normal, normal),
        items=items,
        extracted_items=np.union1d(channels.extracted_items, entry["items"]),
        ranges=ranges,
        units=units,
    )
