"""Splits of the cohort: what a list does to the ratios, and what a hash keeps."""

import numpy as np
import pytest

from medjax.data.ml4h_cohort.published_order import published_batches
from medjax.data.ml4h_cohort.split import (
    DISCARDED,
    SPLITS,
    SplitOptions,
    describe_split,
    parse_ids,
    read_ids,
    split_participants,
)
from medjax.errors import UserError

IDS = [str(1_000_000 + 7 * i) for i in range(2000)]
DRAW = SplitOptions("walk_draw")


@pytest.mark.parametrize("options", [SplitOptions(), DRAW])
def test_everyone_is_in_one_split_of_about_the_asked_size(options):
    found = split_participants(IDS, {}, options)
    assert sorted(i for ids in found.values() for i in ids) == IDS
    shares = {split: len(found[split]) / len(IDS) for split in (*SPLITS, DISCARDED)}
    np.testing.assert_allclose(list(shares.values()), [0.8, 0.1, 0.1, 0], atol=0.02)


def test_a_hash_does_not_look_at_the_others():
    whole = split_participants(IDS, {})
    some = split_participants(IDS[::-3], {})
    for split in SPLITS:
        assert set(some[split]) == set(whole[split]) & set(IDS[::-3])
    more = split_participants(IDS, {}, SplitOptions(valid_ratio=0.3))
    assert set(more["test"]) == set(whole["test"])
    assert set(more["validation"]) > set(whole["validation"])
    assert split_participants(IDS[::-1], {}, DRAW)["test"] != split_participants(IDS, {}, DRAW)


@pytest.mark.parametrize("options", [SplitOptions(), DRAW])
def test_lists_win_and_replace_their_ratio(options):
    lists = {"train": IDS[:50], "test": IDS[50:90]}
    found = split_participants(IDS, lists, options, included=IDS[40:1000])
    assert found["train"] == IDS[40:50] and found["test"] == IDS[50:90]
    assert abs(len(found["validation"]) / 910 - 0.1) < 0.03
    assert set(found["validation"]) | set(found[DISCARDED]) == set(IDS[90:1000])
    assert describe_split(lists, options).startswith("lists, else ")
    with pytest.raises(UserError, match="both train and test"):
        split_participants(IDS, {"train": IDS[:2], "test": IDS[1:3]}, options)


def test_impossible_splits():
    with pytest.raises(UserError, match="no participant"):
        split_participants([], {})
    with pytest.raises(UserError, match="nobody to train"):
        split_participants(IDS, {}, SplitOptions(valid_ratio=0.5, test_ratio=0.5))


def test_lists_with_and_without_header(tmp_path):
    assert parse_ids("0012\n13\n\n") == {"0012", "13"}
    assert parse_ids("name,mrn\nx,12\ny,13\n") == {"12", "13"}
    assert parse_ids("sample_id,other\n12,1\n") == {"12"}
    assert parse_ids("\n") == frozenset()
    path = tmp_path / "ids.csv"
    path.write_text("sample_id\n")
    with pytest.raises(UserError, match="no participant"):
        read_ids(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a readable list"):
        read_ids(path)


def test_published_order_gives_each_file_once_a_pass():
    readable = np.arange(7) != 3
    batches = published_batches(readable, 4, 0)
    passes = np.concatenate([next(batches) for _ in range(3)]).reshape(2, 6)
    assert (np.sort(passes, axis=1) == np.flatnonzero(readable)).all()
    assert (passes[0] != passes[1]).any()
    with pytest.raises(ValueError, match="no readable"):
        next(published_batches([False], 1, 0))
