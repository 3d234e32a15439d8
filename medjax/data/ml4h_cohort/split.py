"""Train, validation and test participants: by lists, and of the others by hash or by draw."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medjax.data.subject_split import hash_fraction
from medjax.errors import UserError

SPLITS = ("train", "validation", "test")
DISCARDED = "discarded"
ID_COLUMNS = ("sampleid", "medrecn", "mrn", "patient_id")
"""Column names that mean the participant; else the first column does."""
SEED = 12878
"""Of the published draw."""


class SplitOptions(NamedTuple):
    """How participants outside the lists are split."""

    rule: str = "id_hash"
    """"id_hash": by a hash of the id, the same whoever else is there. "walk_draw": one draw a file
    in the order of the directory walk, as published."""
    valid_ratio: float = 0.1
    test_ratio: float = 0.1
    seed: int = SEED


BY_HASH = SplitOptions()


def split_participants(
    ids: Sequence[str],
    lists: Mapping[str, Collection[str]],
    options: SplitOptions = BY_HASH,
    included: Collection[str] | None = None,
) -> dict[str, list[str]]:
    """Return split -> ids in their given order, for `SPLITS` and `DISCARDED`.

    Args:
        ids: the participants; their order matters to "walk_draw".
        lists: split -> participants who belong to it; a list replaces the ratio of its split. With
            a list for "train" all who are in no list and not drawn for another split are discarded.
        options: ratios and rule for those in no list.
        included: if given, all others are left out, without a draw.

    Raises:
        UserError: no participant, one in two lists, or ratios that leave none to train.
    """
    if not ids:
        raise UserError("no participant to split; name a folder with files <id>.hd5")
    _refuse_overlap(lists)
    shares = _shares(lists, options)
    listed = {i: split for split in reversed(SPLITS) for i in lists.get(split, ())}
    generator = np.random.RandomState(options.seed)
    found: dict[str, list[str]] = {split: [] for split in (*SPLITS, DISCARDED)}
    for i in ids:
        if included is not None and i not in included:
            continue
        if i in listed:
            split = listed[i]
        elif options.rule == "walk_draw":
            split = str(generator.choice(list(shares), p=list(shares.values())))
        else:
            split = _by_hash(i, shares)
        found[split].append(i)
    return found


def describe_split(lists: Mapping[str, Collection[str]], options: SplitOptions) -> str:
    """Say in words how participants are split."""
    shares = {split: share for split, share in _shares(lists, options).items() if share}
    told = ", ".join(f"{split} {100 * share:g} %" for split, share in shares.items())
    how = "hash of the participant" if options.rule == "id_hash" else f"draw of seed {options.seed}"
    return f"{'lists, else ' if lists else ''}{how} ({told})"


def _shares(lists: Mapping[str, Collection[str]], options: SplitOptions) -> dict[str, float]:
    """The chance of each split for a participant in no list, in the order of the draw."""
    valid = 0.0 if "validation" in lists else options.valid_ratio
    test = 0.0 if "test" in lists else options.test_ratio
    rest = 1 - valid - test
    if rest <= 0:
        raise UserError("validation and test ratios leave nobody to train; lower them")
    train = 0.0 if "train" in lists else rest
    return {"train": train, "validation": valid, "test": test, DISCARDED: rest - train}


def _by_hash(participant: str, shares: Mapping[str, float]) -> str:
    """Cut the unit interval at test, then validation: raising a ratio moves nobody else."""
    u = hash_fraction(participant)
    for split in ("test", "validation"):
        if u < shares[split]:
            return split
        u -= shares[split]
    return "train" if shares["train"] else DISCARDED


def _refuse_overlap(lists: Mapping[str, Collection[str]]) -> None:
    seen: dict[str, str] = {}
    for split, ids in lists.items():
        for i in ids:
            if seen.setdefault(i, split) != split:
                raise UserError(
                    f"a participant is in the lists of both {seen[i]} and {split}; remove one"
                )


def read_ids(path: Path) -> frozenset[str]:
    """Read a list of participants; raises `UserError` when it cannot be read or holds none."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{path}: not a readable list of participants ({e})") from e
    ids = parse_ids(content)
    if not ids:
        raise UserError(f"{path}: no participant in the list; give one id a line")
    return ids


def parse_ids(content: str) -> frozenset[str]:
    """Return the ids of a comma-separated list, with or without a header.

    The first line is a header when its first cell is no whole number. Ids stay texts.
    """
    rows = [[cell.strip() for cell in line.split(",")] for line in content.splitlines()]
    rows = [row for row in rows if any(row)]
    if not rows:
        return frozenset()
    column, first = 0, 0
    if not rows[0][0].lstrip("+-").isdecimal():
        first = 1
        column = next((rows[0].index(name) for name in ID_COLUMNS if name in rows[0]), 0)
    return frozenset(row[column] for row in rows[first:] if len(row) > column and row[column])
