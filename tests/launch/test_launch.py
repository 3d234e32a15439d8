"""The launchers: the command lines they print, and how they pass signals on."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medjax.run.arguments import parse_arguments

LAUNCH = Path(__file__).parents[2] / "launch"
SCRIPTS = ("local.sh", "slurm.sbatch", "tpu_vm.sh")
RUN = ("--config=configs/medfuse.py:smoke,early", "--workdir=a run")


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    return {**kept, **changes}


def launch(script: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", str(LAUNCH / script), *arguments],
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def printed(script: str, *arguments: str, **changes: str) -> list[list[str]]:
    """Return the command lines that a dry run prints, split as a shell would."""
    done = launch(script, "--dry_run", *arguments, **changes)
    assert done.returncode == 0 and not done.stderr
    return [shlex.split(line) for line in done.stdout.splitlines()]


def write_program(path: Path, body: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{body}", encoding="utf-8")
    path.chmod(0o700)
    return path


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_strict_and_have_no_syntax_error(script):
    assert "set -euo pipefail" in (LAUNCH / script).read_text()
    subprocess.run(["bash", "-n", str(LAUNCH / script)], check=True)


def test_local_runs_once_or_for_every_seed():
    program = ["python", "-m", "medjax.main"]
    assert printed("local.sh", *RUN) == [[*program, *RUN]]
    assert printed("local.sh", "--seeds=3,5", *RUN) == [
        [*program, *RUN, "--config.seed=3"],
        [*program, *RUN, "--config.seed=5"],
    ]
    assert printed("local.sh") == [program]


def test_local_stops_at_the_first_failure(tmp_path):
    python = write_program(tmp_path / "python", "import sys; print(sys.argv[3:]); sys.exit(7)")
    done = launch("local.sh", "--seeds=1,2", *RUN, PYTHON=str(python))
    assert done.returncode == 7
    assert done.stdout.splitlines() == [str([*RUN, "--config.seed=1"])]


WAIT = """
import signal, sys, time
def save(signum, frame):
    time.sleep(0.3)
    print("saved", flush=True)
    sys.exit(128 + signum)
signal.signal(signal.SIGTERM, save)
print("started", flush=True)
time.sleep(30)
"""


def test_local_waits_until_a_stopped_run_has_saved(tmp_path):
    python = write_program(tmp_path / "python", WAIT)
    process = subprocess.Popen(
        ["bash", str(LAUNCH / "local.sh"), "--seeds=1,2", *RUN],
        env=environment(PYTHON=str(python)),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=20)
    assert rest == "saved\n" and process.returncode == 143


def test_slurm_takes_the_array_index_as_seed_and_joins_tasks():
    program = ["srun", "--kill-on-bad-exit=1", "python", "-m", "medjax.main"]
    assert printed("slurm.sbatch", *RUN) == [[*program, *RUN]]
    assert printed("slurm.sbatch", *RUN, SLURM_ARRAY_TASK_ID="4", SLURM_NTASKS="2") == [
        [*program, *RUN, "--config.seed=4", "--config.distributed"]
    ]
    done = launch("slurm.sbatch", *RUN)
    assert done.returncode == 2 and "submit it with sbatch" in done.stderr


def test_slurm_warns_the_script_before_the_limit_and_requeues():
    text = (LAUNCH / "slurm.sbatch").read_text()
    assert "#SBATCH --signal=B:USR1@" in text and "#SBATCH --requeue" in text


def test_slurm_saves_and_queues_again_before_the_limit(tmp_path):
    write_program(tmp_path / "srun", WAIT)
    write_program(tmp_path / "scontrol", "import sys; print(sys.argv[1:], flush=True)")
    process = subprocess.Popen(
        ["bash", str(LAUNCH / "slurm.sbatch"), *RUN],
        env=environment(PATH=f"{tmp_path}:{os.environ['PATH']}", SLURM_JOB_ID="12"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "started\n"
    time.sleep(0.2)  # the trap is set just after the step has started
    process.send_signal(signal.SIGUSR1)
    rest, _ = process.communicate(timeout=20)
    assert rest == "saved\n['requeue', '12']\n" and process.returncode == 143


@pytest.mark.parametrize("code", [0, 3])
def test_slurm_queues_nothing_again_otherwise(tmp_path, code):
    write_program(tmp_path / "srun", f"import sys; sys.exit({code})")
    write_program(tmp_path / "scontrol", "print('queued')")
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = launch("slurm.sbatch", *RUN, PATH=path, SLURM_JOB_ID="12")
    assert done.returncode == code and not done.stdout


def test_tpu_runs_on_every_worker():
    (command,) = printed("tpu_vm.sh", "--name=pod", "--zone=z", *RUN)
    assert command[:5] == ["gcloud", "compute", "tpus", "tpu-vm", "ssh"]
    assert command[5:8] == ["pod", "--zone=z", "--worker=all"]
    remote = shlex.split(command[8].removeprefix("--command="))
    assert remote[:6] == ["cd", "medjax", "&&", "python", "-m", "medjax.main"]
    assert remote[6:] == [*RUN, "--config.distributed"]
    assert launch("tpu_vm.sh", "--name=pod", *RUN).returncode == 2


def test_tpu_setup_copies_the_committed_repository_and_nothing_else():
    lines = printed("tpu_vm.sh", "--name=pod", "--zone=z", "--setup", *RUN)
    assert [line[:2] for line in lines[:3]] == [
        ["git", "archive"],
        ["gcloud", "compute"],
        ["rm", "medjax.tar.gz"],
    ]
    assert "medjax.tar.gz" in lines[1] and "pod:" in lines[1]
    assert "pip install -e 'medjax[tpu]'" in lines[3][-1]


@pytest.mark.parametrize("script", ["local.sh", "slurm.sbatch"])
def test_what_is_printed_is_a_command_line_of_medjax(script):
    (command,) = printed(script, *RUN, "--mode=evaluate", "--config.seed=3")
    arguments = parse_arguments(command[command.index("medjax.main") + 1 :])
    assert arguments.words == ("smoke", "early") and arguments.workdir == "a run"
