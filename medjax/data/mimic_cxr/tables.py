"""The tables of MIMIC-CXR-JPG (2.0.0, 2.1.0; csv or csv.gz), read by column name."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data.mimic_cxr.linking import study_times
from medjax.data.tables import (
    LABEL_VALUES,
    SPLIT_NAMES,
    coded,
    find_table,
    integers,
    read_table,
    refuse_repeats,
)
from medjax.errors import UserError

LABELS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
LABELLERS = ("chexpert", "negbio")


class Tables(NamedTuple):
    """Where the tables of a raw folder lie; None where there is none."""

    metadata: Path
    labels: Path | None
    split: Path | None
    reports: Path | None


def find_tables(raw: Path, labeller: str = "chexpert") -> Tables:
    """Find the tables of any release in `raw`.

    Raises:
        UserError: no metadata table.
    """
    metadata = find_table(raw, "mimic-cxr-*-metadata.csv")
    if metadata is None:
        raise UserError(
            f"{raw}: no table mimic-cxr-2.0.0-metadata.csv.gz (or .csv); download the tables of "
            "MIMIC-CXR-JPG into this folder"
        )
    return Tables(
        metadata,
        find_table(raw, f"mimic-cxr-*-{labeller}.csv"),
        find_table(raw, "mimic-cxr-[0-9]*-split.csv"),
        find_table(raw, "mimic_cxr_sectioned.csv"),
    )


def read_metadata(path: Path) -> pd.DataFrame:
    """Read dicom_id, subject_id, study_id, view (text), study_time (datetime64[s], NaT unknown).

    Raises:
        UserError: a missing column, an id that is no integer, an image listed twice.
    """
    columns = ("dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate", "StudyTime")
    table = read_table(path, columns)
    refuse_repeats(table["dicom_id"], path)
    return pd.DataFrame(
        {
            "dicom_id": table["dicom_id"],
            "subject_id": integers(table["subject_id"], path),
            "study_id": integers(table["study_id"], path),
            "view": table["ViewPosition"].str.strip(),
            "study_time": study_times(table["StudyDate"], table["StudyTime"]),
        }
    )


def read_labels(path: Path) -> pd.DataFrame:
    """Read study_id and the 14 labels of LABELS, int8: 1, 0, -1 uncertain, -2 not mentioned.

    Raises:
        UserError: a missing column, an unknown label value, a study listed twice.
    """
    table = read_table(path, ("study_id", *LABELS))
    studies = integers(table["study_id"], path)
    labels = {name: coded(table[name], LABEL_VALUES, path).astype(np.int8) for name in LABELS}
    if len(np.unique(studies)) != len(studies):
        raise UserError(f"{path}: a study is listed twice; remove the duplicate rows")
    return pd.DataFrame({"study_id": studies, **labels})


def read_split(path: Path) -> pd.DataFrame:
    """Read dicom_id and split (train, validation, test).

    Raises:
        UserError: a missing column or an unknown name of a split.
    """
    table = read_table(path, ("dicom_id", "split"))
    split = coded(table["split"], SPLIT_NAMES, path)
    return pd.DataFrame({"dicom_id": table["dicom_id"], "split": split})
