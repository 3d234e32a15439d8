"""`config.compat`: the published column of a system's fields, set where the user named none."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict


def set_unless_named(
    config: ConfigDict, fields: Mapping[str, Any], named: frozenset[str]
) -> list[str]:
    """Set {dotted name: value}, but for fields that the user named; return those left alone."""
    left = sorted(name for name in fields if name in named)
    for name, value in fields.items():
        if name not in named:
            section, _, last = name.rpartition(".")
            part = config
            for key in filter(None, section.split(".")):
                part = part[key]
            part[last] = value
    return left
