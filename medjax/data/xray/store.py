"""The set `xray`: its features, and the writing of films with a budget for bad ones.

A film's `dicom_id` (for tables: the image's path) is its key, so a split lies in the order of ids.
"""

import functools
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from medjax.data.prepared import SetSpec, SetSummary, write_set
from medjax.data.xray.encode import Encoding, encode_film, ordered_map, worker_pool
from medjax.data.xray.film import Film
from medjax.data.xray.index import write_index
from medjax.errors import UserError

NAME = "xray"
VERSION = "1.0.0"


class Source(NamedTuple):
    """What the set says of where it comes from."""

    description: str
    citation: str
    license: str


class BadImage(NamedTuple):
    """A film that could not be read."""

    dicom_id: str
    error: str


def xray_spec(labels: int, source: Source) -> SetSpec:
    """The set `xray` with `labels` labels a film; without the feature when there are none."""
    scalar, text = tfds.features.Scalar, tfds.features.Text
    features = {
        "image": tfds.features.Image(shape=(None, None, 1), encoding_format="jpeg"),
        "dicom_id": text(),
        "study_id": scalar(np.int64),
        "subject_id": scalar(np.int64),
        "view": text(),
        "study_time": scalar(np.int64),
        "findings": text(),
        "impression": text(),
    }
    if labels:
        features["labels"] = tfds.features.Tensor(shape=(labels,), dtype=np.int8)
    return SetSpec(NAME, VERSION, features, *source)


def write_films(
    out: Path,
    root: Path,
    films: Sequence[Film],
    splits: Sequence[str],
    source: Source,
    encoding: Encoding,
    workers: int,
    max_bad_images: int = 0,
    digests: Mapping[str, str] = MappingProxyType({}),
) -> tuple[SetSummary, list[BadImage]]:
    """Write the set `xray` and its index; return the summary and the films that were left out.

    `digests` maps image paths to their SHA-256, which is checked where there is one.

    Raises:
        UserError: a subject in two splits, two films of one id, or more than `max_bad_images`
            unreadable films (named is the first).
    """
    check_subjects(films)
    bad: list[BadImage] = []
    encode = functools.partial(encode_film, root, encoding)

    def examples(split: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        part = [film for film in films if film.split == split]
        jobs = [(film.path, digests.get(film.path, "")) for film in part]
        for film, result in zip(part, ordered_map(encode, jobs, pool, 4 * workers)):
            progress.update()
            if not result.error:
                yield film.dicom_id, _example(film, result.data)
                continue
            bad.append(BadImage(film.dicom_id, result.error))
            if len(bad) > max_bad_images:
                raise UserError(
                    f"{bad[0].error} (unreadable images: {len(bad)}; "
                    "--max_bad_images=N leaves out up to N)"
                )

    start = time.monotonic()
    labels = len(films[0].labels) if films else 0
    progress = tqdm(total=len(films), unit=" images", desc="films", disable=None)
    with worker_pool(workers) as pool, progress:
        spec = xray_spec(labels, source)
        summary = write_set(out, spec, {split: examples(split) for split in splits})
    lost = {film.dicom_id for film in bad}
    write_index(out, [film for film in films if film.dicom_id not in lost])
    seconds = time.monotonic() - start
    print(f"{len(films):,} images in {seconds:.1f} s ({len(films) / seconds:.1f} images/s)")
    return summary, bad


def check_subjects(films: Sequence[Film]) -> None:
    """Refuse a subject whose films stand in two splits.

    Raises:
        UserError: with the number of such subjects.
    """
    split_of: dict[int, str] = {}
    mixed = {
        film.subject_id
        for film in films
        if split_of.setdefault(film.subject_id, film.split) != film.split
    }
    if mixed:
        raise UserError(
            f"{len(mixed)} subjects have images in more than one split; split by subject, for "
            "example with --split=hash"
        )


def _example(film: Film, data: bytes) -> dict[str, Any]:
    """The record of a film."""
    example = {
        "image": io.BytesIO(data),
        "dicom_id": film.dicom_id,
        "study_id": film.study_id,
        "subject_id": film.subject_id,
        "view": film.view,
        "study_time": film.study_time,
        "findings": film.findings,
        "impression": film.impression,
    }
    labels = {"labels": np.asarray(film.labels, np.int8)} if film.labels else {}
    return example | labels
