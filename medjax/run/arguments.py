"""The command line of `python -m medjax.main`, as typed: nothing is looked up or written here."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from medjax.errors import UsageError, nearest
from medjax.run.overrides import Override

MODES = ("train", "evaluate", "predict")

FLAGS = {
    "config": ("PATH[:word,word]", "the config file and its words"),
    "workdir": ("FOLDER", "everything is written here (default: runs/<config>[-<words>])"),
    "mode": ("|".join(MODES), "train is the default; it also resumes"),
    "allow_optimizer_changes": ("", "resume although fields of an `optimizer` have changed"),
    "help": ("", "this text; with --config also the words and fields of that config"),
}
"""Name -> what its value looks like ("" for a switch), what it does."""

SWITCHES = tuple(name for name, (value, _) in FLAGS.items() if not value)


class Arguments(NamedTuple):
    """The command line, taken apart."""

    config: str | None = None
    words: tuple[str, ...] = ()
    workdir: str | None = None
    mode: str = "train"
    help: bool = False
    allow_optimizer_changes: bool = False
    overrides: tuple[Override, ...] = ()


class _Flag(NamedTuple):
    name: str
    text: str | None
    form: str


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Take `argv` apart.

    Raises:
        UsageError: an unknown or repeated flag, a stray argument, a missing value, a wrong mode.
    """
    values: dict[str, str] = {}
    overrides: list[Override] = []
    for flag in _flags(argv):
        if flag.name.startswith(("config.", "noconfig.")):
            form, (_, _, field) = flag.form, flag.name.partition(".")
            if flag.name.startswith("no"):
                if flag.text is not None:
                    raise UsageError(f"--{flag.name} takes no value, got {flag.text!r}")
                form = "no"
            overrides.append(Override(field, flag.text, form))  # type: ignore[arg-type]
            continue
        if flag.name not in FLAGS:
            known = [*FLAGS, "config.field"]
            hint = nearest(flag.name, known).replace("'", "--", 1).replace("'", "")
            raise UsageError(f"unknown flag --{flag.name}{hint or '; --help lists the flags'}")
        if flag.name in values:
            raise UsageError(f"--{flag.name} is given twice")
        values[flag.name] = _value(flag)
    mode = values.get("mode", "train")
    if mode not in MODES:
        raise UsageError(f"unknown mode {mode!r}{nearest(mode, MODES) or '; ' + ', '.join(MODES)}")
    path, words = split_words(values["config"]) if "config" in values else (None, ())
    return Arguments(
        config=path,
        words=words,
        workdir=values.get("workdir"),
        mode=mode,
        help="help" in values,
        allow_optimizer_changes="allow_optimizer_changes" in values,
        overrides=tuple(overrides),
    )


def _flags(argv: Sequence[str]) -> Iterator[_Flag]:
    """Yield the flags of `argv`; a following argument that is no flag becomes the value."""
    rest = list(argv)
    while rest:
        token = rest.pop(0)
        if token == "-h":
            token = "--help"
        if not re.match(r"--?[A-Za-z]", token):
            raise UsageError(f"stray argument {token!r}; flags are written --name=value")
        name, equals, text = token.lstrip("-").partition("=")
        if equals:
            yield _Flag(name, text, "equals")
        elif rest and not re.match(r"--?[A-Za-z]", rest[0]) and not name.startswith("noconfig."):
            yield _Flag(name, rest.pop(0), "space")
        else:
            yield _Flag(name, None, "bare")


def _value(flag: _Flag) -> str:
    if flag.name in SWITCHES:
        if flag.form == "space":
            raise UsageError(f"stray argument {flag.text!r} after --{flag.name}")
        if flag.text is not None:
            raise UsageError(f"--{flag.name} takes no value, got {flag.text!r}")
        return ""
    if not flag.text:
        raise UsageError(f"--{flag.name} needs a value: --{flag.name}={FLAGS[flag.name][0]}")
    return flag.text


def split_words(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the path and the words of ``PATH[:word,word]``.

    Raises:
        UsageError: nothing stands between two commas or after the colon.
    """
    path, colon, tail = text.rpartition(":")
    if not colon or "/" in tail:
        return text, ()
    words = tuple(word.strip() for word in tail.split(","))
    if not all(words):
        raise UsageError(f"an empty word in {text!r}; write {path}:word,word")
    return path, words
