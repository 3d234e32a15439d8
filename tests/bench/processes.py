"""CPU seconds of a process and all that it has started, finished or not; seconds of one call."""

import os
import time
from collections.abc import Callable
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and its descendants up to now (Linux)."""
    times, parent = {}, {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        parent[int(name)] = int(fields[1])
        times[int(name)] = sum(map(int, fields[11:15])) / TICKS
    return sum(seconds for pid, seconds in times.items() if _descends(pid, parent))


def _descends(pid: int, parent: dict[int, int]) -> bool:
    while pid in parent and pid != os.getpid():
        pid = parent[pid]
    return pid == os.getpid()


def timed(step: Callable[[], Any]) -> tuple[float, float]:
    """Return processor and wall seconds of one call in this process."""
    wall, processor = time.perf_counter(), time.process_time()
    step()
    return time.process_time() - processor, time.perf_counter() - wall
