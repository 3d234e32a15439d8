"""Cross-modal cohort: resting ECG and cardiac MRI in the HD5 files of ml4h (UK Biobank).

A source of its own beside `ml4h_hd5`, which reads the same files as ECG recordings in millivolt: a
cohort counts participants, not recordings, keeps who has one modality alone, has the published
tensors, lists and splits, and is read by another system.
"""

import argparse
import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from medjax.data.manifest import describe_run, print_manifest, write_manifest
from medjax.data.ml4h_cohort import options
from medjax.data.ml4h_cohort.person import read_person, sample_id_of
from medjax.data.ml4h_cohort.phenotypes import NOTHING_KNOWN, Phenotypes, read_phenotypes
from medjax.data.ml4h_cohort.split import (
    DISCARDED,
    SPLITS,
    describe_split,
    read_ids,
    split_participants,
)
from medjax.data.ml4h_cohort.tensormaps import ECG_LEADS, EcgOptions, MriOptions
from medjax.data.ml4h_cohort.write import NAME, CohortForm, write_cohort
from medjax.data.space import check_space
from medjax.data.workers import ordered_map
from medjax.errors import UserError

ENDING = ".hd5"
SAMPLE = 6
"""Participants who are read for an estimate."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    options.add_arguments(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write the set, its table and the manifest; with --dry_run only print what to expect."""
    fields = options.chosen(args)
    ecg, mri = options.tensor_options(args)
    form = CohortForm((ecg.samples, len(ECG_LEADS)), mri[2:], args.storage)
    counts: list[dict[str, Any]] = []
    names = _selected(args, find_participants(args.raw), counts)
    split_of, rule = _splits(args, names, counts)
    jobs = _limited([name for i, name in names.items() if i in split_of], args.limit, counts)
    phenotypes = _phenotypes(args)
    rows_met = _rows_met(phenotypes, jobs)
    size, seconds = _estimate(jobs, args, ecg, mri, form)
    check_space(args.out, size)
    if args.dry_run:
        print(
            f"dry run: {NAME}, {len(jobs):,} participants, about {size / 1e6:,.1f} MB and "
            f"{seconds / 60:,.1f} min; nothing written"
        )
        return
    read = partial(read_person, root=args.raw, ecg=ecg, mri=mri)
    splits = ("all",) if args.unlabelled else SPLITS
    with contextlib.closing(ordered_map(read, jobs, args.workers)) as persons:
        shown = tqdm(persons, total=len(jobs), unit=" participants", disable=None)
        written = write_cohort(
            args.out, shown, split_of, splits, form, phenotypes, args.max_bad_records
        )
    manifest = {
        **describe_run(args, options.input_tables(args)),
        "counts": counts + written.counts + rows_met,
        "sets": {NAME: written.entry},
        "split_rule": rule,
        "fields": fields,
    }
    write_manifest(args.out, manifest)
    print_manifest(manifest)
    for split, kinds in written.entry["participants_with"].items():
        told = ", ".join(f"{kind.replace('_', ' ')} {n:,}" for kind, n in kinds.items())
        print(f"{split}: {told}")


def find_participants(root: Path) -> dict[str, str]:
    """Return id -> path below `root` of every `<id>.hd5`, in the order of the directory walk.

    Raises:
        UserError: none, or two files of one participant.
    """
    found: dict[str, str] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            if not name.lower().endswith(ENDING) or not Path(folder, name).is_file():
                continue  # opening a pipe would wait for ever
            path = Path(folder, name).relative_to(root)
            if found.setdefault(sample_id_of(name), str(path)) != str(path):
                raise UserError(f"{root / path}: a second file of this participant; keep one")
    if not found:
        raise UserError(f"{root}: no file <id>{ENDING}; name the folder that holds them")
    return found


def _selected(
    args: argparse.Namespace, names: Mapping[str, str], counts: list[dict[str, Any]]
) -> dict[str, str]:
    """Participants by the lists of whom to take and whom to leave out, in their order."""
    selected = dict(names)
    for option, taken in (("sample_csv", True), ("exclude_csv", False)):
        path = getattr(args, option)
        if path is None:
            continue
        ids = read_ids(path)
        before = len(selected)
        selected = {i: name for i, name in selected.items() if (i in ids) == taken}
        reason = f"{'not ' if taken else ''}in the list of --{option}"
        counts.append({"rule": "list", "in": before, "out": len(selected), "reason": reason})
    return selected


def _splits(
    args: argparse.Namespace, names: Mapping[str, str], counts: list[dict[str, Any]]
) -> tuple[dict[str, str], str]:
    """Return id -> split of whoever is not discarded, and the rule in words."""
    how, lists = options.split_options(args)
    if args.unlabelled:
        return dict.fromkeys(names, "all"), "one split for prediction"
    # The draw goes by the walk; nothing else may depend on the order that a disk gives.
    ids = list(names) if how.rule == "walk_draw" else sorted(names)
    found = split_participants(ids, lists, how)
    split_of = {i: split for split in SPLITS for i in found[split]}
    if found[DISCARDED]:
        reason = "in no list, and not drawn for another split"
        counts.append({"rule": "split", "in": len(ids), "out": len(split_of), "reason": reason})
    return split_of, describe_split(lists, how)


def _limited(jobs: list[str], limit: int | None, counts: list[dict[str, Any]]) -> list[str]:
    """The files to read, sorted by participant, at most `limit`."""
    ordered = sorted(jobs, key=sample_id_of)
    if limit is None or len(ordered) <= limit:
        return ordered
    reason = f"beyond the first {limit} participants"
    counts.append({"rule": "limit", "in": len(ordered), "out": limit, "reason": reason})
    return ordered[:limit]


def _phenotypes(args: argparse.Namespace) -> Phenotypes:
    """The label table; raises `UserError` for --phenotypes without one."""
    wanted = tuple(name.strip() for name in args.phenotypes.split(",") if name.strip())
    if args.labels is None:
        if wanted:
            raise UserError("--phenotypes names columns of a table; give it by --labels=CSV")
        return NOTHING_KNOWN
    return read_phenotypes(args.labels, wanted)


def _rows_met(phenotypes: Phenotypes, jobs: Sequence[str]) -> list[dict[str, Any]]:
    """How many rows of the label table are of a participant who was read."""
    if not phenotypes.names:
        return []
    met = sum(sample_id_of(name) in phenotypes.rows for name in jobs)
    if not met:
        raise UserError(
            f"no participant has a row in the table of --labels ({len(phenotypes.rows)} rows): "
            "its ids, in the column sample_id or the first, must be the names of the files"
        )
    reason = "no participant of it"
    return [{"rule": "row of labels", "in": len(phenotypes.rows), "out": met, "reason": reason}]


def _estimate(
    jobs: Sequence[str],
    args: argparse.Namespace,
    ecg: EcgOptions,
    mri: MriOptions,
    form: CohortForm,
) -> tuple[int, float]:
    """Return (bytes, seconds) that the set will take, from a few of its participants."""
    count = len(jobs)
    picked = [jobs[i] for i in sorted({i * count // SAMPLE for i in range(SAMPLE)})[:count]]
    start = time.monotonic()
    for name in picked:
        read_person(name, args.raw, ecg, mri)
    seconds = (time.monotonic() - start) / max(len(picked), 1) * count / max(args.workers, 1)
    height, width, frames = form.mri
    voxel = 2 if form.storage == "float16" else 4
    return (4 * form.ecg[0] * form.ecg[1] + voxel * height * width * frames) * count, seconds
