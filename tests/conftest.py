"""Shared by all tests: one compile cache for the session, and one smoke run of each system."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.py"))


@pytest.fixture(scope="session", autouse=True)
def compile_cache(tmp_path_factory) -> None:
    """Let every run of the session, in this process or another, reuse what one has compiled."""
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))


@pytest.fixture(scope="session", params=CONFIGS, ids=[path.stem for path in CONFIGS])
def smoke_run(request, tmp_path_factory) -> tuple[Path, Path]:
    """Return (config file, workdir) of a finished `smoke` run of a shipped config."""
    from medjax.main import main

    workdir = tmp_path_factory.mktemp(request.param.stem)
    assert main([f"--config={request.param}:smoke", f"--workdir={workdir}"]) == 0
    return request.param, workdir
