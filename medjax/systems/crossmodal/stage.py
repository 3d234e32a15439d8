"""A stage: autoencoders of one modality, or of several that share a latent space."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from medjax.data.ml4h_cohort.records import Cohort
from medjax.metrics.metric import Metric
from medjax.run.optim import make_optimizer
from medjax.run.system import Batch, Inspection, Outputs, System, Update, Variables, identity
from medjax.systems.crossmodal import evaluation
from medjax.systems.crossmodal.architecture import make_architecture
from medjax.systems.crossmodal.batches import Batches, Passes
from medjax.systems.crossmodal.data import Data, mean_signals, shape_of
from medjax.systems.crossmodal.figures import latent_figure, signal_figures
from medjax.systems.crossmodal.imputation import imputation_table
from medjax.systems.crossmodal.inspection import architecture_figure, layers_of
from medjax.systems.crossmodal.inspection import parameter_table as layer_table
from medjax.systems.crossmodal.latents import file_name, joined, latents_of, write_latents
from medjax.systems.crossmodal.loss import (
    PairOptions,
    Reconstruction,
    autoencoder_loss,
    paired_loss,
)
from medjax.systems.crossmodal.model import CrossModal, clip_log_scale, make_init
from medjax.systems.crossmodal.predicting import Reading, only_kept, predictions

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
KEPT = 4
"""Participants kept for each one drawn, as some lack a modality."""


def make_stage(
    config: ConfigDict, name: str, data: Data, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage (see `medjax.run.system`)."""
    del artefacts
    stage, modalities = config[name], tuple(config[name].model.modalities)
    cohort = data.of_stage(name, modalities)
    batches = make_batches(config, stage, cohort)
    model = make_model(stage, cohort, config.precision)
    reading = make_reading(config, stage)
    means = mean_signals(cohort, modalities) if model.decoders else {}
    init = make_init(model)
    weights = {m: loss.weight for m, loss in reading.reconstruction.items()}
    title = f"{' and '.join(m.upper() for m in modalities)}{', invented' * data.invented}"

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        known = {m: batch[f"mean_{m}"] for m in means}
        return predictions(model, variables, batches.with_signals(batch), key, reading, known)

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        participants = cohort.splits[split]
        return evaluation.table_columns(
            participants, cohort.phenotype_names, positions, outputs, modalities
        )

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        resamples = config.evaluation.resamples if final else 0
        return evaluation.metrics(outputs[split], weights, modalities, resamples, config.seed)

    def draw(
        split: str, outputs: Mapping[str, Outputs], metrics: Mapping[str, Metric]
    ) -> Mapping[str, Figure]:
        del metrics
        what, options = f"{title}, {split} split", config.evaluation
        of_signals = signal_figures(outputs[split], modalities, options.pictures, what)
        who = cohort.splits[split], cohort.phenotype_names
        return of_signals | latent_figure(outputs[split], *who, options.map, config.seed, what)

    def export(folder: Path, predicted: Mapping[str, tuple[np.ndarray, Outputs]]) -> list[str]:
        parts = [
            latents_of(cohort.splits[split].sample_id[positions], outputs)
            for split, (positions, outputs) in predicted.items()
        ]
        rows = write_latents(folder, joined(parts), name, config.evaluation.tsv_style)
        files = {modality: folder / file_name(modality, name) for modality in rows}
        return [f"{n} latents of {m.upper()} in {files[m]} (and .parquet)" for m, n in rows.items()]

    trains = model.decoders and bool("train" in batches.splits and batches.plan("train", 0))
    return System(
        init=lambda key, batch: init(key),
        updates=(make_update(config, name, model, reading, batches),) if trains else (),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        draw=draw,
        tables=lambda split, metrics: (
            {"reconstruction": imputation_table(metrics, f"{title}, {split} split")}
            if model.decoders
            else {}
        ),
        export=export,
        joinable=only_kept,
        inspect=lambda: inspection_of(model, name),
        project=make_projection(stage, model),
        splits=batches.splits,
        resident=batches.resident() | {f"mean_{m}": mean for m, mean in means.items()},
    )


def inspection_of(model: CrossModal, name: str) -> Inspection:
    """Return the picture of a network's layers and the table of their parameters."""
    title = f"Network of the stage {name}"
    return Inspection(
        {"architecture": architecture_figure(model, title)},
        {"architecture": layer_table(layers_of(model), title)},
    )


def make_batches(config: ConfigDict, stage: ConfigDict, cohort: Cohort) -> Batches:
    """Return the batches of a stage."""
    options = stage.train
    drawn = {}
    if config.evaluation.coverage == "steps":
        drawn = {"validation": options.validation_steps, "test": options.test_steps}
    sizes = options.global_batch_size, options.evaluation_batch_size, options.training_steps
    return Batches(
        cohort,
        stage.model.modalities,
        Passes(*sizes, drawn),
        config.seed,
        participants=stage.data.participants,
        residence=config.data.residence,
    )


def make_model(stage: ConfigDict, cohort: Cohort, precision: str) -> CrossModal:
    """Return the network of a stage for signals of the cohort's shapes.

    Raises:
        UsageError: its options do not fit these shapes.
    """
    options, names = stage.model, tuple(stage.model.modalities)
    modalities = tuple((m, make_architecture(options[m], shape_of(cohort, m))) for m in names)
    mergers = names if options.get("unimodal_merger", False) else options.get("mergers", ())
    contrastive = stage.kind == "paired" and stage.loss.pair == "contrastive"
    return CrossModal(
        modalities,
        merge=options.merge if stage.kind == "paired" else "",
        mergers=tuple(mergers),
        temperature=stage.loss.temperature_init if contrastive else None,
        decoders=options.decoders,
        dtype=DTYPES[precision],
    )


def make_reading(config: ConfigDict, stage: ConfigDict) -> Reading:
    """Return what predictions hold, by the losses of a stage."""
    kinds = {m: Reconstruction(**stage.loss[m]) for m in stage.model.modalities if m in stage.loss}
    pair = None
    if stage.kind == "paired":
        loss = stage.loss
        forms = loss.contrastive_form, loss.cosine_clip, loss.euclid_reduction
        pair = PairOptions(loss.pair, loss.pair_weight, *forms)
    return Reading(
        kinds, pair, stage.model.get("merge_eval", "each"), KEPT * config.evaluation.pictures
    )


def make_update(
    config: ConfigDict, name: str, model: CrossModal, reading: Reading, batches: Batches
) -> Update:
    """Return the one update of a stage that trains."""
    stage = config[name]
    if reading.pair is None:
        ((modality, _),) = model.modalities
        minimised = autoencoder_loss(model, reading.reconstruction[modality].loss)
    else:
        minimised = paired_loss(model, reading.reconstruction, reading.pair)

    def loss(variables: Variables, batch: Batch, key: jax.Array, step: jax.Array) -> Any:
        return minimised(variables, batches.with_signals(batch), key, step)

    steps = len(batches.plan("train", 0)) * stage.train.epochs
    optimizer = make_optimizer(stage.optimizer, steps)
    return Update(name=name, loss=loss, role=lambda path: "train", optimizer=optimizer)


def make_projection(stage: ConfigDict, model: CrossModal) -> Callable[[Variables], Variables]:
    """Return what keeps the contrastive temperature below its limit."""
    highest = stage.loss.get("temperature_max")
    if model.temperature is None or highest is None:
        return identity
    return partial(clip_log_scale, highest=highest)
