"""MS-CXR-T: how findings change between two films of MIMIC-CXR, and sentences on such changes."""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds

from medjax.data.manifest import describe_run, describe_set, print_manifest, write_manifest
from medjax.data.mimic_cxr.select import Selection, film_path
from medjax.data.mimic_cxr.tables import read_metadata
from medjax.data.prepared import SetSpec, SetSummary, write_set
from medjax.data.subject_split import HASH_RULE, hash_split
from medjax.data.tables import coded, find_table, integers, read_table
from medjax.data.xray.film import Film
from medjax.data.xray.gather import no_report
from medjax.data.xray.index import INDEX
from medjax.data.xray.options import add_image_options, describe_encoding, encoding_of
from medjax.data.xray.run import store_films
from medjax.data.xray.store import NAME, BadImage, Source
from medjax.errors import UserError

SOURCE = Source(
    "Pairs of chest radiographs with the change of five findings; pairs of sentences on changes.",
    "Bannur et al., MS-CXR-T: Learning to Exploit Temporal Structure for Biomedical Vision-"
    "Language Processing, PhysioNet 2023",
    "PhysioNet Credentialed Health Data License 1.5.0",
)
IMAGES, SENTENCES = "temporal_images", "temporal_sentences"
TABLES = {
    IMAGES: "MS_CXR_T_temporal_image_classification*.csv",
    SENTENCES: "MS_CXR_T_temporal_sentence_similarity*.csv",
}
"""Set -> the table that it is made of."""
FINDINGS = ("consolidation", "edema", "pleural_effusion", "pneumonia", "pneumothorax")
LABELS = tuple(f"{finding}_progression" for finding in FINDINGS)
CHANGES = ("improving", "stable", "worsening")
CATEGORIES = ("contradiction", "paraphrase")
"""Of pairs of sentences."""
UNKNOWN = -1
IDS = ("dicom_id", "previous_dicom_id", "study_id", "subject_id")


class Pairs(NamedTuple):
    """Pairs of films, and what each rule let through."""

    chosen: Selection = Selection(pd.DataFrame(), [])
    """The pairs, as `read_pairs` gives them, with their `row` in the table."""
    films: Sequence[Film] = ()
    split_of: Mapping[int, str] = {}
    """Of every patient."""
    split_rule: str = "one split"
    bad_images: Sequence[BadImage] = ()

    @property
    def counts(self) -> list[dict[str, Any]]:
        """What each rule let in and out."""
        return self.chosen.counts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument(
        "--films",
        type=Path,
        help="prepared films of MIMIC-CXR whose split is followed (hash of the patient)",
    )
    add_image_options(parser, quality=95)


def prepare(args: argparse.Namespace) -> None:
    """Write the sets `xray` and `temporal_images`, `temporal_sentences`, and the manifest.

    Either table alone will do; sentences need no films. --images (or --raw) is the folder of
    MIMIC-CXR-JPG, with its metadata table.
    """
    tables = {name: find_table(args.raw, pattern) for name, pattern in TABLES.items()}
    inputs = {path.name: path for path in tables.values() if path is not None}
    if not inputs:
        raise UserError(f"{args.raw}: neither {' nor '.join(TABLES.values())} is there")
    sets: dict[str, Any] = {}
    pairs = Pairs()
    if (path := tables[IMAGES]) is not None:
        metadata = _metadata(args)
        inputs[metadata.name] = metadata
        pairs = select_pairs(args, read_pairs(path, args.unlabelled), metadata)
        stored = _store_pairs(args, pairs)
        if stored is None:
            return
        pairs, sets = stored
    if (path := tables[SENTENCES]) is not None:
        if args.dry_run:
            return
        sets[SENTENCES] = describe_set(_write_sentences(args.out, read_sentences(path)))
    manifest = {
        **describe_run(args, inputs),
        "counts": pairs.counts,
        "sets": sets,
        "split_rule": pairs.split_rule,
        "fields": {},
        "bad_images": [film._asdict() for film in pairs.bad_images],
    }
    write_manifest(args.out, manifest)
    print_manifest(manifest)


def read_pairs(path: Path, unlabelled: bool = False) -> pd.DataFrame:
    """Read the table of image labels: IDS, and LABELS as codes of CHANGES or UNKNOWN, int8.

    An image may be named with the path of its file, as MedST's own table does.

    Raises:
        UserError: a missing column, an id that is no integer, a label that is none of CHANGES.
    """
    table = read_table(path, IDS if unlabelled else (*IDS, *LABELS))
    codes = {"": UNKNOWN, **{change: code for code, change in enumerate(CHANGES)}}
    pairs = pd.DataFrame({
        **{name: table[name].map(_image_name) for name in IDS[:2]},
        **{name: integers(table[name], path) for name in IDS[2:]},
    })  # fmt: skip
    for name in LABELS:
        known = name in table
        pairs[name] = np.int8(UNKNOWN) if not known else coded(table[name], codes, path)
    return pairs.astype(dict.fromkeys(LABELS, np.int8))


def _image_name(text: str) -> str:
    return text.strip().rsplit("/", 1)[-1].removesuffix(".jpg")


def read_sentences(path: Path) -> pd.DataFrame:
    """Read the table of sentence pairs: sentence_1, sentence_2, category, subset_name.

    As published the sentences and the category are the second to fourth column, by whatever name.

    Raises:
        UserError: fewer columns, none of the name subset_name, or a category that is none.
    """
    table = read_table(path, None)
    if len(table.columns) < 5 or "subset_name" not in table:
        raise UserError(
            f"{path}: expects an id, two sentences, their category and a column subset_name"
        )
    first, second, category = (table.iloc[:, column] for column in (1, 2, 3))
    category = category.str.strip()
    coded(category, {name: code for code, name in enumerate(CATEGORIES)}, path)
    columns = {"sentence_1": first, "sentence_2": second, "category": category}
    return pd.DataFrame({**columns, "subset_name": table["subset_name"].str.strip()})


def _metadata(args: argparse.Namespace) -> Path:
    """Return the metadata table of MIMIC-CXR-JPG."""
    root = args.images or args.raw
    path = find_table(root, "mimic-cxr-*-metadata.csv")
    if path is None:
        raise UserError(
            f"{root}: no table mimic-cxr-2.0.0-metadata.csv.gz (or .csv), which tells where the "
            "images are; name the folder of MIMIC-CXR-JPG by --images"
        )
    return path


def select_pairs(args: argparse.Namespace, table: pd.DataFrame, metadata: Path) -> Pairs:
    """Keep the pairs both of whose images are there.

    Args:
        args: the options of the command.
        table: as `read_pairs` gives it.
        metadata: table of MIMIC-CXR-JPG.

    Raises:
        UserError: no pair is left.
    """
    root = args.images or args.raw
    names = pd.unique(table[list(IDS[:2])].to_numpy().ravel())
    known = read_metadata(metadata).set_index("dicom_id")
    known = known[known.index.isin(names)]
    paths = [
        film_path(subject, study, str(name))
        for name, subject, study in zip(known.index, known["subject_id"], known["study_id"])
    ]
    known = known.assign(path=paths)
    there = [(root / path).is_file() for path in paths]
    chosen = Selection(table.assign(row=np.arange(len(table))), [])
    for rule, images, reason in (
        ("in MIMIC-CXR", known.index, "an image is not in the metadata table"),
        ("image on disk", known.index[there], "an image is not on the disk"),
    ):
        chosen = chosen.keep(rule, _both(chosen.films, images), reason)
    if args.limit:
        first = pd.Series(np.arange(len(chosen.films)) < args.limit)
        chosen = chosen.keep("limit", first, f"beyond the first {args.limit} pairs")
    if chosen.films.empty:
        raise UserError(
            f"{root}: it has both images of none of the {len(table):,} pairs; name the folder of "
            "MIMIC-CXR-JPG by --images"
        )
    used = known[known.index.isin(pd.unique(chosen.films[list(IDS[:2])].to_numpy().ravel()))]
    subjects = sorted({*chosen.films["subject_id"], *used["subject_id"]})
    split_of, rule = _splits(args, subjects)
    moments = used["study_time"].to_numpy("datetime64[s]")
    seconds = np.where(np.isnat(moments), 0, moments.astype(np.int64)).tolist()
    columns = (used[name].tolist() for name in ("path", "subject_id", "study_id", "view"))
    films = [
        Film(str(name), path, split_of[subject], subject, study, view, second, ())
        for name, path, subject, study, view, second in zip(used.index, *columns, seconds)
    ]
    return Pairs(chosen, films, split_of, rule)


def _both(pairs: pd.DataFrame, images: Iterable[str]) -> pd.Series:
    """Tell which pairs have both images among these."""
    names = set(images)
    return pairs["dicom_id"].isin(names) & pairs["previous_dicom_id"].isin(names)


def _store_pairs(args: argparse.Namespace, pairs: Pairs) -> tuple[Pairs, dict[str, Any]] | None:
    """Write films and pairs; return those that are readable, and the sets. None: a dry run."""
    stored = store_films(args, args.images or args.raw, pairs.films, SOURCE, no_report)
    if stored is None:
        return None
    summary, bad = stored
    lost = {film.dicom_id for film in bad}
    readable = [film.dicom_id for film in pairs.films if film.dicom_id not in lost]
    kept = _both(pairs.chosen.films, readable)
    chosen = pairs.chosen.keep("readable", kept, "an image cannot be decoded")
    split = chosen.films["subject_id"].map(dict(pairs.split_of))
    written = write_set(
        args.out,
        _pairs_spec(),
        {name: _pair_examples(chosen.films[split == name]) for name in summary.sizes},
    )
    sets = {
        NAME: describe_set(summary, (), **describe_encoding(encoding_of(args))),
        IMAGES: describe_set(written, () if args.unlabelled else FINDINGS),
    }
    return pairs._replace(chosen=chosen, bad_images=bad), sets


def _splits(args: argparse.Namespace, subjects: Sequence[int]) -> tuple[dict[int, str], str]:
    """Return the split of every patient and the rule by which it was found.

    Raises:
        UserError: --films has no prepared films, or none of these patients.
    """
    if args.unlabelled:
        return dict.fromkeys(subjects, "all"), "one split for prediction"
    split_of = {subject: hash_split(str(subject)) for subject in subjects}
    rule = HASH_RULE.format("subject id")
    if args.films is None:
        return split_of, rule
    try:
        index = pd.read_parquet(args.films / INDEX, columns=["subject_id", "split"])
    except (OSError, ValueError, KeyError) as e:
        raise UserError(
            f"--films={args.films}: not the folder of prepared films; give the --out of "
            "`python -m medjax.prepare mimic_cxr`"
        ) from e
    listed = dict(zip(index["subject_id"].astype(int), index["split"].astype(str)))
    found = [subject for subject in subjects if subject in listed]
    if not found:
        raise UserError(
            f"--films={args.films}: it has none of the {len(subjects)} patients of these pairs; "
            "give the prepared films of MIMIC-CXR"
        )
    split_of |= {subject: listed[subject] for subject in found}
    return split_of, f"that of the films ({len(found)} of {len(subjects)} patients), else {rule}"


def _pairs_spec() -> SetSpec:
    scalar, text = tfds.features.Scalar(np.int64), tfds.features.Text()
    features = {
        "row": scalar,
        "dicom_id": text,
        "previous_dicom_id": text,
        "study_id": scalar,
        "subject_id": scalar,
        "labels": tfds.features.Tensor(shape=(len(FINDINGS),), dtype=np.int8),
    }
    return SetSpec(IMAGES, "1.0.0", features, *SOURCE)


def _pair_examples(pairs: pd.DataFrame) -> Iterator[tuple[str, Mapping[str, Any]]]:
    labels = pairs[list(LABELS)].to_numpy(np.int8)
    for row, codes in zip(pairs.to_dict("records"), labels):
        example = {str(name): row[name] for name in ("row", *IDS)}
        yield f"{row['row']:08d}", {**example, "labels": codes}


def _write_sentences(out: Path, sentences: pd.DataFrame) -> SetSummary:
    text = tfds.features.Text()
    names = [str(name) for name in sentences.columns]
    features = {"row": tfds.features.Scalar(np.int64), **dict.fromkeys(names, text)}

    def examples() -> Iterator[tuple[str, Mapping[str, Any]]]:
        for row, values in enumerate(sentences.itertuples(index=False)):
            yield f"{row:08d}", {"row": row, **dict(zip(names, values))}

    return write_set(out, SetSpec(SENTENCES, "1.0.0", features, *SOURCE), {"test": examples()})
