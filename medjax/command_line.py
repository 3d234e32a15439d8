"""What the commands beside `main` share: a parser of one-sentence errors, exit codes."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from medjax.errors import UsageError, UserError, nearest


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that says what is wrong in one sentence and leaves exiting to `main`."""

    def error(self, message: str) -> NoReturn:
        sentence = message.removeprefix("argument ").replace(": expects ", " expects ", 1)
        raise UsageError(f"{sentence}; see `{self.prog} --help`")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            *others, last = map(str, action.choices)
            known = f"{', '.join(others)} or {last}" if others else last
            raise UsageError(
                f"{action.option_strings[0]} expects {known}, not {value!r}"
                f"{nearest(str(value), map(str, action.choices))}"
            )


class Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Help with the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default in (None, False, "")
        return action.help if silent else super()._get_help_string(action)


def refuse_unknown(argv: Sequence[str], options: Sequence[str]) -> None:
    """Name the first option that does not exist, before argparse misses a required one."""
    for argument in argv:
        option = argument.split("=", 1)[0]
        if option.startswith("--") and option not in options:
            raise UsageError(f"unknown option {option}{nearest(option, options)}")


def run_command(command: Callable[[Sequence[str]], None], argv: Sequence[str]) -> int:
    """Run a command; return 0, 1 for a fault outside the program, 2 for a wrong command line.

    A fault is one sentence on stderr. Files are written for their owner alone.
    """
    os.umask(0o077)
    try:
        command(argv)
    except UserError as e:
        print(f"medjax: {e}", file=sys.stderr)
        return 2 if isinstance(e, UsageError) else 1
    except OSError as e:
        print(f"medjax: {e.filename or 'a file'}: {e.strerror or e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("medjax: interrupted; run the same command again", file=sys.stderr)
        return 130
    return 0
