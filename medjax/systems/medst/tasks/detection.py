"""The stage that learns to find boxes of a finding, by YOLOv3's neck on a frozen ResNet."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from medjax.data.batching import EVALUATION
from medjax.data.rsna import SIDE
from medjax.metrics.detection import FilmBoxes, detection_metrics, overlaps
from medjax.metrics.detection_figure import detection_figure
from medjax.metrics.metric import Metric
from medjax.run.system import Aux, Batch, BatchPlan, Outputs, System, Variables
from medjax.systems.medst.data.regions import (
    BoxBatches,
    boxes_of,
    chosen_finding,
    training_films,
)
from medjax.systems.medst.networks.detector import Detector
from medjax.systems.medst.networks.of_stage import groups_of, mutable_of, normalised
from medjax.systems.medst.opening import SHOWN, Opened, sizes_of
from medjax.systems.medst.tasks.boxes import (
    STRIDES,
    BoxLoss,
    Targets,
    decode,
    detection_loss,
    keep_best,
    make_targets,
)
from medjax.systems.medst.tasks.overlays import BoxOverlay, box_page, choose_films
from medjax.systems.medst.tasks.segmentation import frozen_updates, init_segmenter


def detection_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "detection" (see `medjax.run.system`)."""
    stage, side = config[name], config.data.image.crop
    weights = BoxLoss(**stage.loss)
    finding = artefacts["finding"] if artefacts else stage.finding
    batches, known = box_batches(config, name, data, finding)
    model = make_detector(config, stage)
    title = f"{finding}, {SHOWN[stage.films]}{', invented films' * data.invented}"

    def collate(split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        batch = batches.collate(split, epoch, plan, rows)
        boxes = batch.pop("boxes", None)
        return batch if boxes is None else batch | targets_of(boxes, side, weights)

    def apply(variables: Variables, batch: Batch, train: bool) -> tuple[list[jax.Array], Any]:
        films, rows = normalised(batch["image"]), batch["mask"]
        moves = mutable_of(variables)
        maps: Any = model.apply(variables, films, rows, train=train, mutable=moves)
        return maps

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del key, step
        maps, mutable = apply(variables, batch, True)
        scales = zip(maps, targets_in(batch))
        total = sum(detection_loss(m, t, batch["mask"], weights).total for m, t in scales)
        return jnp.asarray(total), Aux(mutable, {})

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        del key
        maps, _ = apply(variables, batch, False)
        boxes = [decode(raw, scale, side) for scale, raw in enumerate(maps)]
        outputs = {"boxes": jnp.concatenate(boxes, 1)}
        if known:
            outputs["loss"] = film_losses(maps, targets_in(batch), weights)
        return outputs

    def kept(outputs: Outputs) -> Outputs:
        options = stage.suppression
        return {**outputs, "boxes": suppress(outputs["boxes"], side, **options)}

    def films_of(split: str, outputs: Outputs) -> list[FilmBoxes]:
        true = batches.boxes(split, outputs["position"])
        return [FilmBoxes(t, *found_in(rows)) for t, rows in zip(true, outputs["boxes"])]

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        here = outputs[split]
        if not known:
            return {"map": Metric(None, reason="the films have no boxes")}
        mean = float(here["loss"].astype(np.float64).mean())
        resamples, headline = config.evaluation.resamples, config.evaluation.detection_map
        of_boxes = films_of(split, here), resamples if final else 0, config.seed, headline
        return {"loss": Metric(mean, n=len(here["loss"])), **detection_metrics(*of_boxes)}

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        found = [found_in(rows) for rows in outputs["boxes"]]
        columns = {
            f"number/{finding}": np.array([len(boxes) for boxes, _ in found]),
            f"confidence/{finding}": outputs["boxes"][:, 0, 4],
            f"boxes/{finding}": np.array([written(*of) for of in found], object),
        }
        return {**batches.identity(split, positions), **columns}

    def draw(split: str, outputs: Mapping[str, Outputs], metrics: Mapping[str, Metric]) -> Any:
        del metrics
        films = films_of(split, outputs[split]) if known else []
        if not any(len(film.true) for film in films):
            return {}
        head = f"{title}, {name.replace('_', ' ')}, {split} split"
        return {"precision_recall": detection_figure(films, head)}

    def pages(variables: Variables, split: str, outputs: Outputs) -> Iterator[tuple[str, Figure]]:
        del variables
        films = films_of(split, outputs) if known else []
        positive = np.array([len(film.true) > 0 for film in films], bool) if known else None
        scores = np.array([quality(f) for f in films]) if known else outputs["boxes"][:, 0, 4]
        chosen = choose_films(scores, positive, stage.overlays)
        if not len(chosen):
            return
        at = outputs["position"][chosen]
        batch = batches.collate(split, EVALUATION, BatchPlan(at, len(at)), slice(0, len(at)))
        overlays = [
            BoxOverlay(image, *found_in(outputs["boxes"][i]), films[i].true if known else None)
            for image, i in zip(batch["image"], chosen)
        ]
        yield "boxes", box_page(overlays, f"{title}, {name.replace('_', ' ')}, {split} split")

    return System(
        init=partial(init_segmenter, config, model),
        updates=frozen_updates(name, stage, batches, loss),
        plan=batches.plan,
        collate=collate,
        table=table,
        predict=predict,
        joinable=kept,
        evaluate=evaluate,
        draw=draw,
        pages=pages,
        splits=batches.splits,
        artefacts={"finding": finding},
    )


def box_batches(
    config: ConfigDict, name: str, data: Opened, finding: str
) -> tuple[BoxBatches, bool]:
    """Return the batches of a stage, and whether the boxes of their films are known."""
    stage, train = config[name], config[name].train
    films, folder = data.labelled(stage.films), data.folder(stage.films, name)
    boxes = boxes_of(folder, films, chosen_finding(name, finding, folder))
    used = {}
    if "train" in films.splits:
        count = len(films.splits["train"].dicom_id)
        drawn = train.train_fraction, train.train_fraction_seed
        used = {"train": training_films(count, np.zeros(0, np.int64), "all", *drawn)}
    shrink = SIDE if config.data.box_scaling == "every_access" else 1
    size = config.data.image.crop
    batches = BoxBatches(films, boxes, size, sizes_of(stage), config.seed, used, shrink)
    return batches, bool(boxes)


def make_detector(config: ConfigDict, stage: ConfigDict) -> Detector:
    """Return the network of a stage."""
    options = stage.model
    return Detector(
        options.backbone,
        options.width,
        groups=groups_of(stage, options.batch_statistics),
        dtype=jnp.dtype(config.precision),
        widths=options.neck_widths,
    )


def targets_of(boxes: np.ndarray, side: int, weights: BoxLoss) -> dict[str, np.ndarray]:
    """Return the targets of all scales as arrays of a batch, of boxes as of `make_targets`."""
    found: dict[str, np.ndarray] = {}
    for scale, stride in enumerate(STRIDES):
        overlap = weights.ignored_overlap
        targets = make_targets(boxes, scale, side, side // stride, ignored_overlap=overlap)
        found |= {f"scale{scale}_{n}": array for n, array in targets._asdict().items()}
    return found


def targets_in(batch: Batch) -> list[Targets]:
    """Return the targets of a batch, scale by scale."""
    scales = range(len(STRIDES))
    return [Targets(*(batch[f"scale{i}_{n}"] for n in Targets._fields)) for i in scales]


def film_losses(
    maps: Sequence[jax.Array], targets: Sequence[Targets], weights: BoxLoss
) -> jax.Array:
    """Return the loss of every film, [batch]."""

    def of_film(raw: jax.Array, targets: Targets) -> jax.Array:
        alone = Targets(*(array[None] for array in targets))
        return detection_loss(raw[None], alone, weights=weights).total

    return jnp.stack([jax.vmap(of_film)(m, t) for m, t in zip(maps, targets)]).sum(0)


def suppress(
    boxes: np.ndarray, side: int, confidence: float, overlap: float, most: int
) -> np.ndarray:
    """Return what is left of decoded boxes [film, box, 6] by `keep_best`, float32 [film, most, 5].

    Corners x1, y1, x2, y2 in shares of the film and confidence, falling; zeros where there are
    fewer.
    """
    found = np.zeros((len(boxes), most, 5), np.float32)
    for row, of_film in zip(found, np.asarray(boxes, np.float64)):
        kept = keep_best(of_film, confidence, overlap)[:most, :5]
        row[: len(kept)] = kept / (side, side, side, side, 1)
    return found


def found_in(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return corners [detection, 4] and confidences of a film's rows of `suppress`."""
    there = rows[rows[:, 4] > 0].astype(np.float64)
    return there[:, :4], there[:, 4]


def written(boxes: np.ndarray, confidence: np.ndarray) -> str:
    """Write detections as "confidence;x;y;width;height" in shares of the film, joined by |."""
    rows = np.concatenate([confidence[:, None], boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    return "|".join(";".join(f"{value:.4f}" for value in row) for row in rows)


def quality(film: FilmBoxes) -> float:
    """Tell how well a film's boxes are found, from 0 to 1, to show good and bad ones.

    The mean over the true boxes of the largest overlap; without any, what the most confident
    detection lacks of certainty.
    """
    if not len(film.true):
        return 1 - float(film.confidence.max(initial=0))
    if not len(film.found):
        return 0.0
    return float(overlaps(film.true, film.found).max(1).mean())
