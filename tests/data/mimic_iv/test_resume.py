"""A preparation that was killed goes on where it stood, and ends as one that never was."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from medjax import prepare as command
from medjax.data.manifest import read_manifest
from medjax.data.mimic_iv import build, record_files, spill
from medjax.data.mimic_iv import prepare as source
from tests.data.mimic_iv import raw as hand
from tests.data.mimic_iv.test_prepare import run

BUCKETS = 4
GROUPS = 29
"""Groups of blocks of all tables."""


class Killed(BaseException):
    """Stands for a signal that no handler sees."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hand.write(tmp_path_factory.mktemp("resume") / "raw", hand.tables(12))


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(source, "SUBJECTS_A_BUCKET", 12 // BUCKETS)
        monkeypatch.setattr(spill.spill_events, "__defaults__", (4000,))
        monkeypatch.setattr(spill, "BLOCKS_AT_ONCE", 3)
        monkeypatch.setattr(record_files, "SAVE_EVERY", 2)
        yield


@pytest.fixture(scope="module")
def manifest(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(raw, tmp_path_factory.mktemp("whole"), "--workers=1")


class Calls:
    """Counts the calls of a function, and is killed at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str):
        self.count, self.fatal = 0, 0
        function: Callable = getattr(owner, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self.fatal:
                raise Killed
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, called)

    def start(self, fatal: int = 0) -> None:
        self.count, self.fatal = 0, fatal


def killed(raw: Path, out: Path, *options: str) -> None:
    with pytest.raises(Killed):
        run(raw, out, "--workers=1", *options)


def same(ours: dict[str, Any], reference: dict[str, Any]) -> bool:
    return {**ours, "paths": 0} == {**reference, "paths": 0}


def records(out: Path) -> list[Path]:
    return sorted((out / ".mimic_iv.partial").glob("*.records"))


def hidden(out: Path) -> list[str]:
    return [path.name for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_parsed_blocks_are_not_parsed_again(
    share: float, raw: Path, manifest: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = Calls(monkeypatch, spill, "_process")
    writes = Calls(monkeypatch, record_files.RecordFiles, "append")
    fatal = 1 + int(share * GROUPS)
    writes.start(fatal)
    killed(raw, tmp_path / "out")
    for path in records(tmp_path / "out"):
        with open(path, "ab") as f:
            f.write(b"half a record")
    groups.start()
    writes.start()
    assert same(run(raw, tmp_path / "out", "--workers=1"), manifest)
    assert groups.count <= GROUPS - fatal + 2
    assert not hidden(tmp_path / "out")


def test_built_buckets_are_not_built_again(
    raw: Path, manifest: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups, builds = Calls(monkeypatch, spill, "_process"), Calls(monkeypatch, build, "_build")
    builds.start(3)
    killed(raw, tmp_path / "out")
    assert groups.count == GROUPS
    groups.start()
    builds.start()
    assert same(run(raw, tmp_path / "out", "--workers=1"), manifest)
    assert (groups.count, builds.count) == (0, BUCKETS - 2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "pattern"),
    [
        (flip, "chartevents-0001.records"),
        (cut, "chartevents-*.records"),
        (flip, "phenotyping-0000.npz"),
        (cut, "*.json"),
    ],
)
def test_damaged_parts_are_made_anew(
    damage: Callable,
    pattern: str,
    raw: Path,
    manifest: dict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    builds = Calls(monkeypatch, build, "_build")
    builds.start(3)
    killed(raw, tmp_path / "out")
    for path in sorted((tmp_path / "out/.mimic_iv.partial").glob(pattern)):
        damage(path)
    builds.start()
    assert same(run(raw, tmp_path / "out", "--workers=1"), manifest)


def test_other_tables_or_options_start_afresh(
    raw: Path, manifest: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups, builds = Calls(monkeypatch, spill, "_process"), Calls(monkeypatch, build, "_build")
    builds.start(2)
    killed(raw, tmp_path / "out")
    os.utime(raw / "icu/chartevents.csv.gz")
    groups.start()
    builds.start(2)
    killed(raw, tmp_path / "out", "--fio2_rule=always_percent")
    assert groups.count == GROUPS
    os.utime(raw / "icu/chartevents.csv.gz")
    groups.start()
    builds.start()
    run(raw, tmp_path / "out", "--workers=1", "--fio2_rule=always_percent")
    assert GROUPS // 2 < groups.count < GROUPS
    assert builds.count == BUCKETS - 1  # the records are the same
    (tmp_path / "out/manifest.json").unlink()
    assert same(run(raw, tmp_path / "out", "--workers=1"), manifest)


def test_other_unfinished_files_are_removed(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / ".phenotyping.partial/1.0.0").mkdir(parents=True)
    (out / ".stays.parquet.a8x.parquet").write_bytes(b"x")
    run(raw, out, "--workers=1")
    assert not hidden(out)


@pytest.mark.slow
def test_kill_at_random_moments(raw: Path, manifest: dict, tmp_path: Path) -> None:
    """The command itself, ended by SIGKILL six times, then left alone."""
    line = [sys.executable, "-m", "medjax.prepare", "mimic_iv", f"--raw={raw}"]
    line += [f"--out={tmp_path / 'out'}", "--workers=2"]
    rng = random.Random(0)
    for _ in range(6):
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, start_new_session=True)
        while process.poll() is None and not (tmp_path / "out/.mimic_iv.partial").exists():
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 2))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert command.main(line[3:]) == 0
    assert read_manifest(tmp_path / "out")["sets"] == manifest["sets"]
    assert not hidden(tmp_path / "out")
