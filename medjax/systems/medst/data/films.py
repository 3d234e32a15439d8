"""Prepared films with captions, laterals and the visits before, as pre-training reads them."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medjax.data.batching import generator
from medjax.data.prepared import open_set, read_manifest
from medjax.data.xray.index import read_index
from medjax.data.xray.report_table import read_reports
from medjax.data.xray.store import NAME
from medjax.errors import UserError
from medjax.systems.medst.data.pairs import NONE, pair_films
from medjax.systems.medst.data.sequences import LENGTH, make_chunks

SPLITS = ("train", "validation", "test", "all")
FRACTION = 11
"""Word of the random stream that draws a share of the chunks."""


class DataOptions(NamedTuple):
    """How films are paired and put in order; published values by name."""

    sequence_unit: str = "study"
    """Of `make_chunks`; published "image"."""
    series_length: int = LENGTH
    """Films of a whole chunk."""
    keep_decimals: bool = True
    """Of captions; published False."""
    fraction: float = 1.0
    """Share of the training split's chunks that are used; smaller ones lie inside larger ones."""
    fraction_seed: int = 42


class Films(NamedTuple):
    """The frontal films of a split that have a caption; row i of all arrays [film]."""

    records: Any
    """The films of the store: `records[frontal[i]][data.image]`, uint8 [height, width]."""
    frontal: np.ndarray
    """int64, place in the store."""
    lateral: np.ndarray
    """int64, place in the store; NONE: there is no lateral film."""
    prior: np.ndarray
    """int64, row of the patient's film at the visit before; NONE: there was no visit."""
    caption: np.ndarray
    """int32, place in `Data.captions`."""
    dicom_id: np.ndarray
    subject_id: np.ndarray
    study_id: np.ndarray
    """int64; below 0 where the study is not known: every film is then one of its own."""
    view: np.ndarray
    study_time: np.ndarray
    """int64, seconds; 0 unknown."""
    chunks: tuple[np.ndarray, ...]
    """Rows of each chunk, in the order of time."""


class Data(NamedTuple):
    """Everything that pre-training may read."""

    splits: Mapping[str, Films]
    captions: tuple[str, ...]
    """The different captions of all splits, train first."""
    counts: Mapping[str, Sequence[Mapping[str, Any]]]
    """Split -> what each rule let in and out."""
    image: str
    """Name of the stored image that is read."""
    xray: Path
    invented: bool = False
    """Whether it is the demo's."""

    def texts(self, split: str) -> list[str]:
        """Return the different captions of a split."""
        return [self.captions[row] for row in np.unique(self.splits[split].caption)]


def open_medst(xray: Path, options: DataOptions | None = None, invented: bool = False) -> Data:
    """Open prepared films with reports.

    Args:
        xray: folder with the set `xray`.
        options: how films are paired and put in order; None: the right way.
        invented: whether it is the demo's.

    Raises:
        UserError: the folder is not prepared, or no film of it has a caption.
    """
    options = options or DataOptions()
    image = stored_image(xray)
    prepared = open_set(xray, NAME, fields=(image,))
    rows: dict[str, int] = {}
    splits: dict[str, Films] = {}
    counts = {}
    for split in (s for s in SPLITS if s in prepared.splits):
        index = _with_reports(xray, read_index(xray, split))
        pairs = pair_films(index, options.keep_decimals)
        counts[split] = pairs.counts
        captions = [rows.setdefault(text, len(rows)) for text in pairs.table["caption"]]
        films = index.iloc[pairs.table["frontal"].to_numpy(np.int64)]
        chunks, prior = _in_time(films, options)
        splits[split] = Films(
            records=prepared.splits[split],
            frontal=pairs.table["frontal"].to_numpy(np.int64),
            lateral=pairs.table["lateral"].to_numpy(np.int64),
            prior=prior,
            caption=np.array(captions, np.int32),
            **{name: films[name].to_numpy() for name in IDS},
            chunks=_share(chunks, options) if split == "train" else tuple(chunks),
        )
    if not rows:
        raise UserError(
            f"{xray}: no frontal film (PA, AP) has a report with findings or impression; prepare "
            "the films with their reports (--reports)"
        )
    return Data(splits, tuple(rows), counts, image, xray, invented)


IDS = ("dicom_id", "subject_id", "study_id", "view", "study_time")


def stored_image(xray: Path) -> str:
    """Return the name of the image to read: that whose longer side was fixed, else the first."""
    images = read_manifest(xray)["sets"][NAME].get("images", {"image": ""})
    return next((name for name, size in images.items() if size.startswith("long")), "image")


def _with_reports(xray: Path, index: pd.DataFrame) -> pd.DataFrame:
    """Add the sections that captions are made of; give films of no known study one each."""
    unknown = index["study_id"].to_numpy() == 0
    own = -1 - np.arange(len(index))
    texts = read_reports(xray, index["dicom_id"].tolist(), ("impression", "findings"))
    studies = np.where(unknown, own, index["study_id"])
    return pd.concat([index.assign(study_id=studies), texts], axis=1)


def _in_time(films: pd.DataFrame, options: DataOptions) -> tuple[list[np.ndarray], np.ndarray]:
    """Return chunks of films and, for each film, that of the visit before.

    A film of unknown time is a chunk of its own: nobody knows what was before it.
    """
    time = films["study_time"].to_numpy(np.int64)
    timed = np.flatnonzero(time != 0)
    columns = [films[name].to_numpy()[timed] for name in ("subject_id", "study_id", "view")]
    subject, study, view = columns

    def chunked(unit: str, length: int) -> list[np.ndarray]:
        found = make_chunks(subject, time[timed], study, view, unit, length)
        return [timed[rows] for rows in found]

    chunks = chunked(options.sequence_unit, options.series_length)
    chunks += [np.array([row]) for row in np.flatnonzero(time == 0)]
    before: dict[tuple[int, int], int] = {}
    keys = list(zip(films["subject_id"].tolist(), films["study_id"].tolist()))
    for rows in chunked("study", max(len(films), 1)):
        before |= {keys[now]: int(earlier) for earlier, now in itertools.pairwise(rows)}
    return chunks, np.array([before.get(key, NONE) for key in keys], np.int64)


def _share(chunks: Sequence[np.ndarray], options: DataOptions) -> tuple[np.ndarray, ...]:
    """Draw a share of the chunks, at least one, in their order."""
    if options.fraction >= 1 or not chunks:
        return tuple(chunks)
    count = max(round(options.fraction * len(chunks)), 1)
    order = generator(options.fraction_seed, FRACTION).permutation(len(chunks))
    return tuple(chunks[i] for i in np.sort(order[:count]))
