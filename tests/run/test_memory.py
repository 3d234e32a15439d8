"""Memory that is freed stays with the process of a run."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from medjax.run.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
size, count = int(sys.argv[2]), int(sys.argv[3])
for _ in range(10):
    buffers = [b"x" * size for _ in range(count)]
    del buffers
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="options of glibc")
@pytest.mark.parametrize(("size", "count"), [(2**24, 8), (2**27, 1)], ids=["small", "large"])
def test_buffers_taken_again_and_again_are_zeroed_once(size, count) -> None:
    def faults(how: str) -> int:
        command = [sys.executable, "-c", FAULTS, how, str(size), str(count)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    # Ten times 32,768 pages, had all of them to be made anew.
    assert faults("keep") < faults("leave") - 200_000
