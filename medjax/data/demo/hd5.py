"""Writes an invented cohort as the HD5 files of ml4h, one a person, and the table of its factors.

Some persons have an ECG alone or an MRI alone, and a few files break a rule of the tensormaps, as
in the real cohort.
"""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from medjax.data.demo.crossmodal import Persons, draw_persons, median_beats
from medjax.data.demo.heart import LEADS
from medjax.data.demo.patients import generator
from medjax.data.demo.phantom import Cine, draw_cine
from medjax.data.demo.rawcsv import require_patients
from medjax.files import write_text

# No id of UK Biobank begins with 9: no invented person can be taken for a real one.
FIRST_PERSON = 9_500_001
LABELS = "factors.csv"
MILLIVOLT_PER_UNIT = 0.005
WITHOUT_MRI, WITHOUT_ECG, LACKING_LEAD, WITHOUT_MASK = 0.08, 0.08, 0.015, 0.015
"""Shares of the persons."""
POOR_SHARE = 0.02
PACKED = 1 << 14
"""Bytes from which a dataset is compressed; below, packing costs more than it saves."""
_CINE = 22  # random stream of a person


def write_cohort(
    folder: Path,
    persons: int,
    seed: int,
    *,
    ecg_samples: int = 600,
    grid: int = 160,
    frames: int = 50,
) -> None:
    """Write `<id>.hd5` of `persons` invented persons, then `factors.csv`.

    The sizes are those of UK Biobank: beats of 600 samples in 1.2 s, cines of 50 frames of
    160 x 160 pixels of 1.8 mm, whose hearts fit 96 x 96. Fewer samples, pixels and frames show the
    same in less time: with `grid=80` hearts fit 48 x 48. Of the annotations only that of the first
    frame is written, which alone is read. Equal arguments give equal bytes.

    Raises:
        UserError: `persons` is below 1.
    """
    require_patients(persons)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = draw_persons(persons, seed)
    ids = [str(FIRST_PERSON + i) for i in range(persons)]
    beats = median_beats(drawn, seed, ecg_samples)
    limits = np.cumsum([WITHOUT_MRI, WITHOUT_ECG, LACKING_LEAD, WITHOUT_MASK])
    for i, sample_id in enumerate(ids):
        lacks = int(np.searchsorted(limits, drawn.u[i, 0], side="right"))
        cine = None
        if lacks != 0:
            cine = draw_cine(drawn.shapes[i], generator(seed, i, _CINE), grid, frames)
        if lacks == 3 and cine is not None:
            cine = cine._replace(labels=np.zeros_like(cine.labels))
        beat = None if lacks == 1 else np.rint(beats[i] / MILLIVOLT_PER_UNIT)
        leads = [lead for lead in LEADS if not (lacks == 2 and lead == "V5")]
        reading = _reading(drawn, i)
        _write_person(folder / f"{sample_id}.hd5", beat, leads, reading, cine)
    table = pd.DataFrame({"sample_id": ids, **drawn.factors}).round(3)
    write_text(folder / LABELS, table.to_csv(index=False, lineterminator="\n"))


def _reading(persons: Persons, i: int) -> str:
    """What the machine says of an ECG."""
    rate = persons.hearts.rate[i]
    rhythm = "Sinus bradycardia" if rate < 60 else "Normal sinus rhythm"
    return rhythm + ("; Poor data quality" if persons.u[i, 1] < POOR_SHARE else "")


def _write_person(
    path: Path, beat: np.ndarray | None, leads: list[str], reading: str, cine: Cine | None
) -> None:
    with h5py.File(path, "w") as file:
        if beat is not None:
            group = file.create_group("ukb_ecg_rest")
            group["ecg_rest_text/instance_0"] = reading
            for lead, row in zip(LEADS, beat.astype(np.float32)):
                if lead in leads:
                    _pack(group, f"median_{lead}", row)
        if cine is not None:
            group = file.create_group("ukb_cardiac_mri")
            _pack(group, "cine_segmented_lax_4ch/2", cine.image)
            _pack(group, "cine_segmented_lax_4ch_annotated_1", cine.labels[:, :, 0])


def _pack(group: h5py.Group, name: str, values: np.ndarray) -> None:
    packing = {"compression": "gzip", "compression_opts": 1} if values.nbytes > PACKED else {}
    group.create_dataset(f"{name}/instance_0", data=values, **packing)
