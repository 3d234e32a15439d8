"""Run a system's `predict` over a split, gather what it gave, and score it."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from jax.sharding import Mesh

from medjax.data import pipeline
from medjax.data.batching import EVALUATION
from medjax.files import write_atomic
from medjax.metrics.metric import Metric
from medjax.run import sharding
from medjax.run.system import Batch, BatchPlan, Outputs, System, Variables, with_resident

Predicted = dict[str, tuple[np.ndarray, Outputs]]
"""{split: (positions [n], outputs)}"""


def collate_rows(
    collate: Callable[[str, int, BatchPlan, slice], Batch],
    split: str,
    epoch: int,
    share: sharding.RowShare,
    plan: BatchPlan,
) -> Batch:
    """Make this process's rows of a planned batch (a function that can go to a worker process)."""
    return collate(split, epoch, plan, share.rows(plan.size))


class Predictor:
    """Jitted prediction with one compilation a batch shape; holds those and the resident arrays."""

    def __init__(
        self,
        system: System,
        mesh: Mesh,
        key: jax.Array,
        *,
        resident: Mapping[str, jax.Array] = {},
        threads: int = 2,
        workers: int = 0,
        say: Callable[[str], None] = print,
    ) -> None:
        self._system, self._mesh, self._key = system, mesh, key
        self.resident = resident
        self._threads, self._workers, self._say = threads, workers, say
        self._predict = jax.jit(
            lambda variables, batch, resident, key: system.predict(
                variables, with_resident(batch, resident), key
            )
        )
        self._shapes: set[tuple] = set()

    def split(self, variables: Variables, split: str) -> tuple[np.ndarray, Outputs]:
        """Return (positions [n] in the split, outputs by name [n, ...]) in the planned order."""
        plans = self._system.plan(split, EVALUATION)
        if not plans:
            return np.zeros(0, np.int64), {}
        share = sharding.row_share(self._mesh)
        collate = partial(collate_rows, self._system.collate, split, EVALUATION, share)
        everywhere = sharding.replicated(self._mesh)
        variables = jax.tree.map(
            lambda x: sharding.place(x, everywhere) if isinstance(x, np.ndarray) else x, variables
        )
        parts: dict[str, list[np.ndarray]] = {}
        batches = pipeline.iterate(plans, collate, threads=self._threads, workers=self._workers)
        for number, local in enumerate(batches):
            batch = sharding.put_batch(local, self._mesh)
            key = sharding.place(jax.random.fold_in(self._key, number), everywhere)
            outputs = self._run(variables, batch, key)
            valid = sharding.fetch(batch["mask"])
            rows = {name: sharding.fetch(array)[valid] for name, array in outputs.items()}
            for name, array in self._system.joinable(rows).items():
                parts.setdefault(name, []).append(array)
        positions = np.concatenate([plan.indices for plan in plans])
        outputs = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        return positions, {**outputs, "position": positions}

    def _run(self, variables: Variables, batch: Mapping, key: jax.Array) -> Mapping:
        shape = tuple(sorted((name, array.shape) for name, array in batch.items()))
        if shape in self._shapes:
            return self._predict(variables, batch, self.resident, key)
        self._shapes.add(shape)
        start = time.perf_counter()
        outputs = jax.block_until_ready(self._predict(variables, batch, self.resident, key))
        seconds = time.perf_counter() - start
        self._say(f"  compiled prediction {len(self._shapes)} in {seconds:.1f} s")
        return outputs


def score(
    system: System,
    predictor: Predictor,
    variables: Variables,
    splits: tuple[str, ...],
    final: bool,
    known: Predicted | None = None,
) -> tuple[dict[str, dict[str, Metric]], Predicted]:
    """Return ({split: {metric name: Metric}}, {split: (positions, outputs)}).

    `known` is what these weights predicted already. A split without examples has one metric,
    `examples`, with the reason.
    """
    known = known or {}
    predicted = {s: known.get(s) or predictor.split(variables, s) for s in splits}
    outputs = {split: pair[1] for split, pair in predicted.items() if len(pair[0])}
    metrics = {
        split: dict(system.evaluate(split, outputs, final))
        if split in outputs
        else {"examples": Metric(None, reason=f"the {split} split is empty")}
        for split in splits
    }
    return metrics, predicted


def write_predictions(
    path: Path, system: System, split: str, positions: np.ndarray, outputs: Outputs
) -> None:
    """Write ids and outputs of a split as parquet, one row an example (process 0 only)."""
    if jax.process_index() == 0:
        frame = pd.DataFrame(dict(system.table(split, positions, outputs)))
        write_atomic(path, lambda p: frame.to_parquet(p, index=False))
