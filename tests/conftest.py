"""Shared by all tests: one compile cache for the session, and one smoke run of each system."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.py"))


@pytest.fixture(scope="session", autouse=True)
def compile_cache(tmp_path_factory) -> None:
    """Let every run of the session, in this process or another, reuse what one has compiled."""
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))


@pytest.fixture(scope="session")
def finish_smoke(tmp_path_factory) -> Callable[[Path], Path]:
    """Return a function: config file -> workdir of its finished `smoke` run, made once."""

    @functools.cache
    def finish(config: Path) -> Path:
        from medjax.main import main

        workdir = tmp_path_factory.mktemp(config.stem)
        assert main([f"--config={config}:smoke", f"--workdir={workdir}"]) == 0
        return workdir

    return finish


@pytest.fixture(scope="session", params=CONFIGS, ids=[path.stem for path in CONFIGS])
def smoke_run(request, finish_smoke) -> tuple[Path, Path]:
    """Return (config file, workdir) of a finished `smoke` run of each shipped config."""
    return request.param, finish_smoke(request.param)
