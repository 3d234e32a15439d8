"""Memory that is freed stays with the process of a run."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from medjax.run.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(10):
    buffers = [b"x" * 2**24 for _ in range(8)]
    del buffers
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="options of glibc")
def test_buffers_taken_again_and_again_are_zeroed_once() -> None:
    def faults(how: str) -> int:
        told = subprocess.run(
            [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True
        )
        return int(told.stdout)

    # Ten times 8 buffers of 4,096 pages each, had all of them to be made anew.
    assert faults("keep") < faults("leave") - 200_000
