"""Overrides of single fields: text from the command line becomes a value of the field's type."""

import ast
import math
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from ml_collections import ConfigDict

from medjax.errors import UsageError, nearest
from medjax.run.config import flatten

BOOLEANS = {
    **dict.fromkeys(("true", "t", "1", "yes", "y"), True),
    **dict.fromkeys(("false", "f", "0", "no", "n"), False),
}

EXPECTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    tuple: "values separated by commas",
}


class Override(NamedTuple):
    """One ``--config.name...`` of the command line."""

    name: str
    """Dotted, without the leading "config."."""
    text: str | None
    """The value as typed, None where none was."""
    form: Literal["equals", "space", "bare", "no"] = "equals"
    """``--config.x=1``, ``--config.x 1``, ``--config.x``, ``--noconfig.x``."""


def apply_overrides(
    config: ConfigDict, overrides: Iterable[Override], optional: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Set the named fields of `config` and return those whose value really changed.

    Args:
        config: changed in place.
        overrides: at most one a field.
        optional: dotted names that may be set to None.

    Raises:
        UsageError: an unknown field, a whole group, or a value of the wrong type.
    """
    before = flatten(config)
    named: set[str] = set()
    for override in overrides:
        _check_field(override.name, before, config)
        if override.name in named:
            raise UsageError(f"--config.{override.name} is given twice")
        named.add(override.name)
        *groups, field = override.name.split(".")
        parent = config
        for group in groups:
            parent = parent[group]
        value = parse_override(override, parent.get_type(field), parent[field], optional)
        parent[field] = value
    after = flatten(config)
    return {name: after[name] for name in sorted(named) if after[name] != before[name]}


def _check_field(name: str, fields: dict[str, Any], config: ConfigDict) -> None:
    if name in fields:
        return
    inside = [field for field in fields if field.startswith(f"{name}.")]
    if inside:
        raise UsageError(
            f"config.{name} is a group of fields: set one of them, for example --config.{inside[0]}"
        )
    raise UsageError(f"unknown field config.{name}{nearest_field(name, fields)}")


def nearest_field(name: str, fields: Iterable[str]) -> str:
    """Return ``"; did you mean --config.x?"``: the same name elsewhere, a sibling, or any field."""
    fields = list(fields)
    group, _, last = name.rpartition(".")
    namesakes = [field for field in fields if field.rpartition(".")[2] == last]
    siblings = [field for field in fields if field.rpartition(".")[0] == group]
    if namesakes:
        hint = nearest(name, namesakes) or f"; did you mean {namesakes[0]!r}?"
    else:
        hint = nearest(name, siblings) or nearest(name, fields)
    return hint.replace("'", "--config.", 1).replace("'", "") or "; --help lists the fields"


def parse_override(
    override: Override, kind: type, current: Any, optional: frozenset[str] = frozenset()
) -> Any:
    """Return the value that `override` gives to a field of type `kind` that holds `current`."""
    flag = f"--config.{override.name}"
    if override.form == "no":
        if kind is not bool:
            raise UsageError(f"--noconfig.{override.name}: the field is not true or false")
        return False
    if kind is bool and override.form == "space":
        raise UsageError(f"stray argument {override.text!r}; write {flag}={override.text}")
    if override.text is None:
        if kind is not bool:
            raise UsageError(f"{flag} needs a value: {flag}={EXPECTED.get(kind, 'VALUE')}")
        return True
    if override.text in ("None", "none") and override.name in optional:
        return None
    try:
        return parse_value(override.text, kind, current)
    except ValueError:
        raise UsageError(
            f"{flag} expects {EXPECTED.get(kind, 'a value')} (now {current!r}),"
            f" got {override.text!r}"
        ) from None


def parse_value(text: str, kind: type, current: Any = None) -> Any:
    """Return `text` as a `kind`; elements of a tuple take the type of those in `current`.

    Raises:
        ValueError: `text` is no such value.
    """
    if kind is str:
        return text
    if kind is bool:
        if text.lower() not in BOOLEANS:
            raise ValueError(text)
        return BOOLEANS[text.lower()]
    if kind is int:
        return int(text)
    if kind is float:
        return _finite(float(text))
    if kind is tuple:
        return _parse_tuple(text.strip(), current or ())
    return _guess(text)


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(number)
    return number


def _parse_tuple(text: str, current: tuple[Any, ...]) -> tuple[Any, ...]:
    kinds = {type(element) for element in current}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind in (None, tuple) or "'" in text or '"' in text:
        value = _literal(text)
        if isinstance(value, tuple):
            flat = kind is tuple and not all(isinstance(element, tuple) for element in value)
            return tuple(_element(part, kind) for part in ((value,) if flat else value))
    bracketed = text[:1] + text[1:][-1:] in ("()", "[]")
    parts = [part.strip() for part in (text[1:-1] if bracketed else text).split(",")]
    if not parts[-1]:
        parts.pop()
    return tuple(_element(part, kind) for part in parts)


def _element(part: Any, kind: type | None) -> Any:
    """Return one element of a tuple as a `kind`; `part` is text or an evaluated literal."""
    if part == "":
        raise ValueError("empty element")
    if kind is None:
        return _guess(part) if isinstance(part, str) else part
    if isinstance(part, str):
        return parse_value(part, kind)
    if kind is str:
        return str(part)
    if kind is float and type(part) is int:
        return float(part)
    if type(part) is not kind:
        raise ValueError(part)
    return part


def _guess(text: str) -> Any:
    """Return the literal that `text` spells, or `text` itself."""
    value = _literal(text)
    return text if value is _NOT_LITERAL else value


_NOT_LITERAL = object()


def _literal(text: str) -> Any:
    """Return a number, boolean, text, None or tuple of them (lists become tuples)."""
    try:
        return _plain(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return _NOT_LITERAL


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    if isinstance(value, float):
        return _finite(value)
    if value is not None and not isinstance(value, bool | int | str):
        raise ValueError(value)
    return value
