"""How near reconstructions come, from a modality's own latent and from the other's.

The yardstick is the best guess that knows nothing of a participant, the mean signal of the train
split: "explained" is the share of its squared error that is gone, 1 for a perfect reconstruction, 0
for one no better than the mean.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medjax.metrics.bootstrap import generator_for, percentile_interval, resample
from medjax.metrics.metric import Metric
from medjax.metrics.tables import Table

PREFIX, FROM, MEAN = "squared_error/", "_from_", "mean"


class Errors(NamedTuple):
    """Squared errors of one kind of reconstruction."""

    target: str
    source: str
    """The modality whose latent was decoded."""
    of_model: NDArray[np.float64]
    """[participants]"""
    of_mean: NDArray[np.float64] | None
    """The same participants' errors of the mean signal, where it is known."""

    @property
    def name(self) -> str:
        """What the metrics begin with."""
        if self.target == self.source:
            return f"reconstruction/{self.target}"
        return f"imputation/{self.target}{FROM}{self.source}"


def errors_in(outputs: Mapping[str, NDArray]) -> Iterator[Errors]:
    """Yield the errors that predictions hold, of participants who have target and source.

    outputs: "squared_error/mri" from the own latent, "squared_error/mri_from_ecg" from the other's,
    "squared_error/mri_from_mean" of the mean signal, each [n]; "has_<modality>" [n].
    """
    for key, errors in outputs.items():
        target, _, source = key.removeprefix(PREFIX).partition(FROM)
        source = source or target
        if not key.startswith(PREFIX) or source == MEAN:
            continue
        there = outputs[f"has_{target}"] & outputs[f"has_{source}"]
        of_mean = outputs.get(f"{PREFIX}{target}{FROM}{MEAN}")
        known = None if of_mean is None else of_mean[there].astype(np.float64)
        yield Errors(target, source, errors[there].astype(np.float64), known)


def imputation_metrics(
    outputs: Mapping[str, NDArray], resamples: int, seed: int
) -> dict[str, Metric]:
    """Return "reconstruction/<target>/..." and "imputation/<target>_from_<source>/...".

    Of each the mean squared error ("mse") and what is "explained", with 95 % intervals over
    participants.

    Args:
        outputs: as `errors_in` reads them.
        resamples: of the intervals; 0 for none.
        seed: of the resamples.
    """
    found: dict[str, Metric] = {}
    for errors in errors_in(outputs):
        n = len(errors.of_model)
        if not n:
            reason = f"no participant has both {errors.target} and {errors.source}"
            found[f"{errors.name}/mse"] = Metric(None, reason=reason)
            continue
        counts = np.ones((1, n))
        if resamples:
            drawn = resample(resamples, n, generator_for(seed, errors.name))
            counts = np.concatenate([counts, drawn])
        sums = counts @ errors.of_model
        found[f"{errors.name}/mse"] = _metric(sums / n, n)
        if errors.of_mean is not None:
            explained = 1 - sums / np.maximum(counts @ errors.of_mean, np.finfo(float).tiny)
            found[f"{errors.name}/explained"] = _metric(explained, n)
    return found


def _metric(values: NDArray[np.float64], n: int) -> Metric:
    """values: [1 + resamples], the sample itself first."""
    low, high = percentile_interval(values[1:]) if len(values) > 1 else (None, None)
    return Metric(float(values[0]), low, high, n)


def imputation_table(metrics: Mapping[str, Metric], title: str) -> Table:
    """Return the table of `imputation_metrics`, a row a reconstruction."""
    rows = []
    for name, mse in metrics.items():
        kind, _, rest = name.partition("/")
        if kind not in ("reconstruction", "imputation") or not rest.endswith("/mse"):
            continue
        target, _, source = rest.removesuffix("/mse").partition(FROM)
        explained = metrics.get(f"{name.removesuffix('mse')}explained", Metric(None))
        what = target.upper(), (source or target).upper()
        rows.append((*what, mse.n, mse, explained))
    columns = ("Reconstructed", "From", "n", "Mean squared error", "Explained")
    return Table(title, columns, tuple(rows))
