"""What a risk stage shows of its network: maps of the groups of risk, hidden units, pages."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict
from numpy.typing import NDArray

from medjax.data.ecg.leads import leads_of
from medjax.metrics.survival.baseline import Baseline
from medjax.run.system import BatchPlan, Outputs, Variables
from medjax.systems.ecg_attention.cohort import Cohort, CohortBatches
from medjax.systems.ecg_attention.explaining import make_explainer
from medjax.systems.ecg_attention.items import Items
from medjax.systems.ecg_attention.lead_maps import group_figure, group_maps
from medjax.systems.ecg_attention.model import Autoencoder
from medjax.systems.ecg_attention.risk_features import hidden_units_figure
from medjax.systems.ecg_attention.risk_groups import high_risk
from medjax.systems.ecg_attention.risk_pages import Reference, Shown, Words, draw_pages

FEWEST = 2
"""Records that make a map of groups."""


def explanation_figures(
    outputs: Outputs, leads: tuple[str, ...], percentile: float, title: str
) -> dict[str, Figure]:
    """Return the lead attention of low and high risk, and the hidden units of the head.

    Args:
        outputs: log_risk [n], hidden [n, units], event [n] and, of a network that has it,
            lead_attention [n, lead, lead].
        leads: their names.
        percentile: of the scores; above it the risk is high.
        title: which records.
    """
    score = np.asarray(outputs["log_risk"], np.float64)
    figures = {}
    if "lead_attention" in outputs and len(score) >= FEWEST:
        groups = group_maps(outputs["lead_attention"], high_risk(score, percentile))
        what = f"Lead attention; high risk: above the {percentile:g}th percentile; {title}"
        figures["lead_attention"] = group_figure(groups, leads, what)
    if outputs["hidden"].shape[1] in (2, 3):
        what = f"Hidden units of the risk head; {title}"
        figures["hidden_units"] = hidden_units_figure(
            outputs["hidden"], score, outputs["event"], what
        )
    return figures


def risk_pages(
    config: ConfigDict,
    name: str,
    network: Autoencoder,
    batches: CohortBatches,
    cohort: Cohort,
    items: Callable[[Mapping[str, Any]], Items],
    reference: Reference,
) -> Callable[[Variables, str, Outputs], Iterator[tuple[str, Figure]]]:
    """Return the `pages` of a risk stage.

    Args:
        config: of the run.
        name: of the stage.
        network: of the stage.
        batches: of the cohort.
        cohort: the recordings.
        items: batch -> what the network reads.
        reference: of the training subjects.
    """
    options = config.explain
    explain = make_explainer(network, options.saliency_input_lead, options.saliency_batchnorm)

    def read(split: str, positions: NDArray) -> Shown:
        plan = BatchPlan(positions, len(positions))
        batch = batches.collate(split, -1, plan, slice(0, len(positions)))
        shown = items({**batch, **batches.resident()})
        return Shown(np.asarray(shown.signal), np.asarray(shown.visible), batch["length"])

    return draw_pages(options, explain, read, reference, words(config, name, cohort))


def words(config: ConfigDict, name: str, cohort: Cohort) -> Words:
    """Return what the pages of a stage write beside the numbers."""
    copy = f", fold {config.fold}" if config[name].data.folds else ""
    return Words(
        leads=leads_of(config.data.leads),
        sampling_rate=cohort.sampling_rate,
        unit=config.data.time_unit,
        horizons=tuple(float(horizon) for horizon in config.evaluation.horizons),
        event=config.explain.event,
        model=f"Network {config[name].model.network}, stage {name}, seed {config.seed}{copy}",
    )


def fitted_scores(outputs: Mapping[str, Outputs]) -> dict[str, np.ndarray]:
    """Return what pages need of the training subjects, as arrays to be stored with the weights."""
    times = np.concatenate([part["time"] for part in outputs.values()])
    last = np.nanmax(times, initial=0.0) if len(times) else 0.0
    return {
        "train_log_risk": np.sort(outputs["train"]["log_risk"]).astype(np.float64),
        "last_time": np.array(last, np.float64),
    }


def reference_of(fitted: Mapping[str, np.ndarray], baseline: Baseline | None) -> Reference:
    """Return the reference of what a stage fitted; an empty one where nothing is fitted yet."""
    scores = fitted.get("train_log_risk", np.zeros(0))
    return Reference(scores, baseline, float(fitted.get("last_time", 0.0)))
