"""Shared by all tests: how they are spread, one compile cache, one smoke run of each system."""

import contextlib
import ctypes
import fcntl
import functools
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ("tests.parity.plugin",)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.py"))
MOST_WORKERS = 4
MOST_GROWTH = 1.5e9
"""Bytes that a process of the tests gathers before it forgets what it has compiled."""
KEPT = pytest.StashKey[int]()
"""Bytes that it held after that."""
# Nearly all the time goes into compiling small programs that run once: quickly, a sixth of it.
QUICKLY = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)
READS_FLAGS = (
    "from jaxlib import _jax; _jax.CompileOptions().executable_build_options.debug_options"
)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes share the tests: none where single files are asked for."""
    named = (Path(argument.partition("::")[0]) for argument in config.args)
    if all(path.is_file() for path in named):
        return 0
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    return min(os.cpu_count() or 1, MOST_WORKERS)


def pytest_configure(config: pytest.Config) -> None:
    """Set, before JAX is imported, how all processes of the session compile.

    Quickly, unless the environment has `XLA_FLAGS` (`XLA_FLAGS= pytest` compiles as a run does),
    and each program once for all of them.
    """
    environment: dict[str, str] = {}
    if "XLA_FLAGS" not in os.environ and _knows(QUICKLY):
        environment["XLA_FLAGS"] = " ".join(QUICKLY)
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="medjax-compiled-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        environment["JAX_COMPILATION_CACHE_DIR"] = folder
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    os.environ.update(environment)
    gc.set_threshold(100_000, 20, 50)  # what tests collect lives long: look through it rarely
    config.add_cleanup(lambda: [os.environ.pop(name, None) for name in environment])


def _knows(flags: tuple[str, ...]) -> bool:
    """Tell whether this XLA has these flags: of one that it lacks it dies."""
    done = subprocess.run(
        [sys.executable, "-c", READS_FLAGS],
        env={**os.environ, "XLA_FLAGS": " ".join(flags)},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Forget the compiled programs of a process that has grown much since it did so last."""
    with contextlib.suppress(OSError, AttributeError):  # only Linux tells, and gives back, memory
        kept = item.config.stash.get(KEPT, 0)
        if "jax" in sys.modules and _memory() > kept + MOST_GROWTH:
            sys.modules["jax"].clear_caches()
            gc.collect()
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            item.config.stash[KEPT] = _memory()


def _memory() -> int:
    """Return the bytes of memory that this process holds."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this session that all processes of the tests know."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def finish_smoke(shared_folder: Path) -> Callable[[Path], Path]:
    """Return a function: config file -> workdir of its finished `smoke` run, made once."""

    @functools.cache
    def finish(config: Path) -> Path:
        from medjax.main import main

        workdir = shared_folder / "smoke" / config.stem
        workdir.parent.mkdir(exist_ok=True)
        # Another process may make it just now; what is finished is not made again.
        with open(workdir.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert main([f"--config={config}:smoke", f"--workdir={workdir}"]) == 0
        return workdir

    return finish


@pytest.fixture(scope="session", params=CONFIGS, ids=[path.stem for path in CONFIGS])
def smoke_run(request, finish_smoke) -> tuple[Path, Path]:
    """Return (config file, workdir) of a finished `smoke` run of each shipped config."""
    return request.param, finish_smoke(request.param)
