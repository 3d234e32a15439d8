"""Prepared sets: what is written is read back, whole or not at all, independent of order."""

import io
import itertools
import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from medjax.data import prepared
from medjax.data.prepared import SetSpec, digest_set, open_set, write_manifest, write_set
from medjax.errors import UserError

SPEC = SetSpec(
    "films",
    "1.2.0",
    {
        "id": tfds.features.Scalar(np.int64),
        "note": tfds.features.Text(),
        "series": tfds.features.Tensor(
            shape=(None, 3), dtype=np.float32, encoding=tfds.features.Encoding.BYTES
        ),
        "image": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
    },
    "made for tests",
    "none",
    "Apache-2.0",
)


def example(i: int) -> dict:
    image = io.BytesIO()
    Image.fromarray(np.full((4 + i, 5), i, np.uint8)).save(image, "PNG")
    image.seek(0)
    series = np.arange(3 * i, dtype=np.float32).reshape(i, 3)
    return {"id": 2**40 + i, "note": f"é{i}", "series": series, "image": image}


def pairs(numbers):
    return [(f"{i:03d}", example(i)) for i in numbers]


def test_round_trip(tmp_path):
    summary = write_set(tmp_path, SPEC, {"train": pairs(range(5)), "test": pairs([7])})
    opened = open_set(tmp_path, "films")
    assert summary.sizes == {"train": 5, "test": 1}
    assert {name: len(split) for name, split in opened.splits.items()} == summary.sizes
    for i, read in enumerate(opened.splits["train"]):
        assert read["id"] == 2**40 + i and read["note"] == f"é{i}"
        np.testing.assert_array_equal(read["series"], example(i)["series"])
        np.testing.assert_array_equal(read["image"], np.full((4 + i, 5), i))
    assert opened.digest == summary.digest == digest_set(opened)


def test_opens_with_plain_tensorflow_datasets(tmp_path):
    write_set(tmp_path, SPEC, {"train": pairs(range(3)), "test": []})
    source = tfds.builder_from_directory(tmp_path / "films" / "1.2.0").as_data_source()
    assert sorted(int(record["id"]) - 2**40 for record in source["train"]) == [0, 1, 2]


def test_order_of_examples_changes_nothing(tmp_path):
    orders = list(itertools.permutations(range(4)))[::7]
    digests, ids = set(), set()
    for number, order in enumerate(orders):
        out = tmp_path / str(number)
        digests.add(write_set(out, SPEC, {"train": pairs(order)}).digest)
        ids.add(tuple(record["id"] for record in open_set(out, "films").splits["train"]))
    assert len(digests) == len(ids) == 1


@pytest.mark.parametrize("field", ["id", "note", "series", "image"])
def test_digest_sees_every_field(tmp_path, field):
    changed = dict(example(2), **{field: example(3)[field]})
    same = write_set(tmp_path / "a", SPEC, {"train": pairs([1, 2])}).digest
    other = write_set(tmp_path / "b", SPEC, {"train": [*pairs([1]), ("002", changed)]}).digest
    assert same != other


def test_digest_sees_the_split(tmp_path):
    first = write_set(tmp_path / "a", SPEC, {"train": pairs([1]), "test": pairs([2])}).digest
    second = write_set(tmp_path / "b", SPEC, {"train": pairs([2]), "test": pairs([1])}).digest
    assert first != second


def test_empty_splits_have_length_zero(tmp_path):
    write_set(tmp_path, SPEC, {"train": pairs([1]), "validation": [], "test": []})
    splits = open_set(tmp_path, "films").splits
    assert [len(splits[name]) for name in ("train", "validation", "test")] == [1, 0, 0]
    with pytest.raises(IndexError):
        splits["test"][0]


def test_one_split_named_all(tmp_path):
    write_set(tmp_path, SPEC, {"all": pairs(range(3))})
    assert len(open_set(tmp_path, "films").splits["all"]) == 3
    source = tfds.builder_from_directory(tmp_path / "films" / "1.2.0").as_data_source(split="all")
    assert len(source) == 3


def test_many_shards_read_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "SHARD_BYTES", 400)
    write_set(tmp_path, SPEC, {"train": pairs(range(9))})
    assert len(list((tmp_path / "films" / "1.2.0").glob("films-train*"))) > 1
    records = open_set(tmp_path, "films").splits["train"]
    assert [record["id"] - 2**40 for record in records] == list(range(9))


def test_repeated_key_is_refused_and_nothing_stays(tmp_path):
    with pytest.raises(UserError, match="repeats the key"):
        write_set(tmp_path, SPEC, {"train": pairs([1, 2, 1])})
    assert list(tmp_path.iterdir()) == []


def test_failure_leaves_the_older_set(tmp_path):
    def failing():
        yield from pairs([5])
        raise RuntimeError("source broke")

    digest = write_set(tmp_path, SPEC, {"train": pairs([1])}).digest
    with pytest.raises(RuntimeError):
        write_set(tmp_path, SPEC, {"train": failing()})
    assert digest_set(open_set(tmp_path, "films")) == digest
    assert [path.name for path in tmp_path.iterdir()] == ["films"]


def test_writing_replaces_the_set_and_withdraws_the_manifest(tmp_path):
    write_set(tmp_path, SPEC, {"train": pairs([1])})
    write_manifest(tmp_path, {"sets": {"films": {"version": "1.2.0"}}})
    assert prepared.read_manifest(tmp_path)
    write_set(tmp_path, SPEC, {"train": pairs([1, 2])})
    assert len(open_set(tmp_path, "films").splits["train"]) == 2
    with pytest.raises(UserError, match=r"medjax\.prepare"):
        prepared.read_manifest(tmp_path)


def test_manifest_removes_sets_that_it_does_not_list(tmp_path):
    write_set(tmp_path, SPEC, {"train": pairs([1])})
    write_set(tmp_path, SPEC._replace(name="stale"), {"train": pairs([1])})
    write_manifest(tmp_path, {"sets": {"films": {"version": "1.2.0"}}})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["films", "manifest.json"]


def test_unknown_set_names_the_nearest(tmp_path):
    write_set(tmp_path, SPEC, {"train": pairs([1])})
    with pytest.raises(UserError, match="did you mean 'films'"):
        open_set(tmp_path, "film")


@pytest.mark.parametrize("damage", ["delete", "truncate"])
def test_damaged_shard_is_named(tmp_path, damage):
    write_set(tmp_path, SPEC, {"train": pairs(range(20))})
    (shard,) = (tmp_path / "films" / "1.2.0").glob("films-train*")
    if damage == "delete":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:40])
    with pytest.raises(UserError, match="prepare it again"):
        digest_set(open_set(tmp_path, "films"))


def test_flipped_bytes_are_never_read_silently(tmp_path):
    digest = write_set(tmp_path, SPEC, {"train": pairs(range(20))}).digest
    (shard,) = (tmp_path / "films" / "1.2.0").glob("films-train*")
    content = shard.read_bytes()
    used = np.flatnonzero(np.frombuffer(content, np.uint8))
    noticed = 0
    for offset in used[:: len(used) // 40]:
        flipped = bytearray(content)
        flipped[offset] ^= 0x10
        shard.write_bytes(flipped)
        try:
            assert digest_set(open_set(tmp_path, "films")) == digest
        except UserError:
            noticed += 1
    assert noticed > 20


def test_leftovers_of_a_killed_preparation_do_not_mix_in(tmp_path):
    leftover = tmp_path / ".films.partial" / "1.2.0"
    leftover.mkdir(parents=True)
    (leftover / "films-train.array_record-00000-of-00001").write_bytes(b"half")
    write_set(tmp_path, SPEC, {"train": pairs([1])})
    assert [path.name for path in tmp_path.iterdir()] == ["films"]
    assert len(open_set(tmp_path, "films").splits["train"]) == 1


def test_examples_can_be_sent_to_workers(tmp_path):
    write_set(tmp_path, SPEC, {"train": pairs(range(3)), "test": []})
    for examples in open_set(tmp_path, "films").splits.values():
        sent = pickle.loads(pickle.dumps(examples))  # noqa: S301 (our own bytes)
        assert [record["note"] for record in sent] == [record["note"] for record in examples]
