"""The replication's stage: six entities read by a fusion model, as its README promises it.

Three losses: existence of each entity, its position among candidates, and the likeness of the
film's vector and its report's. `compat = "published"` makes it the notebook as it runs.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from medjax.data.radgraph.vocabulary import ENTITIES as ALL_ENTITIES
from medjax.data.radgraph.vocabulary import query_of
from medjax.errors import UserError
from medjax.losses import cosine_alignment, sigmoid_cross_entropy
from medjax.metrics.figures import Predictions
from medjax.metrics.metric import Metric
from medjax.run.optim import make_optimizer
from medjax.run.system import Aux, Batch, BatchPlan, Outputs, System, Update, Variables
from medjax.systems.medklip.batches import EVALUATION
from medjax.systems.medklip.books import (
    Books,
    encode,
    pack_array,
    pack_books,
    position_prompts,
    query_texts,
    text_options,
    unpack_books,
)
from medjax.systems.medklip.data import EMPTY, Data
from medjax.systems.medklip.encoder import standardise
from medjax.systems.medklip.figures import entity_figures
from medjax.systems.medklip.fusion import Fusion, FusionReading
from medjax.systems.medklip.loss import (
    Terms,
    mean_over,
    position_logits,
    position_terms,
    readme_terms,
)
from medjax.systems.medklip.network import make_decoder, make_encoder
from medjax.systems.medklip.notebook_labels import ENTITIES, substring_labels
from medjax.systems.medklip.opening import Opened, stage_batches
from medjax.systems.medklip.overlays import overlay_pages
from medjax.systems.medklip.zero_shot import Intervals, choose_thresholds, entity_metrics

COLUMNS = np.array([ALL_ENTITIES.index(str(query_of(entity))) for entity in ENTITIES])
"""Of the six among the 75."""


def replication_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "replication" (see `medjax.run.system`)."""
    stage, films = config[name], data.films
    if artefacts is None and stage.labels == "radgraph" and not films.has_triplets:
        raise UserError(
            f"stage {name} learns from the triplets of reports and there are none: make them with "
            "`python -m medjax.prepare radgraph --raw=PREPARED_FILMS --out=FOLDER` and give "
            f"--config.data.triplets_dir=FOLDER, or --config.{name}.labels=substring"
        )
    books = replication_books(config, stage, data, artefacts)
    model = make_fusion(config, stage, books)
    batches = stage_batches(config, stage, films, "triplets")
    labels = {split: film_labels(films, split, stage.labels) for split in films.splits}
    resident: dict[str, Any] = {"entity_book": books.entity, "position_book": books.position}
    stored = {"books": pack_books(books)}
    if artefacts is None:
        reports, center = report_book(config, stage, data)
        resident["report_book"] = reports
        stored["report_center"] = pack_array(center)

    def plan(split: str, epoch: int) -> list[BatchPlan]:
        if epoch == EVALUATION or stage.train.shuffle:
            return list(batches.plan(split, epoch))
        positions, size = batches.examples(split, epoch), stage.train.global_batch_size
        last = max(len(positions) // size, 1) * size
        starts = range(0, min(last, len(positions)), size)
        return [BatchPlan(positions[start : start + size], size) for start in starts]

    def collate(split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        batch = batches.collate(split, epoch, plan, rows)
        known = labels[split]
        if known is None:
            return {"image": batch["image"], "mask": batch["mask"]}
        told = np.full((len(batch["mask"]), len(ENTITIES)), -1, np.float32)
        indices = plan.indices[rows]
        told[: len(indices)] = known[indices]
        index = batch.get("position_index")
        if index is None:
            index = np.full((len(told), len(ALL_ENTITIES), 1), -1, np.int32)
        report = np.full(len(told), EMPTY, np.int32)
        report[: len(indices)] = films.splits[split].report_row[indices]
        kept = {"image": batch["image"], "mask": batch["mask"], "labels": told}
        return {**kept, "position_index": index[:, COLUMNS], "report": report}

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        reading, _ = read(model, variables, batch, key, train=False)
        outputs = {"score": jax.nn.sigmoid(reading.logits), "attention": reading.attention}
        if "labels" in batch:
            entropy = sigmoid_cross_entropy(reading.logits, jnp.clip(batch["labels"], 0, 1))
            outputs |= {"labels": batch["labels"], "entropy": entropy}
        return outputs

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        found = results_of(split, outputs, config, final)
        return found | ({"text": Metric(None, reason=books.method)} if final else {})

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        columns = {f"score/{e}": outputs["score"][:, i] for i, e in enumerate(ENTITIES)}
        return {**batches.identity(split, positions), **columns}

    def draw(split: str, outputs: Mapping[str, Outputs], metrics: Mapping[str, Metric]) -> Any:
        if "labels" not in outputs[split]:
            return {}
        title = f"the replication's six entities{invented(films)}, {split} split"
        told = truth_of(outputs[split]), outputs[split]["score"], ENTITIES, metrics, title
        return entity_figures(Predictions(*told))

    def pages(variables: Variables, split: str, outputs: Outputs) -> Iterator[tuple[str, Figure]]:
        del variables
        title = f"{invented(films)}, {split} split"
        size, count = config.data.image.size, stage.overlays
        return overlay_pages(films, split, ENTITIES, outputs, size, count, title)

    return System(
        init=partial(init, model),
        updates=updates(stage, plan, make_loss(model, stage), batches.splits),
        plan=plan,
        collate=collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        draw=draw,
        pages=pages,
        splits=batches.splits,
        resident=resident,
        artefacts=stored,
    )


def invented(films: Data) -> str:
    """Return what the head of a picture says of where films are from."""
    return ", invented films" if films.invented else ""


def replication_books(
    config: ConfigDict, stage: ConfigDict, data: Opened, artefacts: Mapping[str, Any] | None
) -> Books:
    """Return the vectors of the six queries and of the positions."""
    if artefacts and artefacts.get("books"):
        return unpack_books(artefacts["books"])
    options = text_options(config, stage)
    queries = query_texts(ENTITIES, stage.text.query_text, options.descriptions)
    prompts = position_prompts(options.position_prompt)
    vectors, method, table = encode(options, data.texts, [*queries, *prompts])
    return Books(ENTITIES, vectors[: len(queries)], vectors[len(queries) :], method, table)


def report_book(
    config: ConfigDict, stage: ConfigDict, data: Opened
) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of all reports [report, text width] less the training split's mean.

    Without that all of them are nearly parallel, and a constant vector is like every report.
    """
    films = data.films
    if not films.report_texts or not stage.loss.alpha_semantic:
        return np.zeros((1, 1), np.float32), np.zeros(1, np.float32)
    vectors, _, _ = encode(text_options(config, stage), data.texts, films.report_texts)
    center = np.zeros(vectors.shape[1], np.float32)
    if stage.loss.semantic_center and "train" in films.splits:
        rows = films.splits["train"].report_row
        center = vectors[rows[rows != EMPTY]].mean(0)
    return vectors - center, center


def film_labels(films: Data, split: str, source: str) -> np.ndarray | None:
    """Return float32 [film, entity] of a split, -1 not known; None where nothing tells of them."""
    here = films.splits[split]
    if source == "radgraph":
        return here.existence()[:, COLUMNS] if len(here.reported) else None
    if not films.report_texts:
        return None
    found = substring_labels(films.report_texts)[here.report_row]
    return np.where(here.report_row[:, None] == EMPTY, -1, found).astype(np.float32)


def make_fusion(config: ConfigDict, stage: ConfigDict, books: Books) -> Fusion:
    """Return the network of a stage."""
    options, loss = stage.model, stage.loss
    return Fusion(
        make_encoder(config, stage, "linear"),
        make_decoder(config, stage, final_norm=False, kernel_init=None),
        books.entity.shape[1],
        heads=bool(loss.alpha_position or loss.alpha_semantic),
        attention_map=options.attention_map,
        backbone_statistics=options.backbone_statistics,
        dtype=jnp.dtype(config.precision),
    )


def init(model: Fusion, key: jax.Array, batch: Batch) -> Variables:
    """Return fresh variables for batches of this shape."""
    image = standardise(jnp.asarray(batch["image"]))
    return model.init({"params": key}, image, batch["entity_book"], train=False)


def read(
    model: Fusion, variables: Variables, batch: Batch, key: jax.Array, *, train: bool
) -> tuple[FusionReading, Mapping[str, Any]]:
    """Run the network on a batch; return (reading, the running statistics after it)."""
    return model.apply(
        variables,
        standardise(batch["image"]),
        batch["entity_book"],
        batch["mask"],
        train=train,
        rngs={"dropout": key},
        mutable=[name for name in variables if name != "params"],
    )


def losses(reading: FusionReading, batch: Batch, loss: ConfigDict) -> Terms:
    """Return the README's losses of a batch; a part without weight is 0."""
    labels, mask, zero = batch["labels"], batch["mask"], jnp.zeros(())
    known = labels >= 0
    entropy = sigmoid_cross_entropy(reading.logits, jnp.where(known, labels, 0))
    position = semantic = zero
    if loss.alpha_position and reading.position is not None:
        index = batch["position_index"]
        logits = position_logits(reading.position, batch["position_book"], index)
        values, counts = position_terms(logits, labels)
        position = mean_over((values, counts & (index[..., 0] >= 0)), mask)
    if loss.alpha_semantic and reading.semantic is not None:
        reports = batch["report_book"][jnp.maximum(batch["report"], 0)]
        semantic = cosine_alignment(reading.semantic, reports, mask & (batch["report"] != EMPTY))
    parts = mean_over((entropy, known), mask), position, semantic
    return readme_terms(*parts, loss.alpha_position, loss.alpha_semantic)


def make_loss(model: Fusion, stage: ConfigDict) -> Any:
    """Return the loss of an `Update`."""

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del step
        reading, mutable = read(model, variables, batch, key, train=True)
        terms = losses(reading, batch, stage.loss)
        labels = batch["labels"]
        right = ((reading.logits > 0) == (labels > 0.5)).astype(jnp.float32)
        told = {name: getattr(terms, name) for name in ("existence", "position", "semantic")}
        accuracy = mean_over((right, labels >= 0), batch["mask"])
        return terms.total, Aux(mutable, {**told, "accuracy": accuracy})

    return loss


def updates(stage: ConfigDict, plan: Any, loss: Any, splits: tuple[str, ...]) -> tuple[Update, ...]:
    """Return the one optimiser step on a batch, none without a train split."""
    if "train" not in splits:
        return ()
    steps = len(plan("train", 0)) * stage.train.epochs
    optimizer = make_optimizer(stage.optimizer, steps)
    return (Update("replication", loss, partial(role, stage), optimizer),)


def role(stage: ConfigDict, path: tuple[str, ...]) -> str:
    """Return whether a parameter trains."""
    trains = {
        "encoder/network": stage.train.backbone_trainable,
        "encoder/output": stage.train.image_projection_trainable,
    }
    used = {"position": stage.loss.alpha_position, "semantic": stage.loss.alpha_semantic}
    if not used.get(path[0], 1):
        return "unused"
    return "train" if trains.get("/".join(path[:2]), True) else "frozen"


def truth_of(outputs: Outputs) -> np.ndarray:
    """Return float64 [film, entity] of 1, 0, NaN where it is not known."""
    return np.where(outputs["labels"] < 0, np.nan, outputs["labels"]).astype(np.float64)


def results_of(
    split: str, outputs: Mapping[str, Outputs], config: ConfigDict, final: bool
) -> dict[str, Metric]:
    """Return loss and accuracy over all known pairs, and the metrics of every entity."""
    here = outputs[split]
    if "labels" not in here:
        return {"labels": Metric(None, reason="the films have no reports that were read")}
    truth, known = truth_of(here), here["labels"] >= 0
    right = ((here["score"] > 0.5) == (here["labels"] > 0.5))[known]
    entropy = here["entropy"].astype(np.float64)[known]
    n = int(known.sum())
    found = {
        "loss": Metric(float(entropy.mean()) if n else 0.0, n=n),
        "accuracy": Metric(float(right.mean()) if n else 0.0, n=n),
    }
    options, thresholds = config.evaluation, None
    if options.f1_threshold_split == "validation" and "labels" in outputs.get("validation", {}):
        other = outputs["validation"]
        thresholds = choose_thresholds(truth_of(other), other["score"])
    intervals = Intervals(options.resamples if final else 0, config.seed)
    rule = options.f1_threshold_rule
    return found | entity_metrics(truth, here["score"], ENTITIES, thresholds, rule, intervals)
