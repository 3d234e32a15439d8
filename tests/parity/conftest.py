"""The cases that the options of the parity harness select."""

from pathlib import Path

import pytest

from tests.parity.harness import find_cases
from tests.parity.plugin import read_left

COPIES = Path(__file__).parent / "cases"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" not in metafunc.fixturenames:
        return
    folder = metafunc.config.getoption("parity_dir") or COPIES
    cases = find_cases(folder, metafunc.config.getoption("parity_system"))
    metafunc.parametrize("case", cases, ids=[case.name for case in cases])


@pytest.fixture
def left(pytestconfig: pytest.Config) -> set[str]:
    """The kinds `system/kind` that are listed as not yet served."""
    return read_left(pytestconfig)
