"""Config files and their words: `configs/medfuse.py:published,mortality` becomes a config.

A config file is trusted Python that declares

    get_config() -> ConfigDict     the base; its docstring describes the system
    WORDS = {name: function}       each function changes the config in place; its docstring says how
    GROUPS = {name: words}         optional: words that exclude each other ("size" is implied)
    CHOICES = {field: values}      optional: the allowed values of a field, or of all whose dotted
                                   names end so
    finish(config, named)          optional: fills in what follows from the rest; `named` are the
                                   fields that the user set one by one; may return warnings

Words are applied in the order of `WORDS`, whatever the order typed; then single fields; then
`finish`. One size is always applied: `demo` when none is named.
"""

import importlib.util
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from medjax.errors import UsageError, UserError, nearest
from medjax.run.config import (
    check_values,
    flatten,
    free_sources,
    initial_weights,
    name_parts,
)
from medjax.run.converted import apply_records
from medjax.run.overrides import Override, apply_overrides
from medjax.run.source_name import parse_source

SIZES = ("smoke", "demo", "published")
DEFAULT_SIZE = "demo"

Word = Callable[[ConfigDict], None]


class Recipe(NamedTuple):
    """What a config file declares."""

    path: Path
    get_config: Callable[[], ConfigDict]
    words: Mapping[str, Word]
    """In the order of application."""
    groups: Mapping[str, tuple[str, ...]]
    choices: Mapping[str, tuple[str, ...]]
    finish: Callable[[ConfigDict, frozenset[str]], Sequence[str] | None]


class Loaded(NamedTuple):
    """A config and what it was made from."""

    config: ConfigDict
    words: tuple[str, ...]
    """All that were applied, in canonical order, the default size included."""
    changed: Mapping[str, Any]
    """Fields set one by one to another value than the words gave."""
    warnings: tuple[str, ...] = ()
    """Sentences about what the config asks for."""
    training_warnings: tuple[str, ...] = ()
    """The same about training alone, which `finish` gave."""


def load_config(
    path: Path | str, words: Sequence[str] = (), overrides: Mapping[str, str] | None = None
) -> ConfigDict:
    """Return the locked config that the command makes of the same words and overrides.

    Args:
        path: a config file.
        words: in any order.
        overrides: ``{"data.dir": text}``, each value as it would be typed.

    Raises:
        UsageError: anything wrong with the file, the words or the fields.
    """
    fields = [Override(name, text) for name, text in (overrides or {}).items()]
    return load(open_recipe(path), words, fields).config


def load(
    recipe: Recipe, words: Sequence[str], overrides: Iterable[Override] = (), draft: bool = False
) -> Loaded:
    """Return the config of `recipe` with `words` and then `overrides` applied, in a locked form.

    A `draft` is to be looked at, not run: it may lack what `finish` and the folders are asked for.
    """
    overrides = list(overrides)
    words = select_words(recipe, words)
    with _errors_in(recipe.path):
        config = recipe.get_config().lock()
        optional = frozenset(name for name, value in flatten(config).items() if value is None)
        for word in words:
            recipe.words[word](config)
        config.lock()
    free_sources(config)
    changed = apply_overrides(config, overrides, optional)
    name_parts(config)
    _check_choices(config, recipe.choices)
    _check_stages(config)
    named = frozenset(override.name for override in overrides)
    warnings: list[str] = []
    of_training: list[str] = []
    with suppress(UsageError) if draft else nullcontext():
        with _errors_in(recipe.path):
            of_training += recipe.finish(config, named) or ()
        _check_folders(config)
        warnings += apply_records(config, named)
    check_values(config)
    return Loaded(config, words, changed, tuple(warnings), tuple(of_training))


def select_words(recipe: Recipe, words: Sequence[str]) -> tuple[str, ...]:
    """Return `words` in the order of application, with the default size when none is among them.

    Raises:
        UsageError: an unknown word, a repeated one, or two of one group.
    """
    for word in words:
        if word not in recipe.words:
            hint = nearest(word, recipe.words) or f"; it knows {', '.join(recipe.words)}"
            raise UsageError(f"unknown word {word!r} for {recipe.path}{hint}")
        if list(words).count(word) > 1:
            raise UsageError(f"the word {word!r} is given twice")
    for group, members in recipe.groups.items():
        rivals = [word for word in words if word in members]
        if len(rivals) > 1:
            raise UsageError(f"choose one {group}: {' or '.join(rivals)}, not both")
    chosen = set(words)
    if not chosen.intersection(recipe.groups["size"]) and DEFAULT_SIZE in recipe.words:
        chosen.add(DEFAULT_SIZE)
    return tuple(word for word in recipe.words if word in chosen)


def open_recipe(path: Path | str) -> Recipe:
    """Execute the config file at `path` and return what it declares.

    Raises:
        UsageError: the file is missing, fails, or lacks `get_config`.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"no config file {str(path)!r}{_nearest_file(path)}")
    with _errors_in(path):
        module = _execute(path)
    if not callable(getattr(module, "get_config", None)):
        raise UsageError(f"{path} defines no get_config(): a config file must")
    words = getattr(module, "WORDS", {})
    groups = {"size": tuple(size for size in SIZES if size in words)}
    groups.update(getattr(module, "GROUPS", {}))
    for group, members in groups.items():
        for word in members:
            if word not in words:
                raise UsageError(f"{path}: GROUPS[{group!r}] names {word!r}, which is not in WORDS")
    return Recipe(
        path=path,
        get_config=module.get_config,
        words=words,
        groups=groups,
        choices=getattr(module, "CHOICES", {}),
        finish=getattr(module, "finish", _finish_nothing),
    )


def _finish_nothing(config: ConfigDict, named: frozenset[str]) -> None:
    """The `finish` of a config file that has none."""


class _CachelessLoader(SourceFileLoader):
    """Leaves no byte code beside a config file: nothing is written before a run starts."""

    def set_data(self, path: Any, data: Any, *, _mode: int = 0o666) -> None:
        """Write nothing."""


def _execute(path: Path) -> ModuleType:
    loader = _CachelessLoader(f"medjax_config_{path.stem}", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@contextmanager
def _errors_in(path: Path) -> Iterator[None]:
    """Turn whatever a config file raises into one sentence naming its line."""
    try:
        yield
    except UserError:
        raise
    except SyntaxError as error:
        raise UsageError(f"{path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        frames = traceback.extract_tb(sys.exc_info()[2])
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        where = f"{path}, line {lines[-1]}" if lines else str(path)
        reason = textwrap.shorten(str(error), 200)
        raise UsageError(f"{where}: {type(error).__name__}: {reason}") from error


def _nearest_file(path: Path) -> str:
    """Return a hint at the config file that is probably meant."""
    known = {file.stem: str(file) for file in list_configs()}
    known.update({file.stem: str(file) for file in sorted(path.parent.glob("*.py"))})
    if path.stem in known:
        return f"; did you mean {known[path.stem]!r}?"
    close = nearest(path.stem, known)
    for stem, file in known.items():
        close = close.replace(f"'{stem}'", f"{file!r}")
    return close


def list_configs() -> list[Path]:
    """Return the shipped config files, sorted: those in `configs/` here or beside the package."""
    here, shipped = Path("configs"), Path(__file__).resolve().parents[2] / "configs"
    return sorted((here if here.is_dir() else shipped).glob("*.py"))


def _check_choices(config: ConfigDict, choices: Mapping[str, tuple[str, ...]]) -> None:
    fields: dict[str, list[str]] = {}
    for field in choices:
        fields.setdefault(field.rpartition(".")[2], []).append(field)
    for name, value in flatten(config).items():
        for field in fields.get(name.rpartition(".")[2], ()):
            if value is None or not f".{name}".endswith(f".{field}"):
                continue
            allowed = choices[field]
            for part in value if isinstance(value, tuple) else (value,):
                if part not in allowed:
                    hint = nearest(str(part), map(str, allowed))
                    known = f" (one of {', '.join(map(str, allowed))})"
                    raise UsageError(f"config.{name} has no choice {part!r}{hint or known}")


def _check_stages(config: ConfigDict) -> None:
    """Raise UsageError unless `config.stages` names groups of fields."""
    groups = [name for name, value in config.items() if isinstance(value, ConfigDict)]
    for stage in config.get("stages", ()):
        if stage not in groups:
            raise UsageError(f"config.stages: no stage {stage!r}{nearest(str(stage), groups)}")


def _check_folders(config: ConfigDict) -> None:
    """Raise UsageError for a `...dir` that is no folder or an `init_from` that is unknown."""
    for name, value in flatten(config).items():
        if name.endswith("dir") and value is not None and not Path(value).is_dir():
            raise UsageError(f"config.{name}: no folder {value!r}")
    stages = config.get("stages", ())
    for name, text in initial_weights(config):
        source = parse_source(text).name
        if source not in stages and not Path(source).exists():
            raise UsageError(
                f"config.{name}: {text!r} is neither a folder nor a stage of this run"
                f"{nearest(text, stages)}"
            )
