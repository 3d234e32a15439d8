"""The errors a user can mend: one sentence each, shown without a traceback."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something outside the program is wrong: the text names the file, row or key and the mend."""


class UsageError(UserError):
    """The command line or the config is wrong; nothing has been written (exit code 2)."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest known name, or ``""`` when none is close.

    Initials count as close: "lr" means "learning_rate".
    """
    names = list(known)
    last = name.rpartition(".")[2]
    close = [known_name for known_name in names if len(last) > 1 and initials(known_name) == last]
    close = close or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def initials(name: str) -> str:
    """Return "lr" for "optimizer.learning_rate"."""
    return "".join(word[:1] for word in name.rpartition(".")[2].split("_"))
