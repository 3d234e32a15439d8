"""What workers are made to do in tests; importable by spawned processes."""

import os
import signal
import time


def own_pid(_):
    return os.getpid()


def behave(how):
    """Return `how`, or do what it says."""
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hangs":
        time.sleep(1000)
    if how == "raises":
        raise ValueError("no")
    return how


def announce_and_hang(_):
    print(os.getpid(), flush=True)
    time.sleep(1000)
