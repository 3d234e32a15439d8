"""The prepared sets that MedKLIP reads: films, triplets of reports, places of findings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medjax.data.prepared import open_set, read_manifest
from medjax.data.radgraph.prepare import read_triplets
from medjax.data.radgraph.triplets import Uncertain, matrix_of
from medjax.data.radgraph.vocabulary import ENTITIES
from medjax.data.xray.index import label_matrix, read_index
from medjax.data.xray.places import Places, open_places, placed_labels
from medjax.data.xray.report_table import read_reports
from medjax.errors import UserError
from medjax.systems.medklip.labels import existence

EMPTY = -1
"""The report of a film that has none."""


class LabelRules(NamedTuple):
    """What a label of a table means that is neither 1 nor 0."""

    uncertain: float = np.nan
    unmentioned: float = 0.0


class Films(NamedTuple):
    """The films of one split, in the order of the prepared set."""

    records: Any
    """Random access to the images."""
    dicom_id: np.ndarray
    """text [films]"""
    subject_id: np.ndarray
    """int64 [films]"""
    study_id: np.ndarray
    """int64 [films]"""
    labels: np.ndarray
    """float32 [films, L]: 1, 0, or NaN where not known."""
    triplets: Sequence[np.ndarray | None]
    """For each film int8 [n, 3] position, entity, status; None where no report was read."""
    report_row: np.ndarray
    """int32 [films]: row of `Data.report_texts`, EMPTY without a report."""

    def matrix(self, film: int, uncertain: Uncertain = "ignore") -> np.ndarray:
        """Return the matrix of a film, float32 [51, 75]: -1 everywhere without triplets."""
        triplets = self.triplets[film]
        return matrix_of(np.zeros((0, 3), np.int8) if triplets is None else triplets, uncertain)

    def existence(self, uncertain: Uncertain = "ignore") -> np.ndarray:
        """Return what the reports say of every entity: float32 [films, 75], -1 not mentioned."""
        rows = [existence(self.matrix(i, uncertain)) for i in range(len(self.triplets))]
        return np.array(rows, np.float32).reshape(-1, len(ENTITIES))

    @property
    def reported(self) -> np.ndarray:
        """Positions of the films that have triplets, int64 [n]."""
        known = [i for i, triplets in enumerate(self.triplets) if triplets is not None]
        return np.asarray(known, np.int64)


class Data(NamedTuple):
    """Everything that a stage may read."""

    splits: Mapping[str, Films]
    film_labels: tuple[str, ...]
    """Names of the labels of the table."""
    report_texts: tuple[str, ...]
    """The different reports (findings and impression) of all splits, train first."""
    region_labels: tuple[str, ...]
    """Findings for which there are places."""
    xray: Path
    invented: bool = False
    """Whether it is the demo's."""

    @property
    def has_triplets(self) -> bool:
        """Whether any report was read."""
        return any(len(films.reported) for films in self.splits.values())

    def texts(self, split: str) -> list[str]:
        """Return the reports of a split, those of films without one left out."""
        rows = self.splits[split].report_row
        return [self.report_texts[row] for row in rows if row != EMPTY]

    def regions(self, split: str, label: str) -> Places:
        """Return the places of a finding on the films of a split; none where it has no place."""
        return open_places(self.xray, split, label, self.splits[split].dicom_id)


def open_klip(
    xray: Path,
    triplets: Path | None = None,
    rules: LabelRules | None = None,
    sections: Sequence[str] = ("findings", "impression"),
    invented: bool = False,
) -> Data:
    """Open prepared films and, where given, the triplets of their reports.

    Args:
        xray: folder with the set `xray` and, perhaps, `regions`.
        triplets: folder with the set `triplets`, made of the same films.
        rules: the meaning of uncertain and missing labels.
        sections: of the reports, joined; a report without them is its whole text.
        invented: whether it is the demo's.

    Raises:
        UserError: a folder is not prepared, or the triplets are those of other films.
    """
    prepared = open_set(xray, "xray", fields=("image",))
    order = [s for s in ("train", "validation", "test", "all") if s in prepared.splits]
    rows: dict[str, int] = {}
    splits: dict[str, Films] = {}
    for split in order:
        index = read_index(xray, split)
        names = tuple(dict.fromkeys((*sections, "text")))
        reports = read_reports(xray, index["dicom_id"].tolist(), names).to_dict("records")
        texts = [_text(report, sections) for report in reports]
        splits[split] = Films(
            records=prepared.splits[split],
            dicom_id=index["dicom_id"].to_numpy(dtype=object),
            subject_id=index["subject_id"].to_numpy(np.int64),
            study_id=index["study_id"].to_numpy(np.int64),
            labels=known_labels(label_matrix(index), rules or LabelRules()),
            triplets=_triplets(triplets, split, index["dicom_id"]),
            report_row=np.array(
                [rows.setdefault(text, len(rows)) if text else EMPTY for text in texts], np.int32
            ),
        )
    if triplets is not None and not any(len(films.reported) for films in splits.values()):
        raise UserError(f"{triplets}: triplets of other films than those of {xray}")
    labels = tuple(read_manifest(xray)["sets"]["xray"]["labels"])
    return Data(splits, labels, tuple(rows), placed_labels(xray), xray, invented)


def _text(report: Mapping[Any, str], sections: Sequence[str]) -> str:
    joined = " ".join(text for name in sections if (text := report[name].strip()))
    return joined or report["text"].strip()


def _triplets(root: Path | None, split: str, dicom_ids: Any) -> list[np.ndarray | None]:
    found = dict(read_triplets(root, split)) if root is not None else {}
    return [found.get(dicom) for dicom in dicom_ids]


def known_labels(codes: np.ndarray, rules: LabelRules) -> np.ndarray:
    """Turn codes int8 (1, 0, -1 uncertain, -2 not mentioned) into labels float32, NaN unknown."""
    labels = codes.astype(np.float32)
    labels[codes == -1] = rules.uncertain
    labels[codes == -2] = rules.unmentioned
    return labels
