"""Two processes of one run: one writes, both stop after the same step."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

RUN = """
import sys, time, types
import medjax.run
from medjax.run.signals import Interrupted, catch_signals

def run_stages(config, workdir, mode):
    from jax.experimental import multihost_utils
    with catch_signals() as signals:
        for step in range(300):
            time.sleep(0.05)
            multihost_utils.process_allgather(step)
            if step == 2:
                print("looping", flush=True)
            if (signum := signals.requested(step)) is not None:
                print("saved", step, flush=True)
                raise Interrupted(signum)

stages = types.ModuleType("medjax.run.stages")
stages.run_stages = run_stages
sys.modules["medjax.run.stages"] = medjax.run.stages = stages
from medjax.main import main
sys.exit(main(sys.argv[1:]))
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_both_processes_stop_after_the_same_step(tmp_path, signum, code):
    config = tmp_path / "toy.py"
    config.write_text(
        "from ml_collections import ConfigDict\n"
        "def get_config():\n"
        "    return ConfigDict({'system': 'medfuse', 'distributed': True})\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "JAX_PLATFORMS": "cpu",
        "JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}",
        "JAX_NUM_PROCESSES": "2",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, f"--config={config}", "--workdir=w"],
            cwd=tmp_path,
            env={**environment, "JAX_PROCESS_ID": str(index)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        for line in processes[1].stdout:
            if line == "looping\n":
                break
        processes[1].send_signal(signum)
        first, second = (process.communicate(timeout=60)[0] for process in processes)
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [143, code]
    assert first.splitlines()[-1] == second.splitlines()[-1]
    assert first.splitlines()[-1].startswith("saved ")
    assert "workdir w" in first and "workdir w" not in second
    assert (tmp_path / "w" / ".lock").read_text() == ""
