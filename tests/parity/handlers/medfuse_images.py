"""Parity of the film transforms and of the pairing of films with stays."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from medjax.data.film_sizes import resize_to_width
from medjax.data.image_transforms import eval_view, normalise_grey
from medjax.data.mimic_cxr.linking import link
from medjax.data.mimic_cxr.tables import (
    LABELS,
    find_tables,
    read_labels,
    read_metadata,
    read_split,
)
from medjax.data.tables import read_table
from medjax.systems.medfuse.pairing import MODES, pairing
from tests.parity.harness import Case, handles

OUR_SPLITS = {"train": "train", "val": "validation", "test": "test"}


@handles("medfuse", "image_offline_resize", config={"width"})
def image_offline_resize(case: Case) -> dict[str, np.ndarray]:
    """gray_k -> resized_k."""
    return {
        name.replace("gray_", "resized_"): resize_to_width(gray, case.config["width"])
        for name, gray in case.inputs.items()
    }


@handles("medfuse", "image_eval_transform", config={"resize", "crop", "mean", "std"})
def image_eval_transform(case: Case) -> dict[str, np.ndarray]:
    """gray_k -> crop_uint8_k, its normalised corner [channels, 8, 8] and its mean and spread."""
    outputs = {}
    for name, gray in case.inputs.items():
        k = name.removeprefix("gray_")
        crop = eval_view(gray, case.config["resize"], case.config["crop"])
        tensor = normalise_grey(crop, tuple(case.config["mean"]), tuple(case.config["std"]))
        channels = np.moveaxis(tensor, -1, 0)
        outputs[f"crop_uint8_{k}"] = crop
        outputs[f"corner_{k}"] = channels[:, :8, :8]
        outputs[f"mean_std_{k}"] = np.stack(
            [channels.mean((1, 2), np.float64), channels.std((1, 2), np.float64, ddof=1)]
        )
    return outputs


@handles("medfuse", "pairing", config={"task", "data_ratio"})
def pairs(case: Case) -> dict[str, np.ndarray]:
    """Tables as CSV bytes -> the links, and for each split its films, labels and pairing."""
    with tempfile.TemporaryDirectory() as name:
        raw = Path(name)
        for stem, content in case.inputs.items():
            (raw / f"{stem}.csv").write_bytes(content.tobytes())
        tables = find_tables(raw)
        films = read_metadata(tables.metadata)
        labels = read_labels(tables.labels)
        split = read_split(raw / "mimic-cxr-ehr-split.csv")
        stays = read_table(raw / "all_stays.csv", ("subject_id", "stay_id", "intime", "outtime"))
        lists = {
            part: read_table(raw / f"{part}_listfile.csv", ("stay", "stay_id"))
            for part in OUR_SPLITS
        }
    stays = stays.astype({"subject_id": np.int64, "stay_id": np.int64})
    stays = stays.astype({"intime": "datetime64[s]", "outtime": "datetime64[s]"})
    hours = 48.0 if case.config["task"] == "in-hospital-mortality" else None
    links = link(films, stays, hours)
    labelled = split.merge(films, on="dicom_id").merge(labels, on="study_id")
    outputs = {"link_stay_id": links["stay_id"], "link_dicom_id": _text(links["dicom_id"])}
    for part, listed in lists.items():
        inner = labelled[labelled["split"] == OUR_SPLITS[part]]
        outputs |= _split_outputs(part, inner, listed, links, case.config["data_ratio"])
    return outputs


def _split_outputs(
    part: str, films: pd.DataFrame, listed: pd.DataFrame, links: pd.DataFrame, ratio: float
) -> dict[str, np.ndarray]:
    """The outputs of one split, under the original's names."""
    listed = listed.assign(stay_id=listed["stay_id"].astype(np.int64))
    paired = links.merge(listed, on="stay_id")
    share = {"train": ratio, "val": 0.0, "test": 1.0}[part]
    outputs = {
        f"{part}_cxr_all": _text(films["dicom_id"]),
        f"{part}_cxr_labels": (films[list(LABELS)].to_numpy() == 1).astype(np.float64),
        f"{part}_paired_ehr": _text(paired["stay"]),
        f"{part}_paired_cxr": _text(paired["dicom_id"]),
        f"{part}_unpaired_sorted": np.sort(
            _text(listed.loc[~listed["stay_id"].isin(paired["stay_id"]), "stay"])
        ),
    }
    for mode in MODES:
        items = pairing(
            mode,
            films["dicom_id"].to_numpy() if mode == "radiology" else listed["stay_id"].to_numpy(),
            links["stay_id"].to_numpy(),
            share,
            "each_once",
            np.random.default_rng(0),
        )
        outputs[f"{part}_len_{mode}"] = np.asarray(len(items.positions))
    return outputs


def _text(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=object).astype(str)
