"""One number of a results table, or the reason why it is undefined."""

from typing import Any, NamedTuple


class Metric(NamedTuple):
    """A metric with its interval and counts.

    `value` None always comes with a `reason`. A reason may also stand beside a value, to say what
    the number leaves out: an average over labels of which some are undefined.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    """Examples that entered."""
    positives: int | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the form of results.json: ``{"value", ...}`` or ``{"value": None, "reason"}``."""
        if self.value is None:
            return {"value": None, "reason": self.reason or "undefined"}
        return {k: v for k, v in self._asdict().items() if v is not None}


def interval_text(low: float, high: float, digits: int = 3) -> str:
    """Write bounds with a dash between, or "to" where a dash would look like a sign."""
    between = "\N{EN DASH}" if low >= 0 else " to "
    return f"{low:.{digits}f}{between}{high:.{digits}f}"
