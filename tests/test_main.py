"""The command, as a user types it: sentences, exit codes, and what is written."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from medjax.main import main

REPOSITORY = Path(__file__).parents[1]
TOY = Path(__file__).parent / "run" / "toy_config.py"


def medjax(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "medjax.main", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((f"--config={TOY}:smok",), "did you mean 'smoke'?"),
        ((f"--config={TOY}s",), f"did you mean {str(TOY)!r}?"),
        ((f"--config={TOY}", "--config.limit=1"), "did you mean --config.data.limit?"),
        ((f"--config={TOY}", "--config.seed=x"), "expects a whole number (now 0), got 'x'"),
        ((f"--config={TOY}", "--config.system=medfus"), "did you mean 'medfuse'?"),
        ((f"--config={TOY}", "more"), "stray argument 'more'"),
        ((f"--config={TOY}", "--mode=evaluate"), "no training run to evaluate"),
        ((f"--config={TOY}", f"--workdir={TOY}"), "is a file; name a folder"),
        (("--workdir=x",), "--config=PATH is missing"),
    ],
)
def test_a_mistake_is_one_sentence_and_code_2_and_writes_nothing(
    tmp_path, monkeypatch, capfd, arguments, sentence
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    written, error = capfd.readouterr()
    assert error.startswith("medjax: ") and error.count("\n") == 1
    assert sentence in error
    assert not written and not list(tmp_path.iterdir())


def test_without_arguments_there_is_an_overview(tmp_path):
    done = medjax(cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr
    for part in ("medfuse.py", "medjax.prepare", "train|evaluate|predict", "--help"):
        assert part in done.stdout
    assert medjax("--help", cwd=tmp_path).stdout == done.stdout


def test_help_of_a_config_lists_words_and_fields(tmp_path):
    done = medjax(f"--config={TOY}:published,early", "--help", cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr
    printed = " ".join(done.stdout.split())
    for line in (
        "early [run] Early fusion, of twice the limit.",
        "--config.data.limit=20",
        "--config.fused.optimizer.learning_rate=0.001 float",
        "str: lstm | early | joint",
    ):
        assert line in printed
    assert not list(tmp_path.iterdir())


def test_a_reader_that_goes_away_is_no_fault(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "medjax.main"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 141 and not done.stderr


def test_a_mistake_is_answered_without_jax(tmp_path):
    code = (
        "import sys; from medjax.main import main; code = main(['--config=absent.py']);"
        " assert code == 2 and not {'jax', 'flax', 'pandas', 'grain'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0


STAND_IN = """
import os, signal, sys, types
import medjax.run
from medjax.errors import UserError
from medjax.files import write_json
from medjax.run.signals import Interrupted

def run_stages(config, workdir, mode):
    if config.fused.order == "fault":
        raise UserError("the fault")
    if config.fused.order == "full":
        raise OSError(28, "No space left on device", "a file")
    if config.fused.order == "signal":
        os.kill(os.getpid(), signal.SIGTERM)
    if config.fused.order == "saved":
        raise Interrupted(signal.SIGINT)
    if mode == "train":
        write_json(workdir / "results.json", {"seed": config.seed})
    print(mode, "ran")

stages = types.ModuleType("medjax.run.stages")
stages.run_stages, stages.print_results = run_stages, lambda results: print("again", results)
sys.modules["medjax.run.stages"] = medjax.run.stages = stages
from medjax.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def run_toy(tmp_path):
    """The command with `run_stages` replaced: it writes or fails as `fused.order` says."""

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", STAND_IN, f"--config={TOY}:smoke", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_a_run_says_where_and_on_what_and_repeats_its_results(tmp_path, run_toy):
    first = run_toy()
    assert first.returncode == 0
    devices, where, ran = first.stdout.splitlines()
    assert where == "workdir runs/toy_config-smoke" and ran == "train ran"
    assert "medjax" in devices and "jax" in devices and "(cpu)" in devices
    folder = tmp_path / "runs" / "toy_config-smoke"
    for path in (folder.parent, folder, folder / "config.json", folder / "results.json"):
        assert stat.S_IMODE(path.stat().st_mode) in (0o700, 0o600)
    assert json.loads((folder / "config.json").read_text())["size"] == "smoke"
    again = "workdir runs/toy_config-smoke: finished, these are its results\nagain {'seed': 0}\n"
    assert run_toy().stdout == again
    assert run_toy("--mode=evaluate").stdout.endswith("evaluate ran\n")

    refused = run_toy("--config.seed=1", "--workdir=runs/toy_config-smoke")
    assert refused.returncode == 2 and "seed 0 -> 1" in refused.stderr and not refused.stdout
    assert run_toy("--config.seed=1").returncode == 0  # a folder of its own
    assert len(list(folder.parent.iterdir())) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


@pytest.mark.parametrize(
    ("order", "code", "sentence"),
    [
        ("fault", 1, "the fault"),
        ("full", 1, "cannot use a file: No space left on device"),
        ("signal", 143, "stopped by SIGTERM; the same command continues"),
        ("saved", 130, "stopped by SIGINT; the same command continues"),
    ],
)
def test_exit_codes(tmp_path, run_toy, order, code, sentence):
    done = run_toy(f"--config.fused.order={order}", "--workdir=w")
    assert done.returncode == code
    assert done.stderr.splitlines()[-1] == f"medjax: {sentence}"
    assert "Traceback" not in done.stderr
    assert (tmp_path / "w" / ".lock").read_text() == ""


def test_a_required_accelerator_that_is_missing(run_toy):
    done = run_toy("--config.require_accelerator")
    assert done.returncode == 1 and "config.require_accelerator is set" in done.stderr
