"""MedFuse as the run layer sees it: the contract's functions, made from a config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from medjax.errors import UserError
from medjax.losses import sigmoid_cross_entropy
from medjax.run.optim import make_optimizer
from medjax.run.system import Batch, Outputs, System, Update, Variables
from medjax.systems.medfuse import evaluation
from medjax.systems.medfuse.batches import Batches
from medjax.systems.medfuse.data import NO_FILM, Data
from medjax.systems.medfuse.data import open_data as open_sets
from medjax.systems.medfuse.demo import prepare_demo
from medjax.systems.medfuse.freezing import encoder_modes, role
from medjax.systems.medfuse.loss import EVALUATION as EVALUATION_MODES
from medjax.systems.medfuse.loss import Modes, forward, make_loss
from medjax.systems.medfuse.model import MedFuse

SMALL_RESNETS = {"resnet4": (1,), "resnet10": (1, 1, 1, 1)}
"""Blocks of the stages of networks smaller than any published one, for the demo and tests."""


def open_data(config: ConfigDict, workdir: Path) -> Data:
    """Open the prepared sets that `config.data` names; the demo's where it names none."""
    icu, xray = config.data.dir, config.data.xray_dir
    if icu is None and xray is None:
        icu, xray = prepare_demo(workdir / "demo", config.data.demo, config.data.task)
    return open_sets(Path(icu) if icu else None, Path(xray) if xray else None, config.data.task)


def make_model(stage: ConfigDict, classes: int, precision: str) -> MedFuse:
    """Return the network of a stage with `classes` outputs."""
    options = stage.model
    small = options.backbone in SMALL_RESNETS
    return MedFuse(
        fusion=options.fusion,
        backbone="resnet" if small else options.backbone,
        stage_sizes=SMALL_RESNETS.get(options.backbone, ()),
        width=options.width,
        dim=options.dim,
        layers=options.layers,
        dropout=options.dropout,
        num_classes=classes,
        vision_num_classes=classes,
        labels="radiology" if stage.data.labels == "radiology" else "pheno",
        absent_images=options.absent_images,
        groups=options.groups if options.batch_statistics == "per_group" else 1,
        dtype=jnp.dtype(precision),
    )


def build(
    config: ConfigDict, stage_name: str, data: Data, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of one stage (see `medjax.run.system`)."""
    stage = config[stage_name]
    check_data(stage_name, stage, data, config)
    if artefacts is None:
        check_labels(stage_name, stage, data)
    normalizer = artefacts["normalizer"] if artefacts else data.normalizer
    batches = Batches(config, stage, data, normalizer)
    names = tuple(artefacts["labels"]) if artefacts else batches.label_names()
    model = make_model(stage, len(names), config.precision)

    def init(key: jax.Array, batch: Batch) -> Variables:
        variables = {"params": key}
        image = jnp.zeros((*batch["image"].shape, 3))
        return model.init(
            variables,
            batch["series"],
            batch["length"],
            image,
            batch["has_image"],
            batch["mask"],
            train=False,
        )

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        prediction, _ = forward(model, variables, batch, key, EVALUATION_MODES)
        outputs = {"probability": jax.nn.sigmoid(prediction.logits)}
        if "labels" in batch:
            entropy = sigmoid_cross_entropy(prediction.logits, batch["labels"])
            outputs |= {"labels": batch["labels"], "loss": entropy.mean(-1)}
        return outputs

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        return evaluation.table(identify(stage, data, split, positions), outputs, names)

    return System(
        init=init,
        updates=(make_update(config, stage, batches, model),) if "train" in batches.splits else (),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=lambda split, outputs, final: evaluation.evaluate(
            outputs[split], names, config, final
        ),
        draw=lambda split, outputs, metrics: evaluation.draw(
            outputs[split], names, metrics, f"{title(stage, config)}, {split} split"
        ),
        splits=batches.splits,
        artefacts={"normalizer": normalizer, "labels": list(names)},
    )


def title(stage: ConfigDict, config: ConfigDict) -> str:
    """Return what a stage predicts from what, for the heads of plots."""
    targets = {"in_hospital_mortality": "in-hospital mortality", "phenotyping": "phenotypes"}
    target = targets[config.data.task]
    if stage.data.labels == "radiology":
        target = "radiology labels"
    sources = {"uni_ehr": "time series", "uni_ehr_lstm": "time series", "uni_cxr": "film"}
    source = sources.get(stage.model.fusion, "time series and film")
    invented = config.data.dir is None and config.data.xray_dir is None
    return f"{target} from {source}" + (", invented patients" if invented else "")


def make_update(config: ConfigDict, stage: ConfigDict, batches: Batches, model: MedFuse) -> Update:
    """Return the one optimiser step of a stage."""
    fusion = stage.model.fusion
    modes = Modes(True, *encoder_modes(fusion, stage.train.frozen_encoder_mode, train=True))
    total_steps = len(batches.plan("train", 0)) * stage.train.epochs
    return Update(
        name="fusion",
        loss=make_loss(model, modes),
        role=lambda path: role(fusion, path),
        optimizer=make_optimizer(stage.optimizer, total_steps),
    )


def check_data(name: str, stage: ConfigDict, data: Data, config: ConfigDict) -> None:
    """Raise UserError where a stage needs sets that are not at hand."""
    if stage.data.pairs == "radiology":
        if not data.films:
            raise UserError(
                f"stage {name} trains on films alone: give --config.data.xray_dir=FOLDER, or leave "
                f"it out with --config.stages=" + ",".join(s for s in config.stages if s != name)
            )
        return
    if not data.stays:
        raise UserError(
            f"stage {name} reads ICU stays: give --config.data.dir=FOLDER (made by `python -m "
            "medjax.prepare mimic_iv`)"
        )
    wants_films = stage.data.pairs in ("paired_ehr", "paired_ehr_cxr", "partial_ehr_cxr")
    linked = any((stays.film != NO_FILM).any() for stays in data.stays.values())
    if wants_films and data.films and not linked:
        raise UserError(
            f"stage {name}: no stay has an image in {config.data.xray_dir}: prepare the films with "
            "`python -m medjax.prepare mimic_cxr --ehr=PREPARED_MIMIC_IV`, or leave out "
            "--config.data.xray_dir"
        )
    if stage.data.pairs.startswith("paired") and not linked:
        raise UserError(
            f"stage {name} needs stays that have an image ({name}.data.pairs is "
            f"{stage.data.pairs!r}) and none has: give --config.data.xray_dir=FOLDER (made by "
            "`python -m medjax.prepare mimic_cxr --ehr=...`)"
        )


def check_labels(name: str, stage: ConfigDict, data: Data) -> None:
    """Raise UserError where a stage is to train on data without a train split or labels."""
    radiology = stage.data.labels == "radiology"
    known: Mapping[str, Any] = data.films if stage.data.pairs == "radiology" else data.stays
    labelled = bool(data.film_labels if radiology else data.stay_labels)
    if "train" not in known or not labelled:
        raise UserError(
            f"stage {name} cannot train on data that were prepared with --unlabelled: prepare them "
            f"with labels, or predict with --mode=predict --config.{name}.init_from=RUN_FOLDER"
        )


def identify(
    stage: ConfigDict, data: Data, split: str, positions: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the id columns of examples."""
    if stage.data.pairs == "radiology":
        films = data.films[split]
        return {"dicom_id": films.dicom_id[positions], "subject_id": films.subject_id[positions]}
    stays = data.stays[split]
    return {
        "stay_id": stays.stay_id[positions],
        "subject_id": stays.subject_id[positions],
        "has_image": stays.film[positions] != NO_FILM,
    }
