"""AUROC, average precision and their bootstrap on recorded draws."""

import numpy as np

from medjax.data.mimic_iv.diagnoses import load_phenotypes
from medjax.metrics.bootstrap import bootstrap_of_draws, percentile_interval
from medjax.metrics.classification import average, classification_metrics
from medjax.metrics.metric import Metric
from medjax.systems.medfuse.evaluation import label_groups
from medjax.systems.medfuse.late_fusion import blend, fit_weights
from tests.parity.harness import Case, ParityError, handles


@handles("medfuse", "metrics", config={"iterations", "labels", "samples"})
def metrics(case: Case) -> dict[str, np.ndarray]:
    samples, labels = case.config["samples"], case.config["labels"]
    draws = case.inputs["draws"]
    if draws.shape != (labels, case.config["iterations"], samples):
        raise ParityError(f"draws {draws.shape} are not [labels, iterations, samples]")
    truth = case.inputs["y_true"].reshape(samples, labels)
    risk = case.inputs["pred"].reshape(samples, labels)
    phenotypes = load_phenotypes().names
    names = phenotypes if labels == len(phenotypes) else [str(i) for i in range(labels)]
    groups = label_groups(names)
    values = {
        name: metric.value
        for name, metric in classification_metrics(truth, risk, names, groups=groups).items()
    }
    resampled = [bootstrap_of_draws(truth[:, i], risk[:, i], draws[i]) for i in range(labels)]
    bounds = np.array([percentile_interval(r.auroc) for r in resampled])
    outputs = {
        "boot_auroc": [r.auroc for r in resampled],
        "boot_auprc": [r.auprc for r in resampled],
        "ci_auroc": bounds,
        "ci_auprc": [percentile_interval(r.auprc) for r in resampled],
        "auc_scores": [values[f"auroc/{name}"] for name in names],
        "auprc_scores": [values[f"auprc/{name}"] for name in names],
        "auroc_mean": values["auroc/macro"],
        "auprc_mean": values["auprc/macro"],
        "auroc_micro": values.get("auroc/micro", values["auroc/macro"]),
        "auroc_weighted": values.get("auroc/weighted", values["auroc/macro"]),
    }
    for key, members in groups.items():
        group = key.removeprefix("type=")
        mean = average([Metric(0.5, low, high) for low, high in bounds[list(members)]])
        outputs[f"auroc_{group}"] = values[f"auroc/{key}"]
        outputs[f"auprc_{group}"] = values[f"auprc/{key}"]
        outputs[f"ci_auroc_{group}"] = [mean.low, mean.high]
    return {name: np.asarray(value) for name, value in outputs.items()}


@handles("medfuse", "late_fusion_weights", config={"grid"})
def late_fusion_weights(case: Case) -> dict[str, np.ndarray]:
    truth, ehr, cxr = (case.inputs[name] for name in ("y_true", "pred_ehr", "pred_cxr"))
    weights = fit_weights(truth, ehr, cxr, "slip", tuple(case.config["grid"]))
    names = [str(i) for i in range(truth.shape[1])]
    metrics = classification_metrics(truth, blend(ehr, cxr, weights), names)
    return {
        "weights": weights,
        "auc_scores": np.array([metrics[f"auroc/{name}"].value for name in names]),
        "auroc_mean": np.array(metrics["auroc/macro"].value),
    }
