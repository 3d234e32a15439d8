"""`config.compat`: the published column of a system's fields, set where the user named none."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from medjax.run.config import set_field


def set_unless_named(
    config: ConfigDict, fields: Mapping[str, Any], named: frozenset[str]
) -> list[str]:
    """Set {dotted name: value}, but for fields that the user named; return those left alone."""
    left = sorted(name for name in fields if name in named)
    for name, value in fields.items():
        if name not in named:
            set_field(config, name, value)
    return left
