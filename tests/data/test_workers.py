"""Processes that work in order, in bounded memory, and never outlive their work."""

import os
import signal
import subprocess
import sys
import time

import pytest

from medjax.data.workers import AHEAD, ordered_map
from medjax.errors import UserError
from tests.data import misbehave

DONE = "done"


def square(number):
    return number * number


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_results_are_in_order(workers):
    assert list(ordered_map(square, range(60), workers)) == [square(i) for i in range(60)]


def test_nothing_to_do():
    assert list(ordered_map(square, [], 2)) == []


def test_items_are_taken_only_shortly_before_their_turn():
    taken = []
    results = ordered_map(square, (taken.append(i) or i for i in range(1000)), 2)
    for i in range(20):
        assert next(results) == square(i)
        assert len(taken) <= i + 1 + 2 * AHEAD
        time.sleep(0.005)
    results.close()


def living(pids):
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}") and state(pid) != "Z"]


def state(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rpartition(")")[2].split()[0]


def test_processes_end_with_the_iterator():
    results = ordered_map(misbehave.own_pid, range(1000), 2)
    pids = {next(results) for _ in range(30)}
    assert os.getpid() not in pids and living(pids)
    results.close()
    assert not living(pids)


@pytest.mark.parametrize(
    ("how", "words"),
    [("killed", "died (exit code -9)"), ("hangs", "no answer"), ("raises", "ValueError: no")],
)
def test_the_item_is_named(how, words):
    items = ["fine"] * 9 + [how] + ["fine"] * 9
    start = time.monotonic()
    seen = []
    with pytest.raises(UserError) as error:
        for result in ordered_map(misbehave.behave, items, 2, lambda x: f"film {x}", patience=1.5):
            seen.append(result)
    assert f"film {how}: " in str(error.value) and words in str(error.value)
    assert seen == ["fine"] * len(seen) and len(seen) <= 9
    assert time.monotonic() - start < 30


def test_processes_end_when_their_parent_is_killed():
    """The one at work too, not only those that wait for an item."""
    program = (
        "from tests.data.misbehave import announce_and_hang\n"
        "from medjax.data.workers import ordered_map\n"
        "if __name__ == '__main__':\n"
        "    list(ordered_map(announce_and_hang, range(4), 2))\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    assert living(pids)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while living(pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not living(pids)
