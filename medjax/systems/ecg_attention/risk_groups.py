"""Subjects of high and low risk: by the mean score of the models that did not see them.

Every replica (seed, fold) of a risk stage predicts the test fold that it was not trained on. The
risk of a record is the mean of these; those above a percentile are the group of high risk.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from ml_collections import ConfigDict
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.metric import Metric
from medjax.metrics.survival.curve import kaplan_meier
from medjax.metrics.survival.evaluation import survival_metrics
from medjax.metrics.survival.figures import kaplan_meier_figure
from medjax.metrics.tables import Cell, Table
from medjax.run.system import Comparison

NAME = "risk_groups"
KEY, SUBJECT, SCORE = "record_id", "subject_id", "log_risk"
EVENT, TIME = "event", "time"
"""Columns of the predictions table."""


def compare(
    config: ConfigDict, predictions: Callable[[str, str], Mapping[str, pd.DataFrame]]
) -> dict[str, Comparison]:
    """Return the comparison "risk_groups"; {} of a run without a risk stage, or without outcomes.

    predictions: (stage, split) -> {replica: predictions table}.
    """
    stages = [stage for stage in config.stages if config[stage].kind == "risk"]
    if not stages:
        return {}
    stage = config[stages[-1]]
    split = stage.train.final_splits[-1]
    tables = predictions(stages[-1], split)
    if not all(EVENT in table for table in tables.values()):
        return {}
    subjects = mean_scores(tables)
    percentile = config.explain.high_risk_percentile
    high = high_risk(subjects[SCORE], percentile)
    unit, horizons = f"{config.data.time_unit}s", tuple(config.evaluation.horizons)
    title = f"{_people(len(subjects), len(tables), percentile)}, {split} split"
    return {
        NAME: Comparison(
            metrics={split: measure(subjects, config.evaluation.resamples, config.seed)},
            table=group_table(subjects, high, horizons, unit, title),
            figure=kaplan_meier_figure(groups_of(subjects, high), title=title, unit=unit),
        )
    }


def mean_scores(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row a record: its ids and outcome, the mean of its scores, and their number."""
    joined = pd.concat(tables.values(), ignore_index=True)
    columns = {name: (name, "first") for name in (SUBJECT, EVENT, TIME)}
    grouped = joined.groupby(KEY, sort=True)
    return grouped.agg(**columns, **{SCORE: (SCORE, "mean"), "models": (SCORE, "size")})


def high_risk(score: ArrayLike, percentile: float) -> NDArray[np.bool_]:
    """Return who [n] lies above a percentile of the scores [n]."""
    scores = np.asarray(score, np.float64)
    return scores > np.percentile(scores, percentile) if len(scores) else np.zeros(0, bool)


def groups_of(
    subjects: pd.DataFrame, high: NDArray[np.bool_]
) -> dict[str, tuple[NDArray, NDArray]]:
    """Return {"low risk", "high risk": (event, time)}."""
    event, time = (subjects[name].to_numpy(np.float64) for name in (EVENT, TIME))
    return {"low risk": (event[~high], time[~high]), "high risk": (event[high], time[high])}


def measure(subjects: pd.DataFrame, resamples: int, seed: int) -> dict[str, Metric]:
    """Return the C-index of the mean scores, its interval by resamples of whole subjects."""
    return survival_metrics(
        subjects[EVENT],
        subjects[TIME],
        subjects[SCORE],
        resamples=resamples,
        seed=seed,
        clusters=subjects[SUBJECT].to_numpy(),
    )


def group_table(
    subjects: pd.DataFrame,
    high: NDArray[np.bool_],
    horizons: tuple[float, ...],
    unit: str,
    title: str,
) -> Table:
    """Return how many are in each group, their events, and their survival at each horizon."""
    rows: list[tuple[Cell, ...]] = []
    for name, (event, time) in groups_of(subjects, high).items():
        known = ~(np.isnan(event) | np.isnan(time))
        event, time = event[known], time[known]
        cells = [_survival(event, time, horizon) for horizon in horizons]
        rows.append((name, len(time), int(event.sum()), *cells))
    heads = [f"free of the event at {horizon:g} {unit}" for horizon in horizons]
    return Table(title, ("group", "n", "events", *heads), tuple(rows))


def _survival(event: NDArray, time: NDArray, horizon: float) -> Metric:
    """Kaplan and Meier's estimate at a horizon, undefined beyond the last time known."""
    if not len(time):
        return Metric(None, reason="nobody in this group")
    value, low, high = (float(x) for x in kaplan_meier(event > 0, time).at(horizon))
    if np.isnan(value):
        return Metric(None, reason=f"nobody under observation after {horizon:g}")
    if np.isnan(low):
        return Metric(value, n=len(time))
    return Metric(value, low, high, n=len(time))


def _people(records: int, models: int, percentile: float) -> str:
    means = f"mean scores of {models} models" if models > 1 else "scores of one model"
    return f"Risk up to the {percentile:g}th percentile and above: {records:,} records, {means}"
