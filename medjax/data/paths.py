"""Files that a table or a header names."""

import os
import stat
from pathlib import Path

from medjax.errors import UserError


def resolve_under(root: Path, relative: str | Path) -> Path:
    """Return the real path of a file named in a table; it must be a regular file under `root`.

    Raises:
        UserError: absolute path, `..` or a link that leaves the root, device or pipe.
        FileNotFoundError: when there is no such file (callers count those).
    """
    if Path(relative).is_absolute():
        raise UserError(f"{relative}: absolute path in a table; give paths relative to {root}")
    real_root = root.resolve()
    path = (real_root / relative).resolve()
    if not path.is_relative_to(real_root):
        raise UserError(f"{relative}: leads out of {root}; put the file itself under it")
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UserError(f"{relative}: not a regular file")
    return path
