"""One process a folder."""

import json
import os
import signal
import subprocess
import sys

import pytest

from medjax.errors import UserError
from medjax.run.lock import LOCK, locked

HOLD = """
import sys, time
from pathlib import Path
from medjax.run.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_living_process_keeps_others_out(tmp_path, holder):
    with pytest.raises(UserError, match=f"in use by process {holder.pid};"), locked(tmp_path):
        pass


@pytest.mark.parametrize("reaped", [True, False])
def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder, reaped):
    holder.send_signal(signal.SIGKILL)
    if reaped:
        holder.wait()
    else:
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == holder.pid
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert (tmp_path / LOCK).read_text() == ""


def test_a_reused_process_id_does_not_hold_the_lock(tmp_path, holder):
    stored = json.loads((tmp_path / LOCK).read_text())
    (tmp_path / LOCK).write_text(json.dumps({**stored, "started": "1"}))
    with locked(tmp_path):
        pass


def test_another_host_keeps_others_out_and_the_file_is_named(tmp_path):
    owner = {"host": "elsewhere", "pid": 1, "started": "1"}
    (tmp_path / LOCK).write_text(json.dumps(owner))
    with pytest.raises(UserError, match=r"on host elsewhere.*delete .*\.lock"), locked(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "garbage", "[]", "{}"])
def test_a_damaged_lock_holds_nobody(tmp_path, text):
    (tmp_path / LOCK).write_text(text)
    with locked(tmp_path):
        pass


def test_the_lock_is_let_go_when_the_block_raises(tmp_path):
    with pytest.raises(ValueError), locked(tmp_path):
        raise ValueError
    with locked(tmp_path):
        pass
