"""The files in which MedKLIP's scripts keep triplets: matrices and study numbers as .npy."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medjax.data.radgraph.triplets import Triplet, matrix_of, triplets_of_matrix
from medjax.data.radgraph.vocabulary import ENTITIES, POSITIONS
from medjax.errors import UserError
from medjax.files import write_atomic

STUDIES, MATRICES = "landmark_observation_sids.npy", "landmark_observation_adj_mtx.npy"


def write_published(folder: Path, reports: Sequence[tuple]) -> None:
    """Write study numbers and matrices float64 [n, 51, 75] of (report, triplets), studies once."""
    of_study = {report.study or report.dicom_id: triplets for report, triplets in reports}
    shape = (len(of_study), len(POSITIONS), len(ENTITIES))

    def fill(path: Path) -> None:
        # Written row by row: all matrices of a large set are larger than memory.
        matrices = np.lib.format.open_memmap(path, "w+", np.float64, shape)
        for i, triplets in enumerate(of_study.values()):
            matrices[i] = matrix_of(triplets)
        matrices.flush()

    write_atomic(folder / MATRICES, fill)
    names = np.array(list(of_study))
    write_atomic(folder / STUDIES, lambda path: np.save(path, names, allow_pickle=False))


def read_published(folder: Path) -> dict[str, list[Triplet]]:
    """Read study number -> triplets.

    Raises:
        UserError: a missing file, or arrays of other shapes.
    """
    try:
        studies = np.load(folder / STUDIES, allow_pickle=False)
        matrices = np.load(folder / MATRICES, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError) as e:
        told = e.strerror if isinstance(e, OSError) else e
        raise UserError(f"{folder}: unreadable {STUDIES} or {MATRICES} ({told})") from e
    if matrices.shape != (len(studies), len(POSITIONS), len(ENTITIES)):
        raise UserError(f"{folder / MATRICES}: shape {matrices.shape}, {len(studies)} studies")
    return {
        str(study).removeprefix("s"): triplets_of_matrix(np.asarray(matrix))
        for study, matrix in zip(studies, matrices)
    }
