"""One film of a table, before its pixels are read."""

from typing import NamedTuple


class Film(NamedTuple):
    """What a source knows of a film."""

    dicom_id: str
    path: str
    """Relative to the root of the images."""
    split: str
    subject_id: int
    study_id: int
    view: str
    study_time: int
    """Seconds since 1970 of the shifted calendar; 0 when unknown."""
    labels: tuple[int, ...]
    """1, 0, -1 uncertain, -2 not mentioned; () in an unlabelled store."""
