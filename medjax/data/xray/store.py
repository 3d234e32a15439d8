"""The set `xray`: its features, and the writing of films with a budget for bad ones.

A film's `dicom_id` (for tables: the image's path) is its key, so a split lies in the order of ids.
"""

import contextlib
import io
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from medjax.data.film_sizes import FilmSize
from medjax.data.prepared import SetSpec, SetSummary, write_set
from medjax.data.reports import FIELDS
from medjax.data.xray.encode import Encoded
from medjax.data.xray.film import Film
from medjax.data.xray.index import write_index
from medjax.data.xray.report_table import report_table
from medjax.errors import UserError

NAME = "xray"
VERSION = "2.0.0"


class Source(NamedTuple):
    """What the set says of where it comes from."""

    description: str
    citation: str
    license: str


class BadImage(NamedTuple):
    """A film that could not be read."""

    dicom_id: str
    error: str


def image_names(sizes: Sequence[FilmSize]) -> list[str]:
    """Return the features of the stored sizes: `image`, then for example `image_long256`."""
    return ["image", *(f"image_{size}" for size in sizes[1:])]


def xray_spec(labels: int, source: Source, sizes: Sequence[FilmSize]) -> SetSpec:
    """The set `xray` with `labels` labels a film; without the feature when there are none."""
    scalar, text = tfds.features.Scalar, tfds.features.Text
    grey = {"shape": (None, None, 1), "encoding_format": "jpeg"}
    features = {
        **{name: tfds.features.Image(**grey) for name in image_names(sizes)},
        "dicom_id": text(),
        "study_id": scalar(np.int64),
        "subject_id": scalar(np.int64),
        "view": text(),
        "study_time": scalar(np.int64),
        "report": {field: text() for field in FIELDS},
    }
    if labels:
        features["labels"] = tfds.features.Tensor(shape=(labels,), dtype=np.int8)
    return SetSpec(NAME, VERSION, features, *source)


def write_films(
    out: Path,
    films: Mapping[str, Sequence[Film]],
    source: Source,
    sizes: Sequence[FilmSize],
    encoded: Callable[[str], Generator[Encoded, None, None]],
    report_of: Callable[[Film], Mapping[str, str]],
    max_bad_images: int = 0,
) -> tuple[SetSummary, list[BadImage]]:
    """Write the set `xray`, its index and the table of its reports.

    Args:
        out: the prepared folder.
        films: split -> its films, in any order.
        source: what the set says of its origin.
        sizes: the stored sizes.
        encoded: split -> its films at these sizes, in their order.
        report_of: a film -> the fields of its report that there are.
        max_bad_images: unreadable films that are left out before it is an error.

    Returns:
        The summary and the films that were left out.

    Raises:
        UserError: a subject in two splits, two films of one id, or more than `max_bad_images`
            unreadable films (named is the first).
    """
    every = [film for of_split in films.values() for film in of_split]
    check_subjects(every)
    bad: list[BadImage] = []

    def examples(split: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        with contextlib.closing(encoded(split)) as results:
            for film, result in zip(films[split], results):
                progress.update()
                if not result.error:
                    report = report_of(film)
                    reports.add(film, report)
                    yield film.dicom_id, _example(film, result.images, sizes, report)
                    continue
                bad.append(BadImage(film.dicom_id, result.error))
                if len(bad) > max_bad_images:
                    raise UserError(
                        f"{bad[0].error} (unreadable images: {len(bad)}; "
                        "--max_bad_images=N leaves out up to N)"
                    )

    start = time.monotonic()
    labels = len(every[0].labels) if every else 0
    with (
        tqdm(total=len(every), unit=" images", desc="films", disable=None) as progress,
        report_table(out) as reports,
    ):
        spec = xray_spec(labels, source, sizes)
        summary = write_set(out, spec, {split: examples(split) for split in films})
    lost = {film.dicom_id for film in bad}
    write_index(out, [film for film in every if film.dicom_id not in lost])
    seconds = time.monotonic() - start
    print(f"{len(every):,} images in {seconds:.1f} s ({len(every) / seconds:.1f} images/s)")
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


def _example(
    film: Film, images: Sequence[bytes], sizes: Sequence[FilmSize], report: Mapping[str, str]
) -> dict[str, Any]:
    """The record of a film."""
    example = {
        **{name: io.BytesIO(data) for name, data in zip(image_names(sizes), images)},
        "dicom_id": film.dicom_id,
        "study_id": film.study_id,
        "subject_id": film.subject_id,
        "view": film.view,
        "study_time": film.study_time,
        "report": {field: report.get(field, "") for field in FIELDS},
    }
    labels = {"labels": np.asarray(film.labels, np.int8)} if film.labels else {}
    return example | labels
