"""What an `init_from` names: a stage of this run or a folder, with `@best`, `@last` or `@step`."""

import re
from pathlib import Path
from typing import NamedTuple

_WHICH = re.compile(r"(?P<name>.+)@(?P<which>best|last|\d+)")


class SourceName(NamedTuple):
    """The two halves of `SOURCE@which`."""

    name: str
    """A stage of this run, or a folder."""
    which: str | int
    """"best", "last" or a step."""


def parse_source(text: str) -> SourceName:
    """Take `text` apart at its last "@"; a folder whose own name holds one is taken as it is."""
    match = _WHICH.fullmatch(text)
    if match is None or Path(text).is_dir():
        return SourceName(text, "best")
    which = match["which"]
    return SourceName(match["name"], int(which) if which.isdigit() else which)
