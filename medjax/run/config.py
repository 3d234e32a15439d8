"""A config as values: dotted names, JSON, differences, digests.

Configs are `ml_collections.ConfigDict`s. Their values are numbers, booleans, text, None, tuples
of these and further ConfigDicts, so that a config is stored as JSON and is never executed again.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict, FieldReference

from medjax.errors import UsageError
from medjax.run.source_name import parse_source

ABSENT = "absent"
"""Stands for the missing value of a field that only one of two configs has."""


class Difference(NamedTuple):
    """A field whose value is not the same in two configs."""

    name: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.name} {self.old!r} -> {self.new!r}"


def flatten(config: ConfigDict | Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields as ``{"data.dir": value}``, sorted by name within each group."""
    flat: dict[str, Any] = {}
    for name in sorted(config):
        value = config[name]
        if isinstance(value, ConfigDict | Mapping):
            flat.update({f"{name}.{inner}": v for inner, v in flatten(value).items()})
        else:
            flat[name] = value
    return flat


def set_field(config: ConfigDict, name: str, value: Any) -> None:
    """Set the field of a dotted name, which the config has."""
    *groups, last = name.split(".")
    for group in groups:
        config = config[group]
    config[last] = value


def check_values(config: ConfigDict) -> None:
    """Raise UsageError when a field holds what cannot be stored as JSON and overridden as text."""
    for name, value in flatten(config).items():
        if not _is_plain(value):
            mend = "write a tuple" if isinstance(value, list) else "use numbers, text or tuples"
            raise UsageError(f"config.{name} is of type {type(value).__name__}; {mend}")


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def to_json(config: ConfigDict) -> dict[str, Any]:
    """Return the config as nested dictionaries of JSON values; tuples become lists."""
    return json.loads(json.dumps(_nested(config), allow_nan=False))


def _nested(config: ConfigDict) -> dict[str, Any]:
    return {k: _nested(v) if isinstance(v, ConfigDict) else v for k, v in config.items()}


def from_json(values: Mapping[str, Any]) -> ConfigDict:
    """Return the locked config that `to_json` gave `values` of; lists become tuples."""
    config = ConfigDict({name: _restored(value) for name, value in values.items()})
    return config.lock()


def _restored(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _restored(inner) for name, inner in value.items()}
    return tuple(map(_restored, value)) if isinstance(value, list) else value


def differences(old: ConfigDict, new: ConfigDict) -> list[Difference]:
    """Return the fields that differ, sorted by name, each with both values (or ``"absent"``)."""
    before, after = flatten(from_json(to_json(old))), flatten(from_json(to_json(new)))
    return [
        Difference(name, before.get(name, ABSENT), after.get(name, ABSENT))
        for name in sorted(before.keys() | after.keys())
        if name not in before or name not in after or before[name] != after[name]
    ]


_PART = re.compile(r"([A-Za-z_][\w/]*):(?!//)(.+)")
_OF_SOURCE = re.compile(r"(.+):([A-Za-z_][\w/]*)")


def free_sources(config: ConfigDict) -> None:
    """Let every `init_from` take one source or parts, whichever it holds."""
    for value in config.values():
        if isinstance(value, ConfigDict) and "init_from" in value:
            with value.ignore_type():
                value["init_from"] = FieldReference(value["init_from"], field_type=object)


def name_parts(config: ConfigDict) -> None:
    """Turn every `init_from` that was typed as "part:source,part:source" into pairs.

    "part:source:part of the source" becomes a triple.
    """
    for name, value in config.items():
        text = value.get("init_from") if isinstance(value, ConfigDict) else None
        if isinstance(text, str) and not _exists(text):
            pairs = [_PART.fullmatch(entry.strip()) for entry in text.split(",")]
            if all(pairs):
                named = tuple((pair[1], *_source(pair[2])) for pair in pairs if pair)
                config[name].init_from = named


def _exists(source: str) -> bool:
    return Path(parse_source(source).name).exists()


def _source(text: str) -> tuple[str, ...]:
    """Return (source,) or, of "source:part of the source", both."""
    match = None if _exists(text) else _OF_SOURCE.fullmatch(text)
    return (match[1], match[2]) if match else (text,)


def initial_weights(config: ConfigDict) -> list[tuple[str, str]]:
    """Return (dotted name, source) for what every `init_from` of the stages to run names.

    An `init_from` is empty, one source, or a tuple of (part, source[, part of the source]).
    """
    found: list[tuple[str, str]] = []
    for stage in config.get("stages", ()):
        value = config.get(stage, {}).get("init_from")
        entries = (("", value),) if isinstance(value, str) else value or ()
        pairs = isinstance(entries, tuple) and all(
            isinstance(entry, tuple) and len(entry) > 1 for entry in entries
        )
        if not pairs:
            raise UsageError(
                f"config.{stage}.init_from: {value!r} is neither one source nor pairs"
                " (('part', 'source'), ...)"
            )
        found += [(f"{stage}.init_from", str(entry[1])) for entry in entries if entry[1]]
    return found


def canonical_json(values: Mapping[str, Any]) -> str:
    """Return `values` as JSON in one form: sorted keys, no blanks."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)


def overrides_hash(changed: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits for ``{dotted name: value}``, whatever its order."""
    return hashlib.sha256(canonical_json(changed).encode()).hexdigest()[:8]
