"""Mean and standard deviation of the discretised columns: fitted, published, applied."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from medjax.data.mimic_iv.channels import Channels, read_json

SMALLEST_STD = 1e-7


class Normalizer(NamedTuple):
    """Statistics of all columns; only the numeric ones are normalised."""

    name: str
    """Where the statistics come from: "fit_train" or "ph_ts1.0"."""
    means: np.ndarray
    stds: np.ndarray
    """float64 [76]."""

    def to_dict(self, columns: Iterable[str]) -> dict[str, Any]:
        """Return the statistics for the manifest."""
        return {
            "name": self.name,
            "columns": list(columns),
            "means": self.means.tolist(),
            "stds": self.stds.tolist(),
        }


def published_normalizer() -> Normalizer:
    """Return the published statistics (MIMIC-III, phenotyping, steps of one hour)."""
    statistics = read_json("ph_ts1.0.json")
    return Normalizer("ph_ts1.0", np.array(statistics["means"]), np.array(statistics["stds"]))


class RunningMoments:
    """Sums over all steps of all series, for the sample mean and standard deviation."""

    def __init__(self, columns: int):
        self.count, self.columns = 0, columns
        self._sum = np.zeros(columns)
        self._squares = np.zeros(columns)

    def add(self, data: np.ndarray) -> None:
        """Take in one series [steps, columns]."""
        data = np.asarray(data, np.float64)
        self.count += len(data)
        self._sum += data.sum(axis=0)
        self._squares += np.square(data).sum(axis=0)

    def merge(self, other: "RunningMoments") -> None:
        """Take in all that another has taken in."""
        self.count += other.count
        self._sum += other._sum
        self._squares += other._squares

    def to_dict(self) -> dict[str, Any]:
        """Return the sums as plain numbers."""
        sums, squares = self._sum.tolist(), self._squares.tolist()
        return {"count": self.count, "sum": sums, "squares": squares}

    @classmethod
    def of(cls, sums: Mapping[str, Any]) -> "RunningMoments":
        """Return the sums that `to_dict` gave."""
        moments = cls(len(sums["sum"]))
        moments.count = sums["count"]
        moments._sum, moments._squares = np.array(sums["sum"]), np.array(sums["squares"])
        return moments

    def fitted(self) -> Normalizer:
        """Return mean and sample standard deviation (divisor n - 1), never below 1e-7."""
        if self.count < 2:
            return Normalizer("fit_train", self._sum * 0, self._sum * 0 + 1)
        means = self._sum / self.count
        variance = (self._squares - self.count * np.square(means)) / (self.count - 1)
        return Normalizer(
            "fit_train", means, np.maximum(np.sqrt(np.maximum(variance, 0)), SMALLEST_STD)
        )


def normalize(data: np.ndarray, normalizer: Normalizer, channels: Channels) -> np.ndarray:
    """Return [steps, columns] with (x - mean) / std in the numeric columns, the others as is."""
    columns = channels.numeric_columns()
    out = np.array(data)
    out[:, columns] = (out[:, columns] - normalizer.means[columns]) / normalizer.stds[columns]
    return out
