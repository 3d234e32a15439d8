"""Which records of a split get a page, and what stands on it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.survival.baseline import Baseline
from medjax.run.system import Outputs, Variables
from medjax.systems.ecg_attention.explaining import Explanation
from medjax.systems.ecg_attention.painted_beat import PaintedRecord
from medjax.systems.ecg_attention.patient_page import (
    PatientPage,
    SurvivalCurve,
    patient_page,
    percentile_among,
)
from medjax.systems.ecg_attention.saliency import crop, rescale

STEPS = 200
"""Of a drawn survival curve."""


class Shown(NamedTuple):
    """What the network reads of some records."""

    signal: NDArray
    """[n, lead, time], padding included."""
    visible: NDArray
    """[n, lead, time]"""
    length: NDArray
    """[n] samples of the record itself, in the middle of `time`."""


class Reference(NamedTuple):
    """What the training subjects say of a score; None or empty where not known."""

    scores: NDArray
    """[n] of the training records."""
    baseline: Baseline | None
    last: float
    """The last time under observation."""


class Words(NamedTuple):
    """What pages write beside the numbers."""

    leads: tuple[str, ...]
    sampling_rate: float
    """Hz."""
    unit: str
    """Of times: "month"."""
    horizons: tuple[float, ...]
    event: str
    """What is waited for: "heart failure"."""
    model: str
    """Which network, of which stage, seed and fold."""


def chosen_rows(score: ArrayLike, count: int) -> NDArray[np.intp]:
    """Return `count` rows of [n] from the highest score to the lowest, evenly by rank."""
    order = np.argsort(-np.asarray(score, np.float64), kind="stable")
    places = np.linspace(0, len(order) - 1, min(count, len(order)))
    return order[np.round(places).astype(int)]


def draw_pages(
    options: ConfigDict,
    explain: Callable[[Variables, NDArray, NDArray], Explanation],
    read: Callable[[str, NDArray], Shown],
    reference: Reference,
    words: Words,
) -> Callable[[Variables, str, Outputs], Iterator[tuple[str, Figure]]]:
    """Return the `pages` of a `System`.

    Args:
        options: `config.explain`: `pages`, how many a split.
        explain: of `make_explainer`.
        read: (split, positions) -> what the network reads.
        reference: of the training subjects.
        words: what else is written.
    """

    def pages(variables: Variables, split: str, outputs: Outputs) -> Iterator[tuple[str, Figure]]:
        for row in chosen_rows(outputs["log_risk"], options.pages):
            shown = read(split, outputs["position"][[row]])
            explanation = explain(variables, shown.signal, shown.visible)
            score = float(outputs["log_risk"][row])
            title = f"Risk of {words.event}, row {row} of predictions-{split}.parquet"
            page = one_page(shown, explanation, score, reference, words, title)
            yield f"row{row:05d}", patient_page(page)

    return pages


def one_page(
    shown: Shown,
    explanation: Explanation,
    score: float,
    reference: Reference,
    words: Words,
    title: str,
) -> PatientPage:
    """Gather the page of one record."""
    samples = min(int(shown.length[0]), shown.signal.shape[-1])
    maps, paint = explanation.lead_maps, explanation.paint
    record = PaintedRecord(
        signal=crop(shown.signal[0], samples),
        paint=None if paint is None else rescale(crop(paint[0], samples)),
        leads=words.leads,
        sampling_rate=words.sampling_rate,
        reconstruction=crop(explanation.reconstruction[0], samples),
    )
    return PatientPage(
        record=record,
        lead_map=None if maps is None else maps[0],
        score=score,
        percentile=percentile_among(score, reference.scores),
        curve=survival_curve(score, reference, words),
        title=title,
        footnote=footnote(reference, words),
    )


def survival_curve(score: float, reference: Reference, words: Words) -> SurvivalCurve | None:
    """Return S(t | x) of a score up to the last time under observation, None without baseline."""
    if reference.baseline is None:
        return None
    within = [horizon for horizon in words.horizons if horizon <= reference.last]
    times = np.unique([*np.linspace(0, reference.last, STEPS), *within])
    values = reference.baseline.survival([score], times)[0]
    return SurvivalCurve(times, values, words.horizons, f"{words.unit}s", words.event)


def footnote(reference: Reference, words: Words) -> str:
    """Return what a reader must know of the page."""
    known = np.isfinite(reference.scores).sum()
    among = f" Percentile among {known:,} training records." if known else ""
    return (
        f"{words.model}. Black: each lead standardised, on its own scale; blue: the network's "
        f"reconstruction.{among} For research, not for care."
    )
