"""The risk stage: the time to an event from one ECG, by Cox's partial likelihood."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from medjax.data.ecg.leads import LEADS, leads_of
from medjax.data.stratified import largest_batch
from medjax.errors import UsageError, UserError
from medjax.metrics.metric import Metric
from medjax.run.optim import make_optimizer
from medjax.run.system import Batch, Outputs, System, Update, Variables
from medjax.systems.ecg_attention import risk_evaluation as evaluation
from medjax.systems.ecg_attention.augmentation import draw_kept_leads
from medjax.systems.ecg_attention.batches import Sizes
from medjax.systems.ecg_attention.cohort import (
    Cohort,
    CohortBatches,
    cohort_folds,
    identity_columns,
)
from medjax.systems.ecg_attention.data import Data
from medjax.systems.ecg_attention.items import Items, place
from medjax.systems.ecg_attention.model import make_network
from medjax.systems.ecg_attention.risk_explanation import (
    explanation_figures,
    fitted_scores,
    reference_of,
    risk_pages,
)
from medjax.systems.ecg_attention.risk_loss import RiskLoss, make_loss
from medjax.systems.ecg_attention.risk_network import RiskNetwork


def risk_stage(
    config: ConfigDict, name: str, data: Data, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "risk" (see `medjax.run.system`).

    Weights that come without a baseline hazard, as published ones do, give risks alone.

    Raises:
        UsageError: the weights' baseline hazard has another unit of time than the config.
        UserError: the weights were trained at another sampling rate.
    """
    stage, cohort = config[name], data.cohort(name)
    stored = {
        "cohort": cohort.digest,
        "time_unit": config.data.time_unit,
        "sampling_rate": cohort.sampling_rate,
    } | dict(artefacts or {})
    check_stored(name, stored, config.data.time_unit, cohort.sampling_rate)
    batches = stage_batches(config, name, cohort, artefacts)
    network = make_risk_network(stage, config.precision)
    leads = leads_of(config.data.leads)
    horizons, unit = config.evaluation.horizons, f"{config.data.time_unit}s"
    fitted = stored.get("fitted") or {}
    baseline = evaluation.baseline_of(fitted)
    title = "risk from one ECG" + (", invented patients" if data.invented else "")

    def items(batch: Batch) -> Items:
        return cohort_items(batch, stage.model.time_steps)

    def init(key: jax.Array, batch: Batch) -> Variables:
        shown = items(batch)
        keys = dict(zip(("params", "latent"), jax.random.split(key)))
        arguments = (shown.signal, shown.visible, batch["mask"])
        return network.init(keys, *arguments, train=False, method="read")

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        shown = items(batch)
        arguments = (shown.signal, shown.visible, batch["mask"])
        output: Any = network.apply(
            variables, *arguments, train=False, rngs={"latent": key}, method="read"
        )
        error = jnp.square(output.reconstruction - shown.target).mean((1, 2))
        outputs = {"log_risk": output.log_risk, "hidden": output.hidden, "mse": error}
        outputs |= {name: batch[name] for name in ("event", "time")}
        if output.encoding.lead_attention is not None:
            outputs["lead_attention"] = output.encoding.lead_attention
        return outputs

    def subjects(split: str, outputs: Outputs) -> np.ndarray:
        return cohort.subject_id[batches.parts[split][outputs["position"]]]

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        resamples = config.evaluation.resamples if final else 0
        of_split = outputs[split]
        who = subjects(split, of_split)
        times = horizons if final else ()
        return evaluation.metrics(of_split, baseline, times, resamples, config.seed, who)

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        ids = identity_columns(cohort, batches.parts[split][positions])
        return {**ids, **evaluation.columns(outputs, baseline, horizons)}

    def draw(
        split: str, outputs: Mapping[str, Outputs], metrics: Mapping[str, Metric]
    ) -> Mapping[str, Figure]:
        of_split, whom = outputs[split], f"{title}, {split} split"
        percentile = config.explain.high_risk_percentile
        return {
            **evaluation.figures(of_split, baseline, horizons, whom, unit),
            **explanation_figures(of_split, leads, percentile, whom),
        }

    return System(
        init=init,
        updates=make_updates(config, name, network, batches, leads),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        draw=draw,
        pages=risk_pages(
            config, name, network, batches, cohort, items, reference_of(fitted, baseline)
        ),
        tables=lambda split, metrics: evaluation.tables(
            metrics, horizons, f"{title}, {split} split", unit
        ),
        fit=fit if artefacts is None or baseline else None,
        splits=batches.splits,
        resident=batches.resident(),
        artefacts={key: value for key, value in stored.items() if key != "fitted"},
    )


def check_stored(name: str, stored: Mapping[str, Any], time_unit: str, rate: float) -> None:
    """Raise UsageError or UserError where trained weights read other units than those given."""
    if stored["time_unit"] != time_unit:
        raise UsageError(
            f"the weights' baseline hazard counts time in {stored['time_unit']}s: give "
            f"--config.data.time_unit={stored['time_unit']}"
        )
    if stored["sampling_rate"] != rate:
        raise UserError(
            f"stage {name} was trained on recordings of {stored['sampling_rate']:g} Hz, and those "
            f"of config.data.risk_dir have {rate:g}: prepare them with "
            f"--sampling_rate={stored['sampling_rate']:g}"
        )


def fit(outputs: Mapping[str, Outputs]) -> dict[str, np.ndarray]:
    """Return the baseline hazard, and the scores that pages compare a patient's with."""
    return evaluation.fit_baseline(outputs) | fitted_scores(outputs)


def stage_batches(
    config: ConfigDict, name: str, cohort: Cohort, artefacts: Mapping[str, Any] | None
) -> CohortBatches:
    """Return the batches of a stage that reads the cohort.

    Raises:
        UserError: the cohort's outcomes allow no such folds.
    """
    options, train, model = config[name].data, config[name].train, config[name].model
    folds = cohort_folds(cohort, options, config.seed, (artefacts or {}).get("cohort"))
    size = train.global_batch_size
    # One shape for the batches of all folds, so that they can train together.
    lengths = [len(parts["train"]) for parts in folds if len(parts.get("train", ()))]
    return CohortBatches(
        cohort,
        folds[config.fold if len(folds) > 1 else 0],
        Sizes(size, train.evaluation_batch_size, model.time_steps),
        max([largest_batch(length, size) for length in lengths], default=size),
        config.seed,
        stratified=train.stratified,
        on_device=config.data.residence == "device",
    )


def cohort_items(batch: Batch, time_steps: int) -> Items:
    """Return the unmasked items [batch, lead, time] of a batch of `CohortBatches`."""
    raw = batch["cohort"][batch["index"]] if "cohort" in batch else batch["signal"]
    where = (batch["length"], batch["offset"], time_steps)
    signal = place(raw, *where)
    recorded = jnp.broadcast_to(batch["recorded"][..., None], raw.shape).astype(raw.dtype)
    return Items(signal, signal, place(recorded, *where))


def make_risk_network(stage: ConfigDict, precision: str) -> RiskNetwork:
    """Return the network of a stage."""
    network = make_network(stage.model, precision)
    return RiskNetwork(
        encoder=network.encoder,
        decoder=network.decoder,
        norm_output=network.norm_output,
        hidden=stage.model.risk_hidden,
        batchwise_dropout=stage.model.batchwise_dropout,
    )


def make_updates(
    config: ConfigDict,
    name: str,
    network: RiskNetwork,
    batches: CohortBatches,
    leads: tuple[str, ...] = LEADS,
) -> tuple[Update, ...]:
    """Return the optimiser step of a stage, () without training split."""
    stage = config[name]
    if "train" not in batches.splits:
        return ()
    frozen = stage.train.freeze_encoder

    def role(path: tuple[str, ...]) -> str:
        return "frozen" if frozen and path[0] == "encoder" else "train"

    def draw_leads(key: jax.Array) -> jax.Array:
        return draw_kept_leads(key, 1, leads)[0]

    steps = len(batches.plan("train", 0)) * stage.train.epochs
    loss = make_loss(
        network,
        RiskLoss(**stage.loss),
        lambda batch: cohort_items(batch, stage.model.time_steps),
        draw_leads if stage.train.hide_leads else None,
        train_encoder=not (frozen and stage.train.freeze_encoder_scope == "all"),
    )
    return (Update("risk", loss, role, make_optimizer(stage.optimizer, steps)),)
