"""What `python -m medjax.main` prints without arguments and with --help."""

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from medjax.errors import UsageError
from medjax.run.arguments import FLAGS
from medjax.run.config import flatten
from medjax.run.words import Loaded, Recipe, list_configs, open_recipe

COMMAND = "python -m medjax.main"
WIDEST = 56
"""Characters of a first column; a longer entry takes a line of its own."""


def overview(sources: Mapping[str, str]) -> str:
    """Return what there is to run: systems, modes, and the `sources` {name: summary} of prepare."""
    lines = [f"usage: {COMMAND} --config=PATH[:word,word] [--config.field=value ...]", ""]
    lines += ["Systems, each with an embedded demo:"]
    lines += _table((f"{COMMAND} --config={path}", _about(path)) for path in list_configs())
    lines += ["", "Flags:", *_flags()]
    lines += ["", "Raw data become prepared sets with: python -m medjax.prepare SOURCE"]
    lines += _table(sources.items())
    lines += ["", "Published weights become a start for a stage with: python -m medjax.convert"]
    lines += ["", "Finished runs become one table with: python -m medjax.tables RUN RUN ..."]
    lines += ["", f"Words and fields of a system: {COMMAND} --config=PATH --help"]
    return "\n".join(lines)


def config_help(recipe: Recipe, loaded: Loaded) -> str:
    """Return the words that `recipe` knows, and the fields with the values that `loaded` has."""
    applied = ",".join(loaded.words)
    lines = [f"{recipe.path}: {_first_line(recipe.get_config)}", "", "Flags:", *_flags()]
    grouped = {word: group for group, words in recipe.groups.items() for word in words}
    lines += ["", "Words, after the colon, in any order (one size, one of any other group):"]
    lines += _table(
        (f"{word}" + (f" [{grouped[word]}]" if word in grouped else ""), _first_line(function))
        for word, function in recipe.words.items()
    )
    lines += ["", f"Fields, with the values that {applied or 'no word'} gives:"]
    config = loaded.config
    choices = recipe.choices
    lines += _table(
        (f"--config.{name}={_shown(value)}", _type(config, name) + _choices(name, choices))
        for name, value in flatten(config).items()
    )
    return "\n".join(lines)


def _about(path: Path) -> str:
    try:
        return _first_line(open_recipe(path).get_config)
    except UsageError as error:
        return str(error)


def _first_line(function: Any) -> str:
    return (inspect.getdoc(function) or "").split("\n", 1)[0]


def _flags() -> list[str]:
    return _table(
        (f"--{name}" + (f"={first}" if first else ""), text.strip())
        for name, (first, text) in FLAGS.items()
    )


def _type(config: Any, name: str) -> str:
    *groups, field = name.split(".")
    for group in groups:
        config = config[group]
    kind = config.get_type(field)
    return "any" if kind in (object, type(None)) else kind.__name__


def _choices(name: str, choices: Mapping[str, tuple[str, ...]]) -> str:
    for field, allowed in choices.items():
        if f".{name}".endswith(f".{field}"):
            return f": {' | '.join(map(str, allowed))}"
    return ""


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        text = ",".join(map(str, value))
        return repr(value).replace(" ", "") if any(isinstance(v, tuple) for v in value) else text
    return str(value)


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return lines of two aligned columns."""
    rows = list(rows)
    width = max((len(left) for left, _ in rows if len(left) <= WIDEST), default=0)
    return [
        f"  {left.ljust(width)}  {right}".rstrip()
        if len(left) <= width
        else f"  {left}\n  {' ' * width}  {right}".rstrip()
        for left, right in rows
    ]
