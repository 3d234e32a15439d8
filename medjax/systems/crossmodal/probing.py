"""What frozen latent vectors tell of phenotypes, and whether one set of them tells more.

Sets of latents (of encoders that were trained alone, and together) are probed on the same
participants, with the same folds, and scored on the same resamples: what makes a participant hard
to predict cancels in their difference.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medjax.metrics.bootstrap import generator_for
from medjax.metrics.comparison import Estimate, difference
from medjax.metrics.metric import Metric
from medjax.metrics.panels import shown
from medjax.metrics.probes import CannotFit, ProbeOptions, held_out_predictions, kinds_for
from medjax.metrics.regression import is_binary, paired_scores
from medjax.metrics.tables import Cell, Table
from medjax.systems.crossmodal.latents import Latents

MEASURES = {"r2": "R\N{SUPERSCRIPT TWO}", "auroc": "AUROC"}
"""What numbers are scored by, and labels of 0 and 1."""


class Labels(NamedTuple):
    """Phenotypes of participants."""

    sample_id: NDArray
    """Text [n]."""
    names: tuple[str, ...]
    values: NDArray
    """[n, phenotypes]; NaN where not known."""


class Probed(NamedTuple):
    """How well one phenotype is read off the latents of one modality."""

    modality: str
    label: str
    kind: str
    """Of the probe."""
    measure: str
    """A name of `MEASURES`."""
    estimates: Mapping[str, Estimate]
    """By set; empty where nothing could be fitted."""
    n: int
    positives: int | None
    reason: str
    """Why nothing could be fitted, "" where it was."""

    @property
    def name(self) -> str:
        """What the metric is called behind its "probe/"."""
        return f"{self.modality}/{self.kind}_{self.measure}/{self.label}"

    def metric(self, of: str) -> Metric:
        """Return the score of a set."""
        return self._metric(self.estimates.get(of))

    def gain(self, first: str, second: str) -> Metric:
        """Return how much better the first set's score is than the second's."""
        if first not in self.estimates or second not in self.estimates:
            return self._metric(None)
        return self._metric(difference(self.estimates[first], self.estimates[second]))

    def _metric(self, estimate: Estimate | None) -> Metric:
        if estimate is None:
            return Metric(None, reason=self.reason or "no such latents")
        low, high = estimate.interval() if len(estimate.resampled) else (None, None)
        return Metric(estimate.value, low, high, self.n, self.positives)


def probe(
    sets: Mapping[str, Latents],
    labels: Labels,
    kinds: Sequence[str] = ("ridge", "logistic"),
    options: ProbeOptions = ProbeOptions(),  # noqa: B008
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Probed, ...]:
    """Probe every set's latents for every phenotype.

    Args:
        sets: {"unimodal": ..., "crossmodal": ...}; of each modality, the participants count who
            have it in all sets that know the modality.
        labels: phenotypes by participant.
        kinds: of `probes.KINDS`; each serves the phenotypes that it fits.
        options: of the probes.
        resamples: of the intervals; 0 for none.
        seed: of folds and resamples.

    Returns:
        One entry a modality, phenotype and kind of probe, in this order.
    """
    modalities = dict.fromkeys(name for latents in sets.values() for name in latents.vectors)
    found = []
    for modality in modalities:
        ids, features, values = _joined(sets, modality, labels)
        for name, column in zip(labels.names, values.T):
            known = ~np.isnan(column)
            of_known = {of: x[known] for of, x in features.items()}
            for kind in kinds_for(column, tuple(kinds)):
                task = _Task(of_known, column[known], ids[known], kind, options)
                found.append(_probed(task, modality, name, resamples, seed))
    return tuple(found)


def _joined(
    sets: Mapping[str, Latents], modality: str, labels: Labels
) -> tuple[NDArray, dict[str, NDArray], NDArray]:
    """Return sorted ids [n] that all sets and the labels know, vectors by set, labels [n, L]."""
    found = {
        of: latents.of(modality) for of, latents in sets.items() if modality in latents.vectors
    }
    every = [labels.sample_id, *(ids for ids, _ in found.values())]
    common = reduce(np.intersect1d, every)
    features = {of: vectors[_rows(ids, common)] for of, (ids, vectors) in found.items()}
    return common, features, labels.values[_rows(labels.sample_id, common)]


def _rows(ids: NDArray, wanted: NDArray) -> NDArray[np.intp]:
    """Where each of the wanted ids stands."""
    order = np.argsort(ids)
    return order[np.searchsorted(ids, wanted, sorter=order)]


class _Task(NamedTuple):
    """One phenotype, known for all participants here, and what it is to be read off."""

    features: Mapping[str, NDArray]
    values: NDArray
    ids: NDArray
    kind: str
    options: ProbeOptions


def _probed(task: _Task, modality: str, label: str, resamples: int, seed: int) -> Probed:
    binary = is_binary(task.values)
    estimates: Mapping[str, Estimate] = {}
    reason = ""
    try:
        predictions = {
            of: held_out_predictions(task.kind, x, task.values, task.ids, task.options, seed)
            for of, x in task.features.items()
        }
        generator = generator_for(seed, label)
        estimates = paired_scores(task.values, predictions, task.ids, resamples, generator)
    except CannotFit as error:
        reason = str(error)
    return Probed(
        modality,
        label,
        task.kind,
        "auroc" if binary else "r2",
        estimates,
        len(task.ids),
        int(task.values.sum()) if binary else None,
        reason,
    )


def probe_metrics(probed: Sequence[Probed], of: str) -> dict[str, Metric]:
    """Return the scores of a set: {"probe/ecg/ridge_r2/lv_mass": Metric}."""
    return {f"probe/{one.name}": one.metric(of) for one in probed}


def gain_metrics(
    probed: Sequence[Probed], first: str = "crossmodal", second: str = "unimodal"
) -> dict[str, Metric]:
    """Return how much better the first set is: {"probe_gain/ecg/ridge_r2/lv_mass": Metric}."""
    return {f"probe_gain/{one.name}": one.gain(first, second) for one in probed}


def probe_table(
    probed: Sequence[Probed], title: str, first: str = "crossmodal", second: str = "unimodal"
) -> Table:
    """Return the table of scores of the sets and of their difference, a row a probe."""
    sets = sets_of(probed, first, second) or (first,)
    rows: list[tuple[Cell, ...]] = []
    for one in probed:
        what = (shown(one.label), one.modality.upper(), one.kind.replace("_", " "))
        scores = [one.metric(of) for of in sets]
        scores += [one.gain(first, second)] if len(sets) > 1 else []
        rows.append((*what, MEASURES[one.measure], one.positives, one.n, *scores))
    columns = ("Phenotype", "From", "Probe", "Score", "Positive", "n", *sets)
    return Table(title, columns + (("Difference",) if len(sets) > 1 else ()), tuple(rows))


def sets_of(probed: Sequence[Probed], *names: str) -> tuple[str, ...]:
    """Return those of the named sets that were probed."""
    return tuple(name for name in names if any(name in one.estimates for one in probed))
