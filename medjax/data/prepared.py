"""Prepared sets: tensorflow-datasets in ArrayRecord form (without TensorFlow) and their manifest.

A prepared folder holds `manifest.json` and, for every set, `<set>/<version>/`, which plain
`tfds.builder_from_directory(...).as_data_source()` opens. Records lie in the order of their keys,
so that neither the order in which a source yields them nor the number of workers shows.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, overload

import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from etils import epath
from google.protobuf.message import DecodeError

from medjax.data import images
from medjax.data.manifest import (
    MANIFEST,
    file_digest,
    prepare_line,
    print_manifest,
    read_manifest,
    write_manifest,
)
from medjax.data.record_digest import record_digest
from medjax.errors import UserError, nearest

__all__ = [
    "Examples",
    "PreparedSet",
    "SetSpec",
    "SetSummary",
    "digest_set",
    "file_digest",
    "open_set",
    "print_manifest",
    "read_manifest",
    "write_manifest",
    "write_set",
    "write_stream",
]

SHARD_BYTES = 1 << 29
STORED_NAME = {"all": "everything"}
"""tensorflow-datasets keeps the name `all` for the union of the splits; a single split of that
name is stored under another, so that there as here `all` gives its examples."""


class SetSpec(NamedTuple):
    """What a set is, in the terms of tensorflow-datasets."""

    name: str
    version: str
    features: Mapping[str, Any]
    """Feature name -> tfds feature or numpy dtype."""
    description: str
    citation: str
    license: str


class SetSummary(NamedTuple):
    """What the manifest tells of a written set."""

    name: str
    version: str
    sizes: dict[str, int]
    """Split -> examples; empty splits are listed with 0."""
    digest: str
    """SHA-256 over the decoded records of all splits, each split in the order of its keys."""


class Examples(Sequence[dict[str, Any]]):
    """Random access to the decoded examples of one split; can be sent to worker processes.

    Texts come as str, images as uint8 [height, width] (grey) or [height, width, channels].
    """

    def __init__(
        self, where: Path, features: tfds.features.FeaturesDict, records: Sequence[bytes]
    ) -> None:
        """Take serialised records and those of their features that are wanted."""
        self._where = where
        self._records = records
        self._features = features
        self._decoders = _skip_images(features)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        example = self.encoded(int(index))
        for name in self._decoders:
            example[name] = images.decode(example[name])
        return _with_texts(example, self._features)

    def encoded(self, index: int) -> dict[str, Any]:
        """Return one example with texts and images as the bytes that are stored.

        Raises:
            UserError: when the file is damaged; names its folder.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        try:
            record = self._records[index % len(self)]
            return dict(self._features.deserialize_example_np(record, decoders=self._decoders))
        except (RuntimeError, ValueError, OSError, KeyError, DecodeError) as e:
            raise _damaged(self._where, e) from e


def _with_texts(example: Mapping[str, Any], features: Mapping[str, Any]) -> dict[str, Any]:
    """Decode the texts of an example, those of nested features too."""
    read = dict(example)
    for name, value in example.items():
        if isinstance(features[name], tfds.features.Text):
            read[name] = value.decode("utf-8")
        elif isinstance(features[name], tfds.features.FeaturesDict):
            read[name] = _with_texts(value, features[name])
    return read


class PreparedSet(NamedTuple):
    """An open set."""

    name: str
    version: str
    splits: dict[str, Examples]
    info: tfds.core.DatasetInfo
    digest: str


def write_set(
    out: Path, spec: SetSpec, splits: Mapping[str, Iterable[tuple[str, Mapping[str, Any]]]]
) -> SetSummary:
    """Write a set under `out` and return its summary; the folder appears whole or not at all.

    `splits` gives (key, example) pairs in any order, which are consumed once and one by one; images
    are given as a binary file object or a path of JPEG or PNG bytes. Large tensors are written four
    times faster with `encoding=tfds.features.Encoding.BYTES`. The manifest of `out` is removed
    first, since it vouches for the whole folder, and is to be written last.

    Raises:
        UserError: when a key occurs twice in a split.
    """
    stream = ((split, *pair) for split in sorted(splits) for pair in splits[split])
    return write_stream(out, spec, splits, stream)


def write_stream(
    out: Path,
    spec: SetSpec,
    splits: Iterable[str],
    examples: Iterable[tuple[str, str, Mapping[str, Any]]],
) -> SetSummary:
    """Write a set as `write_set` does from one stream of (split, key, example) in any order.

    Raises:
        UserError: when a key occurs twice in a split.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    partial = out / f".{spec.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        folder = partial / spec.version
        folder.mkdir(parents=True)
        features = tfds.features.FeaturesDict(dict(spec.features))
        digest = hashlib.sha256()
        with contextlib.ExitStack() as open_files:
            spools = {
                split: _Spool(open_files.enter_context(tempfile.TemporaryFile(dir=folder)), {})
                for split in sorted(splits)
            }
            for split, key, example in examples:
                _add(spools[split], features, f"set {spec.name}, split {split}", key, example)
            written = {
                split: _write_split(folder, spec, split, spool, digest)
                for split, spool in spools.items()
            }
        sizes = {split: int(sum(written[split].shard_lengths)) for split in written}
        summary = SetSummary(spec.name, spec.version, sizes, digest.hexdigest())
        _write_info(folder, spec, features, list(written.values()), summary)
        _replace_folder(folder, out / spec.name / spec.version)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return summary


class _Spool(NamedTuple):
    """The serialised examples of a split, in the order in which they came."""

    file: BinaryIO
    places: dict[str, tuple[int, int, bytes]]
    """Key -> (offset, bytes, digest)."""


def _add(
    spool: _Spool,
    features: tfds.features.FeaturesDict,
    name: str,
    key: str,
    example: Mapping[str, Any],
) -> None:
    """Append an example to the spool of its split, which errors call `name`."""
    if key in spool.places:
        raise UserError(
            f"{name}: example {len(spool.places) + 1} repeats the key of an earlier one; remove "
            "the duplicate rows from the raw files"
        )
    record = features.serialize_example(dict(example))
    decoded = features.deserialize_example_np(record, decoders=_skip_images(features))
    spool.places[key] = (spool.file.tell(), len(record), record_digest(decoded))
    spool.file.write(record)


def _write_split(
    folder: Path, spec: SetSpec, split: str, spool: _Spool, digest: Any
) -> tfds.core.SplitInfo:
    """Write the shards of one split in key order; add its records to `digest`."""
    template = tfds.core.ShardedFileTemplate(
        dataset_name=spec.name,
        data_dir=epath.Path(folder),
        split=STORED_NAME.get(split, split),
        filetype_suffix="array_record",
    )
    digest.update(f"split {split}\n".encode())
    places = spool.places
    order = sorted(places)
    shards = _shards([places[key][1] for key in order])
    lengths = []
    for number, shard in enumerate(shards):
        path = template.sharded_filepath(shard_index=number, num_shards=len(shards))
        writer = ArrayRecordWriter(os.fspath(path), "group_size:1")
        for key in order[shard]:
            offset, size, record_digest = places[key]
            spool.file.seek(offset)
            writer.write(spool.file.read(size))
            digest.update(record_digest)
        writer.close()
        lengths.append(shard.stop - shard.start)
    return tfds.core.SplitInfo(
        name=STORED_NAME.get(split, split),
        shard_lengths=lengths,
        num_bytes=sum(size for _, size, _ in places.values()),
        filename_template=template,
    )


def _shards(sizes: Sequence[int]) -> list[slice]:
    """Cut consecutive records into shards of about SHARD_BYTES; none for no records."""
    if not sizes:
        return []
    starts, held = [0], 0
    for i, size in enumerate(sizes):
        if held and held + size > SHARD_BYTES:
            starts.append(i)
            held = 0
        held += size
    return [slice(a, b) for a, b in zip(starts, starts[1:] + [len(sizes)])]


def _skip_images(features: tfds.features.FeaturesDict) -> dict[str, Any]:
    """Decoders that leave images as their bytes, since pixels depend on the decoding library."""
    return {
        name: tfds.decode.SkipDecoding()
        for name, feature in features.items()
        if isinstance(feature, tfds.features.Image)
    }


def digest_set(prepared: PreparedSet) -> str:
    """Read a whole set back and return its digest; equal to `prepared.digest` when undamaged."""
    sha = hashlib.sha256()
    for split, examples in sorted(prepared.splits.items()):
        sha.update(f"split {split}\n".encode())
        for i in range(len(examples)):
            sha.update(record_digest(examples.encoded(i)))
    return sha.hexdigest()


def _write_info(
    folder: Path,
    spec: SetSpec,
    features: tfds.features.FeaturesDict,
    written: Sequence[tfds.core.SplitInfo],
    summary: SetSummary,
) -> None:
    """Write the files by which tensorflow-datasets knows the set.

    A split without examples has no file, which tensorflow-datasets cannot open: it is named in the
    metadata alone.
    """
    identity = tfds.core.DatasetIdentity(
        name=spec.name,
        version=tfds.core.Version(spec.version),
        data_dir=os.fspath(folder),
        module_name=__name__,
    )
    info = tfds.core.DatasetInfo(
        builder=identity,
        features=features,
        description=spec.description,
        citation=spec.citation,
        license=spec.license,
        metadata=tfds.core.MetadataDict(sizes=summary.sizes, digest=summary.digest),
    )
    info.set_file_format("array_record")
    info.set_splits(tfds.core.SplitDict([split for split in written if split.shard_lengths]))
    info.write_to_directory(folder)


def _replace_folder(new: Path, final: Path) -> None:
    """Rename `new` to `final`, putting an older folder of that name out of the way first."""
    final.parent.mkdir(parents=True, exist_ok=True)
    old = new.parent / "replaced"
    if final.exists():
        os.replace(final, old)
    os.replace(new, final)


def open_set(root: Path, name: str, fields: Sequence[str] | None = None) -> PreparedSet:
    """Open the newest version of the set `name` under `root`.

    `fields` names the features to read, None for all; the others cost nothing.

    Raises:
        UserError: when it is not there, or not readable; names the sets that are.
    """
    versions = sorted((root / name).glob("*.*.*/dataset_info.json"), key=_version_of)
    if not versions:
        sets = sorted({p.parent.parent.name for p in root.glob("*/*.*.*/dataset_info.json")})
        there = f"it holds {', '.join(sets)}{nearest(name, sets)}" if sets else "it holds no set"
        raise UserError(
            f"{root}: no prepared set {name!r} ({there}); make it in a new folder by "
            f"`{prepare_line(root.with_name('FOLDER'))}` with the option that adds it (--help)"
        )
    folder = versions[-1].parent
    try:
        builder = tfds.builder_from_directory(folder)
        info = builder.info
        sizes: dict[str, int] = dict(info.metadata["sizes"])
        sources = {
            split: builder.as_data_source(
                split=STORED_NAME.get(split, split),
                deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
            )
            for split, size in sizes.items()
            if size
        }
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as e:
        raise _damaged(folder, e) from e
    for wanted in fields or ():
        if wanted not in info.features:
            known = ", ".join(info.features)
            raise UserError(
                f"{folder}: no {wanted!r}{nearest(wanted, info.features)} (it holds {known})"
            )
    features = tfds.features.FeaturesDict({k: info.features[k] for k in fields or info.features})
    splits = {split: Examples(folder, features, sources.get(split, [])) for split in sizes}
    for split, examples in splits.items():
        if len(examples) != sizes[split]:
            raise UserError(
                f"{folder}: split {split} has {len(examples)} examples where {sizes[split]} were "
                "written; prepare it again"
            )
    return PreparedSet(name, str(info.version), splits, info, info.metadata["digest"])


def _damaged(folder: Path, error: Exception) -> UserError:
    """What to say of a set that cannot be read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UserError(f"{folder}: damaged prepared set ({reason}); prepare it again")


def _version_of(info: Path) -> tuple[int, ...]:
    """Sort key of `<set>/<major.minor.patch>/dataset_info.json`."""
    return tuple(int(part) if part.isdigit() else -1 for part in info.parent.name.split("."))
