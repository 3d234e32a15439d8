"""From predictions at hours to metrics, tables and plots, a part of the task at a time.

Metrics, columns and plots of a task of several parts begin with the part's name:
`decompensation.auroc/macro`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from medjax.data.mimic_iv.tasks import DECOMPENSATION
from medjax.metrics.classification import classification_metrics
from medjax.metrics.confusion_figure import confusion_figure
from medjax.metrics.figures import Predictions, classification_figures
from medjax.metrics.length_of_stay import (
    BIN_MEANS,
    BIN_NAMES,
    confusion,
    length_of_stay_metrics,
)
from medjax.metrics.metric import Metric
from medjax.run.system import Outputs
from medjax.systems.medfuse.evaluation import label_groups
from medjax.systems.medfuse.parts import Part


def joinable(outputs: Outputs, parts: Sequence[Part]) -> Outputs:
    """Turn arrays [rows, time, ...] into one row for each prediction that is asked for.

    Gives for each part `<task>/probability`, `/hour`, and where known `/target` and `/loss`, each
    [predictions, ...] in the order of rows and hours, and `<task>/count` [rows]: the predictions
    of every row.
    """
    joined: dict[str, np.ndarray] = {}
    for place, part in enumerate(parts):
        row, step = np.nonzero(outputs["wanted"][..., place])
        found = {
            "probability": outputs["probability"][row, step, part.logits],
            "hour": (step + 1).astype(np.int32),
            "count": outputs["wanted"][..., place].sum(axis=1),
        }
        if "targets" in outputs:
            found["target"] = outputs["targets"][row, step, part.targets]
            found["loss"] = outputs["loss"][row, step, place]
        joined |= {f"{part.task}/{name}": array for name, array in found.items()}
    return joined


def of_part(outputs: Outputs, part: Part) -> dict[str, np.ndarray]:
    """Return the joined arrays of one part; "stay" [predictions] says which row each is of."""
    own = {
        name.removeprefix(f"{part.task}/"): array
        for name, array in outputs.items()
        if name.startswith(f"{part.task}/")
    }
    return own | {"stay": np.repeat(np.arange(len(own["count"])), own["count"])}


def evaluate(
    outputs: Outputs, parts: Sequence[Part], config: ConfigDict, final: bool
) -> dict[str, Metric]:
    """Return the metrics of one split; intervals are of resamples of stays."""
    if f"{parts[0].task}/target" not in outputs:
        return {"labels": Metric(None, reason="the data has no labels")}
    wanted = final or config.evaluation.bootstrap_when == "always"
    resamples = config.evaluation.resamples if wanted else 0
    metrics: dict[str, Metric] = {}
    total = 0.0
    for part in parts:
        own = of_part(outputs, part)
        found = _metrics(part, own, config, resamples)
        if len(own["loss"]):
            mean = float(own["loss"].astype(np.float64).mean())
            total += part.weight * mean
            found["loss"] = Metric(mean, n=len(own["loss"]))
        metrics |= {_named(name, part, parts): metric for name, metric in found.items()}
    return {**metrics, "loss": Metric(total, n=len(outputs[f"{parts[0].task}/count"]))}


def _named(name: str, part: Part, parts: Sequence[Part]) -> str:
    return f"{part.task}.{name}" if len(parts) > 1 else name


def _metrics(
    part: Part, own: Mapping[str, np.ndarray], config: ConfigDict, resamples: int
) -> dict[str, Metric]:
    if part.binned:
        return length_of_stay_metrics(
            own["target"][:, 1],
            own["probability"],
            own["stay"],
            resamples=resamples,
            seed=config.seed,
        )
    return classification_metrics(
        own["target"],
        own["probability"],
        part.labels,
        groups=label_groups(part.labels),
        resamples=resamples,
        seed=config.seed,
        one_class=config.evaluation.bootstrap_one_class,
        clusters=own["stay"] if part.task == DECOMPENSATION else None,
    )


def table(
    ids: Mapping[str, np.ndarray], outputs: Outputs, parts: Sequence[Part]
) -> dict[str, np.ndarray]:
    """Return the columns of the predictions table: a row for each stay, hour and part.

    Columns of other parts than a row's `task` are NaN; `task` is there for several parts.
    """
    blocks = []
    for part in parts:
        own = of_part(outputs, part)
        block = {name: column[own["stay"]] for name, column in ids.items()}
        if len(parts) > 1:
            block["task"] = np.full(len(own["stay"]), part.task, dtype=object)
        blocks.append(block | {"hour": own["hour"]} | _columns(part, own))
    names = dict.fromkeys(name for block in blocks for name in block)
    sizes = [len(block["hour"]) for block in blocks]
    return {
        name: np.concatenate(
            [block.get(name, np.full(n, np.nan, np.float32)) for block, n in zip(blocks, sizes)]
        )
        for name in names
    }


def _columns(part: Part, own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the predictions and labels of one part."""
    names = [f"days {name}" for name in BIN_NAMES] if part.binned else part.labels
    columns = {f"probability/{name}": own["probability"][:, i] for i, name in enumerate(names)}
    if part.binned:
        columns["remaining_hours"] = BIN_MEANS[own["probability"].argmax(axis=1)]
    if "target" not in own:
        return columns
    if part.binned:
        return columns | {"label/remaining_hours": own["target"][:, 1]}
    return columns | {f"label/{n}": own["target"][:, i] for i, n in enumerate(part.labels)}


def draw(
    outputs: Outputs, parts: Sequence[Part], metrics: Mapping[str, Metric], title: str
) -> dict[str, Figure]:
    """Return the figures of one split: those of classification, the confusion of bins."""
    figures: dict[str, Figure] = {}
    for part in parts:
        own = of_part(outputs, part)
        if "target" not in own or not len(own["target"]):
            continue
        of = f"{part.task.replace('_', ' ').capitalize()}: {title}" if len(parts) > 1 else title
        for stem, figure in _figures(part, own, metrics, of, parts).items():
            figures[_named(stem, part, parts)] = figure
    return figures


def _figures(
    part: Part,
    own: Mapping[str, np.ndarray],
    metrics: Mapping[str, Metric],
    title: str,
    parts: Sequence[Part],
) -> dict[str, Figure]:
    if part.binned:
        counts = confusion(own["target"][:, 1], own["probability"].argmax(axis=1))
        kappa = metrics[_named("kappa", part, parts)].value
        heading = f"Bins taken for bins: {title}" + (
            "" if kappa is None else f"; linear kappa {kappa:.2f}"
        )
        axes = "Predicted remaining days", "Remaining days"
        return {"confusion": confusion_figure(counts, BIN_NAMES, heading, *axes)}
    prefix = _named("", part, parts)
    values = {
        name.removeprefix(prefix): metric
        for name, metric in metrics.items()
        if name.startswith(prefix)
    }
    predictions = Predictions(own["target"], own["probability"], part.labels, values, title)
    return classification_figures(predictions, label_groups(part.labels))
