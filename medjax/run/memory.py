"""How the process of a run keeps memory that it will need again at the next step."""

import ctypes
import sys

TRIM, TOP_PAD, MMAP = -1, -2, -3
"""Numbers of glibc's options (malloc.h)."""
LARGEST_FROM_HEAP = 2**25
"""Bytes, the most that glibc takes: what is larger is mapped and unmapped each time."""
GROWTH = 2**26
MOST = 2**31 - 1
"""The largest number that an option takes."""


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, up to 2 GiB; elsewhere nothing.

    A step on a CPU takes and frees the same buffers again and again. Given back to the system each
    time, they must be zeroed anew: a third of the processor time of small networks.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for option, value in ((MMAP, LARGEST_FROM_HEAP), (TRIM, MOST), (TOP_PAD, GROWTH)):
        mallopt(option, value)
