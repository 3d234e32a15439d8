"""One process a folder: a lock that names its owner and outlives no process."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from medjax.errors import UserError

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder` within the block.

    The file ``.lock`` holds the owner's host, process id and start time; it is emptied at the end.
    The lock of a process that no longer lives on this host is taken over. Nothing can be known of
    a process on another host, so its lock stands until someone deletes the file.

    Raises:
        UserError: another living process, or one on another host, holds the lock.
    """
    path = folder / LOCK
    me = _identity(os.getpid())
    with _exclusive(path) as file:
        _refuse_if_held(folder, _owner(file))
        _rewrite(file, json.dumps(me))
    try:
        yield
    finally:
        with _exclusive(path) as file:
            if _owner(file) == me:
                _rewrite(file, "")


@contextmanager
def _exclusive(path: Path) -> Iterator[IO[str]]:
    """Open `path` for reading and changing it while no other process does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _owner(file: IO[str]) -> dict[str, Any] | None:
    file.seek(0)
    try:
        owner = json.loads(file.read())
    except ValueError:
        return None
    return owner if isinstance(owner, dict) and {"host", "pid"} <= owner.keys() else None


def _rewrite(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)


def _refuse_if_held(folder: Path, owner: dict[str, Any] | None) -> None:
    if owner is None:
        return
    if owner["host"] != socket.gethostname():
        raise UserError(
            f"{folder} is in use by process {owner['pid']} on host {owner['host']}; if that has"
            f" ended, delete {folder / LOCK}"
        )
    if _identity(owner["pid"]) == owner and owner["pid"] != os.getpid():
        raise UserError(
            f"{folder} is in use by process {owner['pid']}; wait for it or name another --workdir"
        )


def _identity(pid: int) -> dict[str, Any]:
    """Return host, process id and start time; the last tells a reused process id apart."""
    return {"host": socket.gethostname(), "pid": pid, "started": _start_time(pid)}


def _start_time(pid: int) -> str | None:
    """Return when a process started: "unknown" where the system does not tell, None if it ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # It lives and belongs to someone else.
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "unknown"
    state, *numbers = status.rpartition(")")[2].split()
    return None if state == "Z" else numbers[18]
