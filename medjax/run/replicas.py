"""Copies of a run over seeds and folds, and what their results say together.

    config.replicas.seeds = (1, 2, 3)    one copy a seed; (): the run's own seed
    config.replicas.folds = 2            one copy a fold of each seed, for systems that have
                                         `config.fold`; 0: none
    config.replicas.run = "loop"         one after another; "vmap": a stage's replicas all in one
                                         compiled step; "auto": vmap on accelerators, else loop
    config.replicas.stages = ("risk",)   the stages that have copies, where others are shared by all
                                         of them; (): every stage

A replica is the run of a config whose `seed` (and `fold`) is the replica's: its later stages start
from its own earlier ones, and its results are those of a run of that seed alone, but for rounding
with "vmap". There what sets replicas apart must stand in batches and resident arrays, not in the
functions. It lies in `<stage>/seed=1`, or `<stage>/seed=1,fold=0`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict
from scipy.special import stdtrit

Entry = dict[str, Any]
"""A metric as results.json holds it: {"value", "low", "high", ...} or {"value": None, "reason"}."""

FEWEST = 3
"""Replicas that tell a spread."""


class Replica(NamedTuple):
    """One copy of a run."""

    name: str
    """"seed=1", "fold=0", "seed=1,fold=0"; "" where a run has no copies."""
    config: ConfigDict
    """The run's config with the replica's seed and fold."""

    def label(self, stage: str) -> str:
        """Return how this copy of a stage is called, which is also its folder."""
        return f"{stage}/{self.name}" if self.name else stage


def replicas(config: ConfigDict) -> tuple[Replica, ...]:
    """Return the copies that `config.replicas` asks for, seed by seed; without it the run alone."""
    options = config.get("replicas", {})
    seeds, folds = options.get("seeds", ()), options.get("folds", 0)
    if not seeds and not folds:
        return (Replica("", config),)
    copies = []
    for seed in seeds or (config.seed,):
        for fold in range(folds) or (None,):
            fields = {"seed": seed} | ({} if fold is None else {"fold": fold})
            words = [f"seed={seed}"] * bool(seeds) + [f"fold={fold}"] * bool(folds)
            copies.append(Replica(",".join(words), _with(config, fields)))
    return tuple(copies)


def copies_of(config: ConfigDict, stage: str) -> tuple[Replica, ...]:
    """Return the copies of one stage; of a shared stage the run alone."""
    copied = config.get("replicas", {}).get("stages", ())
    return replicas(config) if not copied or stage in copied else (Replica("", config),)


def trained_together(config: ConfigDict, copies: Sequence[Replica]) -> list[tuple[Replica, ...]]:
    """Return the replicas in the groups that train in one step: all of them, or each alone.

    On a CPU one after another is faster: a convolution over several weights at once becomes a
    grouped one, which is slow there.
    """
    how = config.get("replicas", {}).get("run", "loop")
    if how == "auto":
        how = "loop" if jax.default_backend() == "cpu" else "vmap"
    return [tuple(copies)] if how == "vmap" else [(copy,) for copy in copies]


def _with(config: ConfigDict, fields: Mapping[str, int]) -> ConfigDict:
    copy = config.copy_and_resolve_references()
    with copy.unlocked():
        copy.update(fields)
    return copy


def with_summaries(
    results: dict[str, dict[str, dict[str, Entry]]],
    stages: Sequence[str],
    copies: Sequence[Replica],
) -> dict[str, dict[str, dict[str, Entry]]]:
    """Return the results with, under each stage's own name, the means over its replicas.

    Args:
        results: {label of a replica's stage: {split: {metric: entry}}}.
        stages: names of the stages.
        copies: the replicas; without names there is nothing to add.
    """
    summaries = {}
    for stage in stages:
        of_stage = [results[c.label(stage)] for c in copies if c.name and c.label(stage) in results]
        splits = dict.fromkeys(split for one in of_stage for split in one)
        if splits:
            summaries[stage] = {
                split: _summarise_split([one[split] for one in of_stage if split in one])
                for split in splits
            }
    return {**summaries, **results}


def _summarise_split(of_replicas: Sequence[dict[str, Entry]]) -> dict[str, Entry]:
    names = sorted({name for metrics in of_replicas for name in metrics})
    return {name: summarise([m[name] for m in of_replicas if name in m]) for name in names}


def summarise(entries: Sequence[Entry], level: float = 0.95) -> Entry:
    """Return the mean of one metric over replicas, with an interval for that mean.

    The interval is Student's t over three replicas or more: how far another set of seeds would
    move the mean. It says nothing of the patients, whom the replicas' own intervals are about, and
    replicas over folds share patients, which makes it too narrow. Replicas where the metric is
    undefined are left out and counted in the reason; `n` and `positives` stand where all agree.
    """
    defined = [entry for entry in entries if entry["value"] is not None]
    if not defined:
        reason = entries[0].get("reason", "undefined")
        return {"value": None, "reason": f"undefined in all {len(entries)} replicas: {reason}"}
    values = np.asarray([entry["value"] for entry in defined], np.float64)
    mean = float(values.mean())
    summary: Entry = {"value": mean, "replicas": len(values)}
    if len(values) >= FEWEST:
        error = values.std(ddof=1) / np.sqrt(len(values))
        half = float(stdtrit(len(values) - 1, (1 + level) / 2) * error)
        summary |= {"low": mean - half, "high": mean + half}
    for name in ("n", "positives"):
        counts = {entry.get(name) for entry in defined}
        if len(counts) == 1 and None not in counts:
            summary[name] = counts.pop()
    if len(defined) < len(entries):
        summary["reason"] = f"undefined in {len(entries) - len(defined)} of {len(entries)} replicas"
    return summary
