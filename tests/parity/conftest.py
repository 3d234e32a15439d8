"""Options of the parity harness and the cases they select."""

from pathlib import Path

import pytest

from tests.parity.harness import Case, find_cases, handler_of

COPIES = Path(__file__).parent / "cases"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("parity")
    group.addoption("--parity-dir", type=Path, help="folder <system>/<case>; default: small copies")
    group.addoption("--parity-system", help="only the cases of this system")
    group.addoption("--parity-left", type=Path, help="file of `system/kind` lines not yet served")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" not in metafunc.fixturenames:
        return
    folder = metafunc.config.getoption("parity_dir", None) or COPIES
    cases = find_cases(folder, metafunc.config.getoption("parity_system", None))
    metafunc.parametrize("case", cases, ids=[case.name for case in cases])


def _left(config: pytest.Config) -> set[str]:
    path = config.getoption("parity_left", None)
    lines = path.read_text().splitlines() if path else ()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


@pytest.fixture
def left(pytestconfig: pytest.Config) -> set[str]:
    """The kinds `system/kind` that are listed as not yet served."""
    return _left(pytestconfig)


LEFT_COUNT = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    listed = _left(config)
    left_out = [item for item in items if _is_left(item, listed)]
    config.stash[LEFT_COUNT] = len(left_out)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _is_left(item: pytest.Item, listed: set[str]) -> bool:
    case = getattr(item, "callspec", None) and item.callspec.params.get("case")
    if not isinstance(case, Case) or "/".join(case.key) not in listed:
        return False
    return handler_of(*case.key) is None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    stats = terminalreporter.stats
    counts = {
        outcome: sum("test_case[" in report.nodeid for report in stats.get(outcome, ()))
        for outcome in ("passed", "failed")
    }
    left = config.stash.get(LEFT_COUNT, 0)
    total = sum(counts.values()) + left
    if total:
        terminalreporter.write_line(
            f"parity: {counts['passed']} passed of {total} cases, {left} left for later"
        )
