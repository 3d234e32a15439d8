"""What latents tell of phenotypes: cross-modal ones against those of each modality alone.

Probes are cross-validated on the participants of held-out splits, whose latents the stages wrote.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from medjax.metrics.probes import ProbeOptions
from medjax.run.system import Comparison
from medjax.systems.crossmodal.latents import Latents
from medjax.systems.crossmodal.probe_figure import probe_figure
from medjax.systems.crossmodal.probing import (
    Labels,
    gain_metrics,
    probe,
    probe_metrics,
    probe_table,
)

NAME = "probes"
LABEL = "label/"
SETS = {"autoencoder": "unimodal", "paired": "crossmodal", "latents": "crossmodal"}
"""Kind of stage -> set of latents that it gives."""

Predictions = Callable[[str, str], Mapping[str, pd.DataFrame]]


def compare(config: ConfigDict, predictions: Predictions) -> dict[str, Comparison]:
    """Return the comparison "probes"; {} where there are no phenotypes or no probes are wanted.

    predictions: (stage, split) -> {replica: predictions table}; of replicas the first counts.
    """
    options = config.evaluation
    sets: dict[str, Latents] = {}
    labels: list[Labels] = []
    for name in config.stages:
        of, splits = SETS[config[name].kind], config[name].train.final_splits
        tables = [
            next(iter(predictions(name, split).values()))
            for split in options.probe_splits
            if split in splits
        ]
        if tables:
            table = pd.concat(tables, ignore_index=True)
            latents = latents_in(table, tuple(config[name].model.modalities))
            sets[of] = _with(sets.get(of), latents)
            labels.append(labels_in(table))
    known = _all_labels(labels)
    if not sets or not known.names or not options.probes:
        return {}
    fitting = ProbeOptions(folds=options.probe_folds)
    probed = probe(sets, known, options.probes, fitting, options.resamples, config.seed)
    splits = " and ".join(options.probe_splits)
    title = f"Phenotypes read off latents, {splits} split, {options.probe_folds}-fold"
    metrics = {f"{of}/{n}": m for of in sets for n, m in probe_metrics(probed, of).items()}
    if len(sets) > 1:
        metrics |= gain_metrics(probed)
    return {
        NAME: Comparison(
            {"+".join(options.probe_splits): metrics},
            probe_table(probed, title),
            probe_figure(probed, title),
        )
    }


def latents_in(table: pd.DataFrame, modalities: tuple[str, ...]) -> Latents:
    """Return the latents that a predictions table holds (`evaluation.table_columns`)."""
    heads = [str(name) for name in table]
    columns = {m: [name for name in heads if name.startswith(f"{m}_latent_")] for m in modalities}
    return Latents(
        table["sample_id"].to_numpy(str),
        {m: table[names].to_numpy(np.float32) for m, names in columns.items()},
        {m: table[f"has_{m}"].to_numpy(bool) for m in modalities},
    )


def labels_in(table: pd.DataFrame) -> Labels:
    """Return the phenotypes that a predictions table holds."""
    names = [str(name) for name in table if str(name).startswith(LABEL)]
    values = table[names].to_numpy(np.float64).reshape(len(table), len(names))
    return Labels(
        table["sample_id"].to_numpy(str), tuple(n.removeprefix(LABEL) for n in names), values
    )


def _with(known: Latents | None, more: Latents) -> Latents:
    """Return latents of one set that two stages give, each of its own modality."""
    if known is None:
        return more
    ids = np.union1d(known.sample_id, more.sample_id)
    vectors, there = {}, {}
    for part in (known, more):
        rows = np.searchsorted(ids, part.sample_id)
        for modality, values in part.vectors.items():
            vectors[modality] = np.zeros((len(ids), values.shape[1]), np.float32)
            vectors[modality][rows] = values
            there[modality] = np.zeros(len(ids), bool)
            there[modality][rows] = part.has[modality]
    return Latents(ids, vectors, there)


def _all_labels(parts: list[Labels]) -> Labels:
    """Return the phenotypes of everyone whom some stage predicted."""
    named = [part for part in parts if part.names]
    if not named:
        return Labels(np.zeros(0, str), (), np.zeros((0, 0)))
    ids, first = np.unique(np.concatenate([x.sample_id for x in named]), return_index=True)
    return Labels(ids, named[0].names, np.concatenate([x.values for x in named])[first])
