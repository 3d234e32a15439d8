"""How the process of a run keeps memory that it will need again at the next step."""

import ctypes
import sys

TRIM, TOP_PAD, MMAPS, ARENAS = -1, -2, -4, -8
"""Numbers of glibc's options (malloc.h)."""
NEVER = -1
"""Of TRIM."""
GROWTH = 2**26
"""Bytes by which the heap grows at least."""


def keep_freed_memory() -> None:
    """Let glibc keep all that is freed for what is asked for next; elsewhere nothing.

    A step on a CPU takes and frees the same buffers again and again. Given back to the system each
    time, they must be zeroed anew: a third of the processor time of small networks. Large ones
    come from the one heap of the process as well, because mapped ones are given back when freed.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for option, value in ((ARENAS, 1), (MMAPS, 0), (TRIM, NEVER), (TOP_PAD, GROWTH)):
        mallopt(option, value)
