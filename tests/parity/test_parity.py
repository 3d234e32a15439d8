"""One test a parity case."""

from tests.parity.harness import Case, ParityError, check, handler_of


def test_case(case: Case, left: set[str]) -> None:
    kind = "/".join(case.key)
    if kind in left and handler_of(*case.key) is not None:
        raise ParityError(f"{kind} has a handler: strike it from the list of kinds left")
    check(case)
