"""Splits by published list and by hash."""

from collections import Counter

import numpy as np

from medjax.data.mimic_iv.channels import read_resource
from medjax.data.mimic_iv.split import split_subjects
from medjax.data.subject_split import hash_split


def published(name: str, flag: str) -> list[int]:
    lines = read_resource(name).decode().split()
    return [int(line.split(",")[0]) for line in lines if line.endswith(f",{flag}")]


LISTED = np.array(published("testset_iv.csv.gz", "0") + published("testset_iv.csv.gz", "1"))


def test_listed_subjects_split_as_published() -> None:
    split = split_subjects(LISTED, "lists_if_95_percent")
    counts = Counter(split.of.values())
    assert counts == {"test": 9409, "validation": 3730, "train": 47046 - 9409 - 3730}
    assert "published" in split.rule


def test_the_lists_hold_from_95_percent_on() -> None:
    listed, strangers = LISTED[:95].tolist(), list(range(1, 6))
    split = split_subjects(np.array(listed + strangers), "lists_if_95_percent")
    assert "published" in split.rule
    assert {split.of[s] for s in strangers} == {"train"}
    split = split_subjects(np.array(listed[1:] + strangers), "lists_if_95_percent")
    assert "hash" in split.rule
    assert "94.9%" in split.rule
    split = split_subjects(np.arange(1, 100), "lists")
    assert set(split.of.values()) == {"train"}


def test_the_hash_can_be_asked_for() -> None:
    split = split_subjects(LISTED, "lists_if_95_percent", allow_lists=False)
    assert all(split.of[s] == hash_split(str(s)) for s in LISTED[:100].tolist())
