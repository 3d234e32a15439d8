"""SIGTERM and SIGINT: save at the next step in the training loop, stop at once elsewhere."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop; like its base, it passes through ``except Exception``."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """143 after SIGTERM, 130 after SIGINT, as a shell reports them."""
        return 128 + self.signum


class Signals:
    """Remembers the first signal, so that the training loop can poll it; the second interrupts."""

    def __init__(self) -> None:
        self._first: int | None = None

    def receive(self, signum: int) -> None:
        """Remember the first signal; raise Interrupted for the second."""
        if self._first is not None:
            raise Interrupted(signum)
        self._first = signum

    def requested(self, step: int) -> int | None:
        """Return the signal to stop for, or None; call it after every step.

        With several processes all of them return the signal after the same `step`, which JAX's
        preemption service agrees on; each must therefore ask after every step.
        """
        import jax

        if jax.process_count() == 1:
            return self._first
        from jax.experimental import multihost_utils

        if multihost_utils.reached_preemption_sync_point(step):
            return self._first or signal.SIGTERM
        return None


@contextmanager
def catch_signals() -> Iterator[Signals]:
    """Within the block a first SIGTERM or SIGINT is only remembered; a second one interrupts.

    With several processes JAX's preemption service has taken SIGTERM and tells the other processes:
    SIGTERM is left to it, and SIGINT is handed on to it.
    """
    import jax

    signals = Signals()
    several = jax.process_count() > 1

    def handle(signum: int, frame: FrameType | None) -> None:
        signals.receive(signum)
        if several:
            os.kill(os.getpid(), signal.SIGTERM)

    with _handlers((signal.SIGINT,) if several else SIGNALS, handle):
        yield signals


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Within the block SIGTERM and SIGINT raise Interrupted, so that locks and files are let go."""

    def handle(signum: int, frame: FrameType | None) -> None:
        raise Interrupted(signum)

    with _handlers(SIGNALS, handle):
        yield


@contextmanager
def _handlers(signums, handle) -> Iterator[None]:  # type: ignore[no-untyped-def]
    """Install `handle` for this process; a forked child keeps the system's own reaction."""
    owner = os.getpid()

    def guarded(signum: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            handle(signum, frame)
        else:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    previous = {signum: signal.signal(signum, guarded) for signum in signums}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
