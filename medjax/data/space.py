"""Whether the disk has room for what is about to be written."""

import shutil
from pathlib import Path

from medjax.errors import UserError

SPOOL_FACTOR = 3
"""Parts may be kept, and a split is spooled before it is written in the order of its keys."""


def check_space(out: Path, needed: int) -> None:
    """Refuse to start when the disk of `out` cannot hold `needed` bytes and their spool.

    Raises:
        UserError: with both numbers.
    """
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if SPOOL_FACTOR * needed > free:
        raise UserError(
            f"{existing}: {free / 1e9:.1f} GB free where about {SPOOL_FACTOR * needed / 1e9:.1f} "
            "GB are needed while writing; free some or name another --out"
        )
