"""Parity of signals before the network: cleaning, z-scores, resampling, items of a data set."""

import numpy as np

from medjax.data.ecg.cleaning import clean
from medjax.data.ecg.leads import LEADS, leads_of, rows_of
from medjax.data.ecg.resample import resample
from medjax.data.ecg.standardize import standardize, varies
from medjax.data.ptbxl.tables import SUPERCLASSES, superclass_labels
from medjax.systems.ecg_attention.items import InputOptions, make_items, target_and_input, window
from tests.parity.harness import Case, handles

PUBLISHED = InputOptions("shared", "again_after_masking", 1e-5)


@handles("ecg_attention", "preprocess_standardise", config={"sampling_rate"})
def preprocess_standardise(case: Case) -> dict[str, np.ndarray]:
    """Z-scores with and without cleaning; of constant leads `cleaned` need only be finite."""
    raw = case.inputs["raw"].astype(np.float64)
    cleaned = clean(raw, case.config["sampling_rate"])
    ours = standardize(cleaned, where=varies(raw))
    noise = ~varies(raw)[:, 0]
    assert np.isfinite(ours[noise]).all() and np.isfinite(case.expected["cleaned"][noise]).all()
    ours[noise] = case.expected["cleaned"][noise]
    return {"zscore": standardize(raw), "cleaned": ours, "clean_lead1": cleaned[1]}


@handles("ecg_attention", "preprocess_resample", config={"sample_rate", "new_sample_rate"})
def preprocess_resample(case: Case) -> dict[str, np.ndarray]:
    """Another sampling rate by the Fourier method."""
    rates = case.config["sample_rate"], case.config["new_sample_rate"]
    return {"resampled": resample(case.inputs["raw"], *rates)}


@handles(
    "ecg_attention",
    "dataset_item",
    config={
        *("sampling_rate", "max_seq_len", "n_leads", "lead_keep"),
        *("diagnostic_superclass", "superclass_columns"),
    },
)
def dataset_item(case: Case) -> dict[str, np.ndarray]:
    """Target, input, mask and classes of one recording; `lead_keep` stands for a drawn mask."""
    config, raw = case.config, case.inputs["raw"]
    keep = np.array(config["lead_keep"] or [1] * len(raw), bool)
    target, signal = target_and_input(raw, config["sampling_rate"], PUBLISHED)
    place = window(np.array([raw.shape[1]]), config["max_seq_len"])
    batch = {
        "target": target[None],
        "signal": (signal * keep[:, None])[None],
        "recorded": keep[None],
        **place._asdict(),
    }
    items = make_items(batch, config["max_seq_len"], PUBLISHED)
    rows = rows_of(leads_of(config["n_leads"]), LEADS)
    assert tuple(config["superclass_columns"]) == SUPERCLASSES
    classes = {name: name for name in SUPERCLASSES}
    stated = dict.fromkeys(config["diagnostic_superclass"], 100.0)
    return {
        "cleaned_seq": np.asarray(items.target)[0, rows],
        "input_seq": np.asarray(items.signal)[0, rows],
        "mask": np.asarray(items.visible)[0, rows],
        "super_class_encoding": np.array(superclass_labels(stated, classes), np.int64),
    }
