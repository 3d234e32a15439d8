"""Metrics, tables and pictures of predicted risks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from medjax.metrics.metric import Metric
from medjax.metrics.survival.baseline import Baseline, breslow
from medjax.metrics.survival.evaluation import named, survival_metrics
from medjax.metrics.survival.figures import calibration_figure, kaplan_meier_figure, risk_groups
from medjax.metrics.tables import Table
from medjax.run.system import Outputs

THIRDS = {"low risk": 0, "middle risk": 1, "high risk": 2}


def fit_baseline(outputs: Mapping[str, Outputs]) -> dict[str, np.ndarray]:
    """Return Breslow's baseline hazard on the rows of all splits given, as arrays by name."""
    event, time, log_risk = (
        np.concatenate([part[name] for part in outputs.values()]).astype(np.float64)
        for name in ("event", "time", "log_risk")
    )
    known = ~(np.isnan(event) | np.isnan(time))
    baseline = breslow(event[known] > 0, time[known], log_risk[known])
    return {"baseline_time": baseline.time, "baseline_log_hazard": baseline.log_hazard}


def baseline_of(fitted: Mapping[str, np.ndarray]) -> Baseline | None:
    """Return the baseline hazard among what a stage fitted, None where it is not fitted yet."""
    if "baseline_time" not in fitted:
        return None
    return Baseline(fitted["baseline_time"], fitted["baseline_log_hazard"])


def metrics(
    outputs: Outputs,
    baseline: Baseline | None,
    horizons: Sequence[float],
    resamples: int,
    seed: int,
    subjects: np.ndarray,
) -> dict[str, Metric]:
    """Return the survival metrics of a split, and the error of the reconstruction where there is.

    The bootstrap draws subjects [n].
    """
    scores = survival_metrics(
        *(outputs["event"], outputs["time"], outputs["log_risk"]),
        baseline=baseline,
        horizons=horizons,
        resamples=resamples,
        seed=seed,
        clusters=subjects,
    )
    if "mse" in outputs:
        error = outputs["mse"].astype(np.float64)
        scores["mse"] = Metric(float(error.mean()), n=len(error))
    return scores


def columns(
    outputs: Outputs, baseline: Baseline | None, horizons: Sequence[float]
) -> dict[str, np.ndarray]:
    """Return the columns of the predictions table: risk, survival at horizons, the outcome."""
    table = {"log_risk": outputs["log_risk"]}
    if baseline:
        survival = baseline.survival(outputs["log_risk"], horizons)
        table |= {named("survival", h): survival[:, i] for i, h in enumerate(horizons)}
    if not np.isnan(outputs["event"]).all():
        table |= {"event": outputs["event"], "time": outputs["time"]}
    return table


def figures(
    outputs: Outputs, baseline: Baseline | None, horizons: Sequence[float], title: str, unit: str
) -> dict[str, Figure]:
    """Return Kaplan-Meier curves of the thirds of risk, and the calibration at the last horizon."""
    event, time, log_risk = (outputs[name] for name in ("event", "time", "log_risk"))
    known = ~(np.isnan(event) | np.isnan(time)) & np.isfinite(log_risk)
    if not known.any():
        return {}
    event, time, log_risk = event[known], time[known], log_risk[known]
    third = risk_groups(log_risk, (1 / 3, 2 / 3))
    groups = {name: (event[third == i], time[third == i]) for name, i in THIRDS.items()}
    drawn = {"kaplan_meier": kaplan_meier_figure(groups, title=title, unit=unit)}
    reached = [horizon for horizon in horizons if horizon < time.max()]
    if baseline and reached and event.any():
        risk = 1 - baseline.survival(log_risk, reached[-1:])[:, 0]
        drawn["calibration"] = calibration_figure(
            event, time, risk, horizon=reached[-1], title=title, unit=unit
        )
    return drawn


def tables(
    scores: Mapping[str, Metric], horizons: Sequence[float], title: str, unit: str
) -> dict[str, Table]:
    """Return the table `survival`: the C-index, and AUC and Brier score of each horizon."""
    heads = ("Up to", "Events", "n", "C-index", "AUC", "Brier score")
    whole = scores["c_index"]
    integrated = scores.get("brier/integrated")
    rows: list[Any] = [("end of follow-up", whole.positives, whole.n, whole, None, integrated)]
    for horizon in horizons:
        auc, brier = (scores.get(named(name, horizon)) for name in ("auc", "brier"))
        if auc is not None:
            where = f"{horizon:g} {unit}"
            rows.append((where, auc.positives, auc.n, None, auc, brier))
    note = "; the first row's Brier score is the mean up to the last horizon" if integrated else ""
    return {"survival": Table(title + note, heads, tuple(rows))}
