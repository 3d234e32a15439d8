"""The stage that trains a classifier of change on pairs of films."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from ml_collections import ConfigDict

from medjax.errors import UsageError
from medjax.losses import masked_mean
from medjax.metrics.confusion_figure import confusion_figure
from medjax.metrics.metric import Metric
from medjax.precision import at_least_float32
from medjax.run.optim import make_optimizer
from medjax.run.system import Aux, Batch, Outputs, System, Update, Variables
from medjax.systems.medst.networks.backbones import backbone_of
from medjax.systems.medst.networks.of_stage import normalised
from medjax.systems.medst.networks.pairwise import Pairwise, swap_some
from medjax.systems.medst.opening import Opened, pair_batches
from medjax.systems.medst.tasks.change_metrics import change_metrics, change_table, confusion_of
from medjax.systems.medst.tasks.temporal_images import CODES, FINDINGS


def pairwise_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "pairwise" (see `medjax.run.system`)."""
    del artefacts
    stage = config[name]
    batches = pair_batches(config, stage, data)
    model = make_pairwise(config, name, stage)
    title = f"Change since the previous film{', invented' * data.invented}"

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del step
        of_swap, of_prior, of_dropout = jax.random.split(key, 3)
        current, prior, labels, has = (batch[n] for n in ("image", "prior", "labels", "has_prior"))
        if stage.train.swap:
            current, prior, labels = swap_some(of_swap, current, prior, labels, has)
        kept = jax.random.bernoulli(of_prior, 1 - stage.train.prior_dropout, has.shape)
        has = has & kept
        films = normalised(current), normalised(prior, has), has
        logits: Any = model.apply(variables, *films, train=True, rngs={"dropout": of_dropout})
        right = (logits.argmax(-1) == labels).astype(jnp.float32)
        known = (batch["known"] & batch["mask"][:, None]).reshape(-1)
        entropy = masked_mean(cross_entropy(logits, labels).reshape(-1), known)
        return entropy, Aux({}, {"accuracy": masked_mean(right.reshape(-1), known)})

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        del key
        has = batch["has_prior"]
        films = normalised(batch["image"]), normalised(batch["prior"], has), has
        logits: Any = model.apply(variables, *films, train=False)
        outputs = {"probability": jax.nn.softmax(at_least_float32(logits))}
        if "labels" in batch:
            outputs |= {n: batch[n] for n in ("labels", "known")}
            outputs["entropy"] = cross_entropy(logits, batch["labels"])
        return outputs

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        here = outputs[split]
        if "labels" not in here or not here["known"].any():
            return {"loss": Metric(None, reason="no pair has a label")}
        values = here["entropy"][here["known"]].astype(np.float64)
        rows = decided_rows(batches, split, here)
        resamples = config.evaluation.resamples if final else 0
        found = change_metrics(rows, resamples, config.seed)
        return found | {"loss": Metric(float(values.mean()), n=len(values))}

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        columns = dict(batches.identity(split, positions))
        for i, finding in enumerate(FINDINGS):
            told = outputs["probability"][:, i]
            columns |= {f"{change}/{finding}": told[:, code] for change, code in CODES.items()}
        return columns

    def draw(split: str, outputs: Mapping[str, Outputs], metrics: Mapping[str, Metric]) -> Any:
        del metrics
        rows = decided_rows(batches, split, outputs[split])
        if rows.empty:
            return {}
        counts = confusion_of(rows["label"].to_numpy(), rows["decided"].to_numpy())
        head = f"{title}: encoder of both films, {split} split"
        return {"confusion": confusion_figure(counts, tuple(CODES), head, "decided", "true")}

    return System(
        init=partial(init_pairwise, config, model),
        updates=pairwise_updates(stage, batches, loss),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        draw=draw,
        tables=lambda split, metrics: {"findings": change_table(metrics, f"{title}, {split}")},
        splits=batches.splits,
    )


def make_pairwise(config: ConfigDict, name: str, stage: ConfigDict) -> Pairwise:
    """Return the network of a stage.

    Raises:
        UsageError: its backbone is no transformer.
    """
    options = stage.model
    vit = backbone_of(options.backbone, config.data.image.crop)
    if isinstance(vit, str):
        raise UsageError(
            f"config.{name}.model.backbone={vit}: pairs of films are read by a vision transformer"
        )
    return Pairwise(
        vit,
        len(FINDINGS),
        len(CODES),
        options.fusion_blocks,
        options.dropout,
        jnp.dtype(config.precision),
    )


def init_pairwise(config: ConfigDict, model: Pairwise, key: jax.Array, batch: Batch) -> Variables:
    """Return fresh variables."""
    del batch
    films = jnp.zeros((1, config.data.image.crop, config.data.image.crop, 3))
    return model.init({"params": key}, films, films, jnp.ones(1, bool), train=False)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the cross entropy [batch, finding] of logits [batch, finding, change]."""
    logits = at_least_float32(logits)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels.astype(jnp.int32))


def pairwise_updates(stage: ConfigDict, batches: Any, loss: Any) -> tuple[Update, ...]:
    """Return the one optimiser step on a batch, none without a train split."""
    if "train" not in batches.splits:
        return ()
    steps = len(batches.plan("train", 0)) * stage.train.epochs
    frozen = not stage.train.backbone_trainable

    def role(path: tuple[str, ...]) -> str:
        return "frozen" if frozen and path[0] == "network" else "train"

    return (Update("pairwise", loss, role, make_optimizer(stage.optimizer, steps)),)


def decided_rows(batches: Any, split: str, outputs: Outputs) -> pd.DataFrame:
    """Return one row a labelled pair and finding, as `change_metrics` reads them."""
    pair, finding = np.nonzero(outputs["known"])
    ids = batches.identity(split, outputs["position"])
    decided = outputs["probability"].argmax(-1)
    return pd.DataFrame(
        {name: column[pair] for name, column in ids.items()}
        | {
            "finding": np.array(FINDINGS, object)[finding],
            "label": outputs["labels"][pair, finding],
            "decided": decided[pair, finding],
        }
    )
