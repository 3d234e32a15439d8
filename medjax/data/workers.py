"""A function over many items in processes: in order, within bounded memory, none left behind.

Unlike the executors of the standard library it says on which item a worker died or hangs.
"""

import collections
import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing import connection
from typing import Any, NamedTuple, TypeVar

from medjax.errors import UserError

T = TypeVar("T")
R = TypeVar("R")
PATIENCE = 45.0
"""Seconds after which a worker that is still at one item is taken for hanging."""
START = 600.0
"""Seconds that a worker may take to start, which on a busy machine is long: it imports much."""
QUEUED = 2
"""Items a worker holds: one at work and one to go on with at once."""
AHEAD = 4
"""Items a worker may be ahead of the one that is yielded next."""


class _Worker(NamedTuple):
    """A process, the pipe to it, and the items that it holds, oldest first."""

    process: Any
    pipe: connection.Connection
    held: collections.deque[tuple[int, Any]]
    since: list[float]
    """[when it began with the oldest item, or to start]"""
    ready: list[bool]
    """[whether it has started]"""

    def deadline(self, patience: float) -> float:
        """When it is taken for hanging."""
        return self.since[0] + (patience if self.ready[0] else START)


def ordered_map(
    function: Callable[[T], R],
    items: Iterable[T],
    workers: int,
    name: Callable[[T], str] = str,
    patience: float = PATIENCE,
) -> Generator[R, None, None]:
    """Yield `function(item)` of every item in order, by a crew of its own; see `Crew`."""
    with Crew(function, workers, name, patience) as crew:
        yield from crew.map(items)


class Crew:
    """Processes that apply one function; a context, at whose end they end.

    They also end with this process, even when it is killed. With less than two workers everything
    is done in this process.
    """

    def __init__(
        self,
        function: Callable,
        workers: int,
        name: Callable[[Any], str] = str,
        patience: float = PATIENCE,
    ) -> None:
        """Take a function that can be sent to spawned processes, as must be its arguments.

        Args:
            function: what to apply.
            workers: processes; they are started when there is work for them.
            name: item -> how it is called in errors.
            patience: seconds after which a worker that is still at one item is taken for hanging.
        """
        self._function, self._workers = function, workers
        self._name, self._patience = name, patience
        self._crew: list[_Worker] = []

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def map(self, items: Iterable) -> Generator[Any, None, None]:
        """Yield the result of every item in order; one map at a time.

        At most AHEAD items a worker are taken from `items` before their turn, so memory does not
        grow with their number.

        Raises:
            UserError: a worker died, hung or failed; gives the name of the item.
        """
        if self._workers < 2:
            yield from map(self._function, items)
            return
        try:
            yield from self._run(iter(items))
        except BaseException:  # also an iteration that is given up: answers would be left over
            self.stop()
            raise

    def stop(self) -> None:
        """End all processes, whatever they are at: nothing of what they do is kept."""
        crew, self._crew = self._crew, []
        for worker in crew:
            with contextlib.suppress(OSError):
                worker.pipe.close()
            worker.process.kill()
        for worker in crew:
            worker.process.join(5)

    def _run(self, items: Iterator) -> Iterator[Any]:
        """Hand out items, collect answers, and yield those whose turn it is."""
        answers: dict[int, Any] = {}
        given = due = 0
        more = True
        while True:
            while more and given - due < AHEAD * self._workers and (worker := self._free()):
                for item in itertools.islice(items, 1):
                    _give(worker, given, item, self._name)
                    given += 1
                    break
                else:
                    more = False
            if due in answers:
                yield answers.pop(due)
                due += 1
            elif given > due:
                _collect(self._crew, answers, self._name, self._patience)
            else:
                return

    def _free(self) -> _Worker | None:
        """Return the worker with the least to do, a new one where all are busy; None if full."""
        least = min(self._crew, key=lambda worker: len(worker.held), default=None)
        if (least is None or least.held) and len(self._crew) < self._workers:
            self._crew.append(_start(self._function))
            return self._crew[-1]
        return least if least is not None and len(least.held) < QUEUED else None


def _start(function: Callable) -> _Worker:
    """Start a process that an interrupt from the keyboard leaves to this one."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_work, args=(function, theirs), daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return _Worker(process, ours, collections.deque(), [time.monotonic()], [False])


def _work(function: Callable, pipe: connection.Connection) -> None:
    """Say None once started, then answer items.

    An answer is (result, None), or (None, (what is wrong, whether that says it all)).
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pipe.send(None)
    answer: tuple[Any, tuple[str, bool] | None]
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            answer = function(item), None
        except UserError as e:  # has said what is wrong with what
            answer = None, (str(e), True)
        except Exception as e:
            answer = None, (f"{type(e).__name__}: {e}", False)
        pipe.send(answer)


def _end_with_parent() -> None:
    """Wait until the process that started this one has ended, then end too."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _give(worker: _Worker, number: int, item: T, name: Callable[[T], str]) -> None:
    """Send an item to a worker."""
    if not worker.held and worker.ready[0]:
        worker.since[0] = time.monotonic()
    worker.held.append((number, item))
    try:
        worker.pipe.send(item)
    except OSError:
        raise _dead(worker, name) from None


def _collect(
    crew: list[_Worker], answers: dict[int, Any], name: Callable[[T], str], patience: float
) -> None:
    """Wait for at least one answer and add all that are there to `answers`."""
    busy = {worker.pipe: worker for worker in crew if worker.held}
    soonest = min(worker.deadline(patience) for worker in busy.values())
    ready = connection.wait(list(busy), max(soonest - time.monotonic(), 0))
    now = time.monotonic()
    for pipe, worker in busy.items():
        if pipe in ready:
            try:
                answer = pipe.recv()
            except (EOFError, OSError):
                raise _dead(worker, name) from None
            worker.since[0] = now
            if answer is None:
                worker.ready[0] = True
                continue
            result, error = answer
            number, item = worker.held.popleft()
            if error is not None:
                text, whole = error
                raise UserError(text if whole else f"{name(item)}: {text}")
            answers[number] = result
        elif now >= worker.deadline(patience):
            raise _hanging(worker, name, patience)


def _hanging(worker: _Worker, name: Callable[[T], str], patience: float) -> UserError:
    """What to say of a worker that does not answer."""
    if not worker.ready[0]:
        return UserError(
            f"a worker process did not start within {START:.0f} s; run again with fewer --workers"
        )
    return UserError(
        f"{name(worker.held[0][1])}: no answer from its worker for {patience:.0f} s; look at this "
        "file and its disk, then run the same command again"
    )


def _dead(worker: _Worker, name: Callable[[T], str]) -> UserError:
    """What to say of a worker that is gone."""
    worker.process.join(5)
    code = worker.process.exitcode
    killed = code is None or code < 0
    hint = "mostly for want of memory; run again with fewer --workers" if killed else "see above"
    return UserError(
        f"{name(worker.held[0][1])}: its worker process died (exit code {code}), {hint}"
    )
