"""Parity of the cross-modal cohort: tensors of HD5 files, splits, order of the published loader."""

import io
import itertools

import numpy as np

from medjax.data.ecg.fault import RecordFault
from medjax.data.hd5 import open_hd5
from medjax.data.ml4h_cohort.published_order import published_batches
from medjax.data.ml4h_cohort.split import SplitOptions, parse_ids, split_participants
from medjax.data.ml4h_cohort.tensormaps import (
    ECG_LEADS,
    ECG_STEP,
    EcgOptions,
    MriOptions,
    heart_of,
    median_beat,
    normalize,
)
from tests.parity.harness import Case, handles

ECG = EcgOptions(instance=0, require_text=True)
MRI = MriOptions("top_left", "padded")
PUBLISHED_NAME = {"validation": "valid"}


def _stats(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    return np.array(
        [values.mean(), np.abs(values).mean(), values.std(), values.min(), values.max()]
    )


def _read(content: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Raw and normalised tensor of one file's bytes."""
    with open_hd5(io.BytesIO(content.tobytes())) as file:
        if kind == "ecg":
            beat = median_beat(file, ECG)
            return beat, beat / np.float32(ECG_STEP)
        heart = heart_of(file, MRI)
        return heart.tensor, normalize(heart, MRI.normalize_region)


@handles("crossmodal", "tensormaps", config={"files", "leads"})
def tensormaps(case: Case) -> dict[str, np.ndarray]:
    """Tensors, or that there are none; the original's kinds of error are not ours."""
    assert case.config["leads"] == [f"median_{lead}" for lead in ECG_LEADS]
    outputs = {}
    for name, expected in case.expected.items():
        if not name.endswith(".status"):
            continue
        stem, kind = name.removesuffix(".status").rsplit(".", 1)
        key = f"{stem}.{kind}"
        try:
            raw, tensor = _read(case.inputs[f"hd5:{stem}"], kind)
        except RecordFault:
            assert expected != "ok", f"{key} is refused"
            outputs[name] = expected
            continue
        outputs[name] = np.array("ok")
        outputs[f"{key}.shape"] = np.array(tensor.shape)
        outputs[f"{key}.raw_stats"], outputs[f"{key}.stats"] = _stats(raw), _stats(tensor)
        if kind == "ecg":
            outputs[key] = tensor
        else:
            outputs[f"{key}_s"] = tensor[::6, ::6, ::7]
            outputs[f"{key}_corner"] = tensor[-6:, -6:, :2]
    return outputs


@handles("crossmodal", "split", config={"n", "random_seed", "valid_ratio", "test_ratio", "csvs"})
def split(case: Case) -> dict[str, np.ndarray]:
    """Ids of each split, by lists and the published draw."""
    config, ids = case.config, [str(i) for i in case.inputs["ids"]]
    assert len(ids) == config["n"]
    lists = {name: parse_ids(str(case.inputs[f"csv:{name}"])) for name in config["csvs"]}
    included = lists.pop("sample", None)
    lists = {"validation" if name == "valid" else name: i for name, i in lists.items()}
    options = SplitOptions(
        "walk_draw", config["valid_ratio"], config["test_ratio"], config["random_seed"]
    )
    found = split_participants(ids, lists, options, included)
    return {PUBLISHED_NAME.get(name, name): np.array(i, str) for name, i in found.items()}


@handles("crossmodal", "generator", config={"files", "batch_size", "batches", "random_seed"})
def generator(case: Case) -> dict[str, np.ndarray]:
    """Batches of the in-process loader: who is in them, and the mean of each ECG."""
    config, ids = case.config, [str(i) for i in case.inputs["ids"]]
    means = np.full(len(ids), np.nan)
    for position, name in enumerate(ids):
        try:
            means[position] = np.abs(_read(case.inputs[f"hd5:{name}"], "ecg")[1]).mean()
        except RecordFault:
            continue
    batches = published_batches(~np.isnan(means), config["batch_size"], config["random_seed"])
    chosen = np.stack(list(itertools.islice(batches, config["batches"])))
    return {"batch_ids": np.array(ids)[chosen], "mean_abs": means[chosen]}
