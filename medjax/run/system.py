"""The contract between the run layer and a system: a bundle of pure functions made from a config.

The loop knows nothing else of a system. `medjax.systems.<name>.system` provides

    open_data(config, workdir) -> data                    prepared sets (by default the demo's)
    build(config, stage, data, artefacts) -> System       the pure functions of one stage

where `config` is the whole config, `data` whatever the system wants to hand from the first to the
second, `stage` the name of one of `config.stages`, and `artefacts` what the training run stored
beside its weights (None while training): predictions use its normaliser, not the new data's. A
stage that fits something on frozen outputs is built a second time, with it in
`artefacts["fitted"]`. A system may also provide

    compare(config, predictions) -> {name: Comparison}    what the stages of a run say together

    summaries(config, results, written) -> {path: text}   files of another layout

which are called when all of them are done (`medjax.run.compare`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import traverse_util
from matplotlib.figure import Figure

from medjax.metrics.metric import Metric
from medjax.metrics.tables import Table

Variables = Mapping[str, Any]
"""Flax variables: {"params": ..., and any mutable collections such as "batch_stats"}."""

Given = Mapping[tuple[str, ...], Any]
"""{path of a variable, ("params", "encoder", ...): array} that `init_from` names."""

Batch = Mapping[str, Any]
"""Arrays (numpy on the host, JAX on a device) with one leading batch axis, always with a boolean
"mask" [batch] (False: padding row)."""

Outputs = Mapping[str, np.ndarray]
"""What `predict` gave for every example of a split, in order, padding removed; and "position" [n],
which says where in the split each example stands."""


class Aux(NamedTuple):
    """What a loss gives beside its value."""

    mutable: Mapping[str, Any]
    """New values of the mutable collections (running statistics), {} when none moved."""
    metrics: Mapping[str, jax.Array]
    """Scalars worth logging."""


class Update(NamedTuple):
    """One optimiser step on a batch; most systems have one, MMTM has three."""

    name: str
    loss: Callable[[Variables, Batch, jax.Array, jax.Array], tuple[jax.Array, Aux]]
    """(variables, batch, key, step) -> (mean loss over the valid rows, Aux)."""
    role: Callable[[tuple[str, ...]], str]
    """Parameter path -> "train", "frozen", or "unused" (no gradient reaches it, so no decay)."""
    optimizer: optax.GradientTransformation


class BatchPlan(NamedTuple):
    """Which examples stand in one global batch, and to which fixed shape it is padded."""

    indices: np.ndarray
    """[rows] positions in the split; fewer than `size` in a last, partial batch."""
    size: int
    """Rows after padding: the global batch size."""
    bucket: int = 0
    """Length to which the time axis is padded; 0 where a system has none."""


def identity(variables: Variables) -> Variables:
    """The projection of a system that has none."""
    return variables


def put_in(key: jax.Array, fresh: Variables, given: Given) -> Variables:
    """The beginning of most systems: what is given in place of what is fresh."""
    del key
    return traverse_util.unflatten_dict({**traverse_util.flatten_dict(dict(fresh)), **given})


def lacks_nothing(path: tuple[str, ...]) -> bool:
    """The `may_lack` of a system whose weights must be whole."""
    del path
    return False


def no_plots(
    split: str, outputs: Mapping[str, Outputs], metrics: Mapping[str, Metric]
) -> Mapping[str, Any]:
    """The plots of a system that draws none."""
    del split, outputs, metrics
    return {}


def no_pages(variables: Variables, split: str, outputs: Outputs) -> Iterable[tuple[str, Figure]]:
    """The pages of a system that draws none."""
    del variables, split, outputs
    return ()


def no_tables(split: str, metrics: Mapping[str, Metric]) -> Mapping[str, Table]:
    """The tables of a system that has none."""
    del split, metrics
    return {}


def export_nothing(
    folder: Path, predicted: Mapping[str, tuple[np.ndarray, Outputs]]
) -> Sequence[str]:
    """The files of another layout of a system that promises none."""
    del folder, predicted
    return ()


def as_they_are(outputs: Outputs) -> Outputs:
    """The `joinable` of a system whose outputs are as long in every batch."""
    return outputs


class Inspection(NamedTuple):
    """What a network is made of."""

    figures: Mapping[str, Figure] = {}
    """By file stem."""
    tables: Mapping[str, Table] = {}


class Comparison(NamedTuple):
    """What stages say together."""

    metrics: Mapping[str, Mapping[str, Metric]]
    """{split: {name: metric}}"""
    table: Table
    figure: Figure


def with_resident(batch: Batch, resident: Mapping[str, Any]) -> dict[str, Any]:
    """Return the batch with the stage's resident arrays.

    Raises ValueError where a name stands in both.
    """
    both = sorted(set(batch) & set(resident))
    if both:
        raise ValueError(
            f"{', '.join(both)}: named by System.resident and by the batch that System.collate "
            "makes; give one of them another name"
        )
    return {**batch, **resident}


class System(NamedTuple):
    """Pure functions of one stage, made by the system's `build`."""

    init: Callable[[jax.Array, Batch], Variables]
    """(key, batch) -> fresh variables."""
    updates: tuple[Update, ...]
    """In order, on every batch; empty for a stage that only evaluates, or fits."""
    plan: Callable[[str, int], Sequence[BatchPlan]]
    """(split, epoch) -> the batches of one pass, the same on every host. Epoch -1: evaluation."""
    collate: Callable[[str, int, BatchPlan, slice], Batch]
    """(split, epoch, plan, rows) -> those padded rows of the batch, with "mask"; any randomness
    comes from the seed, the epoch and the example, never from the order of calls."""
    table: Callable[[str, np.ndarray, Outputs], Mapping[str, np.ndarray]]
    """(split, positions, outputs) -> columns of the predictions table: ids, then outputs."""
    predict: Callable[[Variables, Batch, jax.Array], Mapping[str, jax.Array]]
    """(variables, batch, key) -> arrays [batch, ...]; deterministic unless the config asks."""
    evaluate: Callable[[str, Mapping[str, Outputs], bool], Mapping[str, Metric]]
    """(split, outputs of the splits at hand, final) -> metrics. Whole-split metrics and small fits
    live here; `final` is False for the cheaper evaluations during training."""
    draw: Callable[[str, Mapping[str, Outputs], Mapping[str, Metric]], Mapping[str, Any]] = no_plots
    """(split, outputs, metrics) -> {file stem: matplotlib figure} for the final evaluation."""
    pages: Callable[[Variables, str, Outputs], Iterable[tuple[str, Figure]]] = no_pages
    """(variables, split, outputs) -> (file stem, figure), one by one: pages of single examples, as
    many as the config asks for, for the final evaluation and for predictions; labels may be
    absent."""
    tables: Callable[[str, Mapping[str, Metric]], Mapping[str, Table]] = no_tables
    """(split, metrics) -> {file stem: table} for the final evaluation, as papers print them."""
    export: Callable[[Path, Mapping[str, tuple[np.ndarray, Outputs]]], Sequence[str]] = (
        export_nothing
    )
    """(the stage's folder, {split: (positions, outputs)}) -> lines that say what was written: with
    --mode=predict, what was predicted for all splits in the layout of another program."""
    inspect: Callable[[], Inspection] = Inspection
    """Pictures and tables of the network, for `config.inspect_model` (`medjax.run.inspection`)."""
    fit: Callable[[Mapping[str, Outputs]], Mapping[str, np.ndarray]] | None = None
    """{split: outputs} -> arrays by name, fitted on the frozen outputs of `fit_splits` once the
    best weights are there, and stored beside them (`medjax.run.fit`). `table`, `evaluate` and
    `draw` find them in `artefacts["fitted"]`; `predict` must not need them."""
    fit_splits: tuple[str, ...] = ("train", "validation")
    """The splits that `fit` reads."""
    joinable: Callable[[Outputs], Outputs] = as_they_are
    """Outputs of one batch, padding rows removed -> arrays that can be joined end to end with those
    of other batches: where time axes differ in length, one row a predicted hour, say."""
    begin: Callable[[jax.Array, Variables, Given], Variables] = put_in
    """(key, fresh variables, what `init_from` gives) -> the variables before the first step; once,
    on the host: for weights of other files, and for what follows from weights that are given. No
    array may stand there twice: a step gives their memory away."""
    may_lack: Callable[[tuple[str, ...]], bool] = lacks_nothing
    """Path of a variable -> whether the weights of `init_from` may be without it; `begin` then
    says what stands there."""
    project: Callable[[Variables], Variables] = identity
    """Applied to the variables before each step (normalised prototypes)."""
    splits: tuple[str, ...] = ("train", "validation", "test")
    """The splits that the stage's data has."""
    resident: Mapping[str, Any] = {}
    """{name: array of any shape} laid on the devices once a stage, whole on each of them, and found
    beside a batch's own arrays in every batch that `init`, the losses and `predict` are given: the
    signals themselves, say, of which a batch then holds the positions."""
    artefacts: Mapping[str, Any] = {}
    """{name: JSON value} stored beside the weights, for predictions elsewhere: the normaliser, the
    vocabulary."""
