"""How far an epoch is: a bar on a terminal, elsewhere a line now and then."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

import jax
from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """Progress through `total` steps of which `done` were made earlier, on stderr of process 0.

    Shows the loss, steps and examples (`batch_size` a step) a second, and the time left.
    """

    def __init__(
        self,
        title: str,
        total: int,
        done: int = 0,
        batch_size: int = 1,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._total, self._batch_size = title, total, batch_size
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._bar: tqdm | None = None
        self._shown_step, self._shown_at = done, clock()

    def __enter__(self) -> "Progress":
        if jax.process_index() == 0 and self._stream.isatty():
            self._bar = tqdm(
                total=self._total,
                initial=self._shown_step,
                desc=self._title,
                unit=" steps",
                file=self._stream,
                leave=False,
                dynamic_ncols=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, step: int, loss: float) -> None:
        """Tell that `step` of `total` has been made with this loss."""
        if self._bar is not None:
            rate = self._bar.format_dict["rate"] or 0.0
            self._bar.set_postfix_str(
                f"{rate * self._batch_size:.0f} examples/s, loss {loss:.4f}", refresh=False
            )
            self._bar.update(step - self._bar.n)
        elif jax.process_index() == 0:
            self._print_when_due(step, loss)

    def _print_when_due(self, step: int, loss: float) -> None:
        now = self._clock()
        seconds = now - self._shown_at
        if seconds < SECONDS_BETWEEN_LINES or step <= self._shown_step:
            return
        rate = (step - self._shown_step) / seconds
        left = tqdm.format_interval((self._total - step) / rate)
        print(
            f"  {self._title}: step {step}/{self._total}, loss {loss:.4f}, {rate:.2f} steps/s, "
            f"{rate * self._batch_size:.0f} examples/s, {left} left",
            file=self._stream,
            flush=True,
        )
        self._shown_step, self._shown_at = step, now
