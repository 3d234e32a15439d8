"""Metrics by step, one JSON row a line and the same in TensorBoard's files.

<stage>/metrics.jsonl       {"step", "split", name: number or null, ...}
<stage>/tensorboard/        "<split>/<name>" by step
"""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import jax

from medjax.errors import UserError
from medjax.files import write_text
from medjax.run.report.tensorboard import EventFile


class MetricsLog:
    """The log of one stage. Only process 0 writes; each row is on disk before `write` returns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "metrics.jsonl"
        self._writes = jax.process_index() == 0
        self._rows: TextIO | None = None
        self._events: EventFile | None = None

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def cut_back(self, step: int, evaluation_pending: bool = False) -> None:
        """Begin after `step`, the step that was restored (-1: from nothing).

        Rows beyond it go, as does a last line that a kill has torn. With `evaluation_pending`,
        the evaluation at `step` itself is still to come, and rows of one go as well.
        """
        if not self._writes:
            return
        self._close()
        rows = [
            row
            for row in read_rows(self._path)
            if row["step"] < step
            or (row["step"] == step and (row["split"] == "train" or not evaluation_pending))
        ]
        try:
            write_text(self._path, "".join(_line(row) for row in rows))
            self._rows = open(self._path, "a", encoding="utf-8")  # noqa: SIM115
            self._events = EventFile(self._folder / "tensorboard", first_step=step + 1)
        except OSError as error:
            raise self._refused(error) from error

    def write(self, step: int, split: str, values: Mapping[str, float | None]) -> None:
        """Append a row; what is not finite becomes null. `cut_back` comes first.

        Raises UserError when the disk refuses.
        """
        if not self._writes:
            return
        if self._rows is None or self._events is None:
            raise RuntimeError("MetricsLog.cut_back opens the log and must come before write")
        finite = {name: _finite(value) for name, value in values.items()}
        try:
            self._rows.write(_line({"step": step, "split": split, **finite}))
            self._rows.flush()
            self._events.write(
                step, {f"{split}/{n}": v for n, v in finite.items() if v is not None}
            )
        except OSError as error:
            raise self._refused(error) from error

    def _close(self) -> None:
        for file in (self._rows, self._events):
            if file is not None:
                with suppress(OSError):  # every row was flushed, or `write` has raised
                    file.close()
        self._rows = self._events = None

    def _refused(self, error: OSError) -> UserError:
        return UserError(
            f"cannot write {self._path}: {error.strerror}; mend that and repeat the command"
        )


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a metrics.jsonl without a torn last line; [] when there is no file.

    Raises UserError when another line is no row.
    """
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            row["step"], row["split"]
        except (ValueError, TypeError, KeyError):
            raise UserError(f"{path}: line {number} is no row of metrics; remove it") from None
        rows.append(row)
    return rows


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, allow_nan=False) + "\n"


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
