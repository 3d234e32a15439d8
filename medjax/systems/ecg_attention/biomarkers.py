"""The baseline of the risk stage: Cox regression on biomarkers that a table names.

The paper has fifteen of the ECG: the ventricular rate and fourteen findings, yes or no. The penalty
is the one of `penalties` whose C-index on the validation split is best.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from medjax.data.batching import padded
from medjax.data.tables import decimals, read_table
from medjax.errors import UserError
from medjax.metrics.metric import Metric
from medjax.metrics.survival.concordance import concordance
from medjax.metrics.survival.cox_regression import CoxRegression, fit_cox
from medjax.metrics.tables import Table
from medjax.run.system import Batch, BatchPlan, Outputs, System, Variables
from medjax.systems.ecg_attention import risk_evaluation as evaluation
from medjax.systems.ecg_attention.cohort import Cohort, fold_of, identity_columns
from medjax.systems.ecg_attention.data import Data

KEYS = {"record_id": "record_id", "subject_id": "subject_id", "eid": "subject_id"}
"""Id columns -> whose ids they hold."""
ANSWERS = {"yes": "1", "true": "1", "no": "0", "false": "0"}


class Biomarkers(NamedTuple):
    """What a table says of a cohort."""

    names: tuple[str, ...]
    values: np.ndarray
    """Float64 [n, biomarkers]; NaN for recordings that it does not name."""


def read_biomarkers(path: Path, cohort: Cohort) -> Biomarkers:
    """Read the table: a column of ids (`KEYS`), then numbers, or yes and no.

    Raises:
        UserError: no column of ids, an id twice, a cell that is empty or no number, or no row of
            the cohort.
    """
    table = read_table(path, None)
    table.columns = [str(name).strip() for name in table.columns]
    key = next((name for name in KEYS if name in table), None)
    names = tuple(name for name in table.columns if name not in KEYS)
    if key is None or not names:
        raise UserError(f"{path}: give a column {', '.join(KEYS)} and a column a biomarker")
    ids = table[key].str.strip()
    if ids.duplicated().any():
        row = int(np.flatnonzero(ids.duplicated())[0]) + 2
        raise UserError(f"{path}, row {row}: its {key} stands in an earlier row; remove one")
    columns = []
    for name in names:
        texts = table[name].str.strip().str.lower()
        numbers = decimals(texts.replace(ANSWERS), path)
        if np.isnan(numbers).any():
            row = int(np.flatnonzero(np.isnan(numbers))[0]) + 2
            raise UserError(f"{path}, row {row}: {name!r} is empty; fill it or remove the row")
        columns.append(numbers)
    place = {one: row for row, one in enumerate(ids)}
    rows = np.array([place.get(str(one), -1) for one in getattr(cohort, KEYS[key])])
    if not (rows >= 0).any():
        raise UserError(f"{path}: no {key} of the risk cohort stands in the table")
    values = np.stack(columns, axis=1)[rows]
    values[rows < 0] = np.nan
    return Biomarkers(names, values)


def biomarker_stage(
    config: ConfigDict, name: str, data: Data, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "biomarkers" (see `medjax.run.system`).

    Raises:
        UserError: `config.data.biomarkers` names no table, or one that cannot be read.
    """
    stage, cohort = config[name], data.cohort(name)
    if config.data.biomarkers is None:
        raise UserError(
            f"stage {name} reads a table: give --config.data.biomarkers=CSV (a column record_id, "
            "subject_id or eid, then a column a biomarker)"
        )
    biomarkers = read_biomarkers(Path(config.data.biomarkers), cohort)
    parts = named_rows(config, name, cohort, biomarkers, artefacts)
    fitted = (artefacts or {}).get("fitted") or {}
    horizons, unit = config.evaluation.horizons, f"{config.data.time_unit}s"
    baseline = evaluation.baseline_of(fitted)
    title = f"risk from {len(biomarkers.names)} biomarkers"
    size = stage.train.evaluation_batch_size

    def plan(split: str, epoch: int) -> list[BatchPlan]:
        rows = np.arange(len(parts[split]))
        return [BatchPlan(rows[i : i + size], size) for i in range(0, len(rows), size)]

    def collate(split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        which, count = parts[split][plan.indices[rows]], rows.stop - rows.start
        columns = {
            "covariates": biomarkers.values[which].astype(np.float32),
            "event": cohort.event[which].astype(np.float32),
            "time": cohort.time[which].astype(np.float32),
        }
        batch = {key: padded(column, count) for key, column in columns.items()}
        return batch | {"mask": np.arange(rows.start, rows.stop) < len(plan.indices)}

    def init(key: jax.Array, batch: Batch) -> Variables:
        # Nothing is trained: what is fitted is stored beside these.
        return {"params": {"unused": jnp.zeros(())}}

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        return {name: batch[name] for name in ("covariates", "event", "time")}

    def scored(outputs: Outputs) -> Outputs:
        log_risk = _model(fitted).log_risk(outputs["covariates"])
        return {**outputs, "log_risk": log_risk}

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        of_split = scored(outputs[split])
        who = cohort.subject_id[parts[split][of_split["position"]]]
        resamples = config.evaluation.resamples
        metrics = evaluation.metrics(of_split, baseline, horizons, resamples, config.seed, who)
        return {**metrics, "penalty": Metric(float(fitted["penalty"]))}

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        ids = identity_columns(cohort, parts[split][positions])
        return {**ids, **evaluation.columns(scored(outputs), baseline, horizons)}

    def tables(split: str, metrics: Mapping[str, Metric]) -> Mapping[str, Table]:
        place = f"{title}, {split} split"
        found = evaluation.tables(metrics, horizons, place, unit)
        if split == stage.train.final_splits[-1]:
            found["hazard_ratios"] = hazard_ratios(biomarkers.names, _model(fitted), title)
        return found

    return System(
        init=init,
        updates=(),
        plan=plan,
        collate=collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        draw=lambda split, outputs, metrics: evaluation.figures(
            scored(outputs[split]), baseline, horizons, f"{title}, {split} split", unit
        ),
        tables=tables,
        fit=lambda outputs: fit(outputs, stage.penalties),
        splits=tuple(parts),
        artefacts={"cohort": cohort.digest},
    )


def named_rows(
    config: ConfigDict,
    name: str,
    cohort: Cohort,
    biomarkers: Biomarkers,
    artefacts: Mapping[str, Any] | None,
) -> dict[str, np.ndarray]:
    """Return the rows of each split, as the risk stage has them, as far as the table names them."""
    trained_on = (artefacts or {}).get("cohort")
    parts = fold_of(cohort, config[name].data, config.seed, config.fold, trained_on)
    there = ~np.isnan(biomarkers.values).any(axis=1)
    lost = sum(int((~there[rows]).sum()) for rows in parts.values())
    if lost and jax.process_index() == 0:
        print(f"medjax: stage {name}: {lost} recordings have no biomarkers", file=sys.stderr)
    return {split: rows[there[rows]] for split, rows in parts.items()}


def fit(outputs: Mapping[str, Outputs], penalties: Sequence[float]) -> dict[str, np.ndarray]:
    """Fit on the train split, choose the penalty on the validation split; add the baseline hazard.

    Of equally good penalties the first is taken.
    """
    train, validation = outputs["train"], outputs["validation"]
    best: tuple[float, float, CoxRegression] | None = None
    for penalty in penalties:
        model = fit_cox(train["covariates"], train["event"] > 0, train["time"], penalty)
        risk = model.log_risk(validation["covariates"])
        ranked = concordance(validation["event"] > 0, validation["time"], risk).c_index()
        score = -1.0 if np.isnan(ranked) else float(ranked)
        if best is None or score > best[0]:
            best = score, penalty, model
    assert best is not None
    _, penalty, model = best
    scored = {
        split: {**part, "log_risk": model.log_risk(part["covariates"])}
        for split, part in outputs.items()
    }
    arrays = {"penalty": np.asarray(penalty), **model._asdict()}
    return arrays | evaluation.fit_baseline(scored)


def _model(fitted: Mapping[str, np.ndarray]) -> CoxRegression:
    return CoxRegression(*(fitted[name] for name in CoxRegression._fields))


def hazard_ratios(names: Sequence[str], model: CoxRegression, title: str) -> Table:
    """Return the table of hazard ratios of one unit more, with 95 % intervals."""
    rows = []
    for name, value, error in zip(names, model.coefficients, model.standard_errors, strict=True):
        bounds = value + np.array([0.0, -1.959964, 1.959964]) * error
        ratio, low, high = (float(x) for x in np.exp(bounds))
        rows.append((name, Metric(ratio, low, high)))
    return Table(f"{title}: hazard ratios", ("Biomarker", "Hazard ratio"), tuple(rows))
