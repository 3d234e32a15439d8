"""Options of the parity harness, what is left for later, and the line that counts the cases."""

from pathlib import Path

import pytest

from tests.parity.harness import Case, handler_of

LEFT_COUNT = pytest.StashKey[int]()
IN_OUTPUT = "parity_left"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("parity")
    group.addoption("--parity-dir", type=Path, help="folder <system>/<case>; default: small copies")
    group.addoption("--parity-system", help="only the cases of this system")
    group.addoption("--parity-left", type=Path, help="file of `system/kind` lines not yet served")


def read_left(config: pytest.Config) -> set[str]:
    """Return the kinds `system/kind` that are listed as not yet served."""
    path = config.getoption("parity_left")
    lines = path.read_text().splitlines() if path else ()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    listed = read_left(config)
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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that prints the summary, where tests run in several."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[IN_OUTPUT] = session.config.stash.get(LEFT_COUNT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """Every worker has collected, and left out, the same cases."""
    output = getattr(node, "workeroutput", {})
    node.config.stash[LEFT_COUNT] = output.get(IN_OUTPUT, 0)


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
