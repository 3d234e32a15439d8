"""The prepared sets that MedFuse reads: ICU stays of a task, films, and which film a stay has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medjax.data.prepared import open_set, read_manifest
from medjax.data.xray.index import label_matrix, read_index
from medjax.errors import UserError

NO_FILM = -1


class Stays(NamedTuple):
    """The stays of one split, in the order of the prepared set."""

    records: Any
    """Random access to the whole records."""
    stay_id: np.ndarray
    """int64 [stays]"""
    subject_id: np.ndarray
    """int64 [stays]"""
    episode: np.ndarray
    """text [stays]: the published file name."""
    hours: np.ndarray
    """int64 [stays]: length of the series."""
    labels: np.ndarray | None
    """float32 [stays, labels], NaN where not known; None without labels, or with labels at hours,
    which the records hold."""
    film: np.ndarray
    """int64 [stays]: position of the stay's film in the same split of `Films`, or NO_FILM."""
    age: np.ndarray
    """float64 [stays]: years; NaN where not known."""
    film_hour: np.ndarray
    """float32 [stays]: when the film was taken, in hours since admission; infinite without."""


class FilmLink(NamedTuple):
    """The film of a stay."""

    dicom_id: str
    hour: float
    """When it was taken, in hours since admission to the ICU."""


NO_LINK = FilmLink("", np.inf)


class Films(NamedTuple):
    """The films of one split."""

    records: Any
    dicom_id: np.ndarray
    """text [films]"""
    subject_id: np.ndarray
    """int64 [films]"""
    labels: np.ndarray
    """float32 [films, labels]: 1 positive; 0 negative, uncertain or not mentioned."""


class Data(NamedTuple):
    """Everything a stage of MedFuse may read."""

    stays: Mapping[str, Stays]
    """By split; {} where only films are at hand."""
    films: Mapping[str, Films]
    """By split; {} where no images are at hand."""
    stay_labels: tuple[str, ...]
    """Names of the task's labels."""
    film_labels: tuple[str, ...]
    """Names of the films' labels."""
    normalizer: Mapping[str, Any]
    """{"name", "columns", "means", "stds"} of the prepared task, {} without stays."""

    @property
    def columns(self) -> int:
        """How many columns the series have; 1 without stays."""
        return max(len(self.normalizer.get("columns", ())), 1)


def open_data(icu: Path | None, xray: Path | None, task: str) -> Data:
    """Open the prepared sets; one of the two folders may be missing.

    Raises:
        UserError: a folder is not prepared, or holds no set of that task.
    """
    films, film_labels = open_films(xray) if xray else ({}, ())
    if icu is None:
        return Data({}, films, (), film_labels, {})
    manifest = read_manifest(icu)
    prepared = open_set(icu, task)
    links = film_of_stay(xray, task) if xray else {}
    stays = {
        split: read_stays(records, links, films.get(split))
        for split, records in prepared.splits.items()
    }
    labels = tuple(manifest["sets"][task].get("labels", ()))
    return Data(stays, films, labels, film_labels, manifest["normalizer"].get(task, {}))


def read_stays(records: Any, links: Mapping[int, FilmLink], films: Films | None) -> Stays:
    """Read one pass over a split's records for everything but the series and labels at hours."""
    columns: dict[str, list] = {k: [] for k in ("stay_id", "subject_id", "episode", "hours", "age")}
    labels: list[np.ndarray] = []
    for i in range(len(records)):
        record = records[i]
        columns["stay_id"].append(record["stay_id"])
        columns["subject_id"].append(record["subject_id"])
        columns["episode"].append(record["episode"])
        columns["hours"].append(len(record["series"]))
        columns["age"].append(record.get("age", np.nan))
        if "labels" in record and "hours" not in record:
            labels.append(record["labels"])
    position = {} if films is None else {dicom: i for i, dicom in enumerate(films.dicom_id)}
    linked = [links.get(int(stay), NO_LINK) for stay in columns["stay_id"]]
    film = np.asarray([position.get(link.dicom_id, NO_FILM) for link in linked], np.int64)
    hour = np.asarray([link.hour for link in linked], np.float32)
    known = np.stack(labels).astype(np.float32) if labels else None
    return Stays(
        records=records,
        stay_id=np.asarray(columns["stay_id"], np.int64),
        subject_id=np.asarray(columns["subject_id"], np.int64),
        episode=np.asarray(columns["episode"], dtype=object),
        hours=np.asarray(columns["hours"], np.int64),
        labels=None if known is None else np.where(known < 0, np.nan, known),
        film=film,
        age=np.asarray(columns["age"], np.float64),
        film_hour=np.where(film == NO_FILM, np.inf, hour),
    )


def open_films(xray: Path) -> tuple[dict[str, Films], tuple[str, ...]]:
    """Open an X-ray store; an uncertain or unmentioned finding counts as absent, as published."""
    prepared = open_set(xray, "xray", fields=("image",))
    names = tuple(read_manifest(xray)["sets"]["xray"]["labels"])
    films = {}
    for split, records in prepared.splits.items():
        index = read_index(xray, split)
        films[split] = Films(
            records=records,
            dicom_id=index["dicom_id"].to_numpy(dtype=object),
            subject_id=index["subject_id"].to_numpy(np.int64),
            labels=(label_matrix(index) == 1).astype(np.float32),
        )
    return films, names


def film_of_stay(xray: Path, task: str) -> dict[int, FilmLink]:
    """Return stay_id -> its film, {} for films that were prepared without stays."""
    name = f"icu_links_{task}"
    if name not in read_manifest(xray)["sets"]:
        return {}
    links = open_set(xray, name)
    return {
        int(record["stay_id"]): FilmLink(record["dicom_id"], float(record["hour"]))
        for records in links.splits.values()
        for record in (records[i] for i in range(len(records)))
    }


def normalise(series: np.ndarray, normalizer: Mapping[str, Any]) -> np.ndarray:
    """Return (series - mean) / std in the numeric columns of [hours, columns], not in masks.

    Numeric columns are those whose name has neither "->" (one-hot) nor "mask" before it.
    """
    numeric = np.asarray(["->" not in name for name in normalizer["columns"]])
    means = np.where(numeric, np.asarray(normalizer["means"]), 0.0)
    stds = np.where(numeric, np.asarray(normalizer["stds"]), 1.0)
    if series.shape[1] != len(numeric):
        raise UserError(
            f"the series have {series.shape[1]} columns and the normaliser {len(numeric)}: they "
            "were prepared with different channels"
        )
    return ((series - means) / stds).astype(np.float32)
