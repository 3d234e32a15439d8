"""HD5 files of the cohort's layout, small, for tests."""

from pathlib import Path

import h5py
import numpy as np

from medjax.data.ml4h_cohort.tensormaps import ECG_LEADS

CINE = "ukb_cardiac_mri/cine_segmented_lax_4ch/2/instance_0"
MASK = "ukb_cardiac_mri/cine_segmented_lax_4ch_annotated_1/instance_0"
SAMPLES, FRAMES = 60, 5


def write_ecg(path, seed=0, *, instance="instance_0", samples=SAMPLES, leads=ECG_LEADS, text="ok"):
    """Add a beat; returns its numbers [lead, samples] in the order of the channels."""
    rows = np.random.default_rng(seed).integers(-300, 300, (12, samples)).astype(np.float32)
    with _open(path) as file:
        for lead, row in zip(ECG_LEADS, rows):
            if lead in leads:
                file.create_dataset(f"ukb_ecg_rest/median_{lead}/{instance}", data=row)
        if text is not None:
            file[f"ukb_ecg_rest/ecg_rest_text/{instance}"] = text
    return rows


def write_mri(path, seed=0, *, box=(2, 3, 9, 11), shape=(16, 20), frames=FRAMES, label=11):
    """Add a cine and a mask whose label fills the box (first row, column, last row, column)."""
    cine = np.random.default_rng(seed).integers(1, 200, (*shape, frames)).astype(np.uint16)
    mask = np.zeros((32, 32), np.uint8)
    mask[0, 0], mask[30, 30] = 13, 15  # thorax and implant are no heart
    mask[box[0] : box[2] + 1, box[1] : box[3] + 1] = label
    with _open(path) as file:
        file.create_dataset(CINE, data=cine, compression="gzip")
        file[MASK] = mask
    return cine


def _open(path: Path) -> h5py.File:
    path.parent.mkdir(parents=True, exist_ok=True)
    return h5py.File(path, "a")
