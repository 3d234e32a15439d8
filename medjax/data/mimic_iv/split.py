"""Train, validation and test by patient: published lists where they fit, else a hash."""

from typing import NamedTuple

import numpy as np

from medjax.data.mimic_iv.channels import read_resource
from medjax.data.subject_split import HASH_RULE, hash_split

LISTED_ENOUGH = 0.95


class Split(NamedTuple):
    """The split of every subject and how it was made."""

    of: dict[int, str]
    """subject_id -> "train", "validation" or "test" (or "all")."""
    rule: str
    """One phrase for the manifest."""


def split_subjects(subjects: np.ndarray, source: str, allow_lists: bool = True) -> Split:
    """Split distinct subjects.

    Args:
        subjects: int64, distinct subject ids of the cohort.
        source: "lists_if_95_percent": published lists when they name 95 % of the subjects, the
            others then being train; else the hash. "lists": always the lists.
        allow_lists: False takes the hash in any case.
    """
    test, validation = _read_list("testset_iv.csv.gz"), _read_list("valset_iv.csv.gz")
    listed = np.mean([s in test for s in subjects.tolist()]) if len(subjects) else 0.0
    share = f"{listed:.1%} of the subjects stand in the published lists"
    if allow_lists and (source == "lists" or listed >= LISTED_ENOUGH):
        of = {s: _listed(s, test, validation) for s in subjects.tolist()}
        return Split(of, f"published lists ({share})")
    why = share if allow_lists else "asked for"
    of = {s: hash_split(str(s)) for s in subjects.tolist()}
    return Split(of, f"{HASH_RULE.format('subject id')}: {why}")


def _read_list(name: str) -> dict[int, bool]:
    """Return subject_id -> flag of a published list."""
    rows = (line.split(",") for line in read_resource(name).decode("ascii").split())
    return {int(subject): flag == "1" for subject, flag in rows}


def _listed(subject: int, test: dict[int, bool], validation: dict[int, bool]) -> str:
    """Return the split by the lists; a subject on neither is train."""
    if test.get(subject):
        return "test"
    return "validation" if validation.get(subject) else "train"
