"""Latent vectors straight from a folder of HD5 files, by trained or converted encoders.

Nothing is prepared and nothing is trained: files are read in the order of their names, encoded in
batches, and those that cannot be used are counted by their reason.
"""

import collections
import contextlib
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from medjax.data.ml4h_cohort.person import Part, Person, read_person, sample_id_of
from medjax.data.ml4h_cohort.split import read_ids
from medjax.data.ml4h_cohort.tensormaps import EcgOptions, MriOptions
from medjax.data.workers import ordered_map
from medjax.errors import UserError
from medjax.systems.crossmodal.blocks import Encoder
from medjax.systems.crossmodal.latents import ENDING, Latents
from medjax.systems.crossmodal.model import CrossModal


class LatentEncoder(NamedTuple):
    """An encoder with its weights."""

    encode: Callable[[NDArray], Any]
    """[batch, *shape] -> [batch, width]"""
    shape: tuple[int, ...]
    """Of one signal."""
    width: int
    """Of a latent vector."""


class Inferred(NamedTuple):
    """What a folder gave."""

    latents: Latents
    """Of every file that was read, in the order of their names."""
    skipped: Mapping[str, Mapping[str, int]]
    """{modality: {reason: files}}"""


def encoders_of(
    model: CrossModal,
    variables: Mapping[str, Any],
    wanted: Sequence[str] = (),
    missing: str = "error",
) -> dict[str, LatentEncoder]:
    """Return the encoders of modalities, with the weights that variables hold.

    Args:
        model: of the weights.
        variables: with "params" and any running statistics; only the encoders' parts are read.
        wanted: modalities, all of the model by default.
        missing: what to do without the weights of an encoder: "error", or "skip" as published.

    Raises:
        UserError: an encoder has no weights.
    """
    architectures = dict(model.modalities)
    found = {}
    for name in wanted or architectures:
        part = f"encoder_{name}"
        if name not in architectures or part not in variables["params"]:
            if missing == "skip":
                continue
            raise UserError(
                f"the weights hold no encoder of {name}: give weights that do, or ask for the "
                "latents of another modality"
            )
        options = architectures[name]
        own = {kind: tree[part] for kind, tree in variables.items() if part in tree}
        apply = partial(Encoder(options, model.dtype).apply, train=False)
        encode = jax.jit(lambda own, x, apply=apply: apply(own, x)[-1])
        found[name] = LatentEncoder(partial(encode, own), options.shape, options.latent)
    return found


def read_sample_csv(path: Path, header: str = "detect") -> frozenset[str]:
    """Return the ids of a list.

    Args:
        path: comma-separated; ids in a column named so, or else in the first.
        header: "detect", or "drop_first_line" as published: the first line never counts, and ids
            stand in the first column.

    Raises:
        UserError: the list cannot be read or names nobody.
    """
    ids = read_ids(path)
    if header == "detect":
        return ids
    lines = path.read_text(encoding="utf-8-sig").splitlines()[1:]
    return frozenset(line.split(",")[0].strip() for line in lines if line.strip())


def infer_latents(
    root: Path,
    encoders: Mapping[str, LatentEncoder],
    ecg: EcgOptions,
    mri: MriOptions,
    *,
    batch_size: int = 64,
    wanted: Collection[str] | None = None,
    workers: int = 1,
) -> Inferred:
    """Encode the files `<sample_id>.hd5` of a folder; those in folders below it are left alone.

    Args:
        root: the folder.
        encoders: by modality; a file that one of them cannot use still serves the other.
        ecg, mri: how tensors are read, as the encoders' weights were trained.
        batch_size: rows encoded at once; it changes no number.
        wanted: ids to take, all by default.
        workers: processes that read.

    Raises:
        UserError: no file, or tensors of other shapes than an encoder reads.
    """
    shapes = {"ecg": (ecg.samples, 12), "mri": (mri.height, mri.width, mri.frames)}
    for modality, encoder in encoders.items():
        if shapes[modality] != encoder.shape:
            raise UserError(
                f"the encoder of {modality} reads {encoder.shape}, and files are to be read as "
                f"{shapes[modality]}: set the sizes to those of the weights"
            )
    names = _files(root, wanted)
    read = partial(read_person, root=root, ecg=ecg, mri=mri, modalities=tuple(encoders))
    skipped = {modality: collections.Counter[str]() for modality in encoders}
    parts: dict[str, list[NDArray]] = {modality: [] for modality in encoders}
    has: dict[str, list[bool]] = {modality: [] for modality in encoders}
    with contextlib.closing(ordered_map(read, names, workers)) as persons:
        shown = tqdm(persons, total=len(names), unit=" participants", disable=None)
        for chunk in _chunks(shown, batch_size):
            for modality, encoder in encoders.items():
                read_parts: list[Part] = [getattr(person, modality) for person in chunk]
                parts[modality].append(_encode(encoder, read_parts, batch_size))
                has[modality] += [part.tensor is not None for part in read_parts]
                skipped[modality].update(p.reason for p in read_parts if p.tensor is None)
    latents = Latents(
        np.array([sample_id_of(name) for name in names], str),
        {modality: np.concatenate(rows) for modality, rows in parts.items()},
        {modality: np.array(rows, bool) for modality, rows in has.items()},
    )
    return Inferred(latents, {m: dict(sorted(counts.items())) for m, counts in skipped.items()})


def _files(root: Path, wanted: Collection[str] | None) -> list[str]:
    """The names of the files to read, sorted."""
    try:
        found = [path.name for path in root.iterdir() if path.is_file()]
    except OSError as error:
        raise UserError(f"{root}: not a readable folder ({error.strerror})") from error
    names = sorted(name for name in found if name.lower().endswith(ENDING))
    if not names:
        raise UserError(f"{root}: no file <id>{ENDING}; name the folder that holds them")
    names = [name for name in names if wanted is None or sample_id_of(name) in wanted]
    if not names:
        raise UserError(f"{root}: no file of a participant in the list; give another list")
    return names


def _chunks(persons: Iterable[Person], size: int) -> Iterator[list[Person]]:
    remaining = iter(persons)
    while chunk := list(itertools.islice(remaining, size)):
        yield chunk


def _encode(encoder: LatentEncoder, parts: Sequence[Part], rows: int) -> NDArray[np.float32]:
    """Encode those of parts that have a tensor, in a batch of a fixed number of rows.

    Returns: [parts, width], zeros for the others.
    """
    there = [i for i, part in enumerate(parts) if part.tensor is not None]
    tensors = [part.tensor for part in parts if part.tensor is not None]
    latents = np.zeros((len(parts), encoder.width), np.float32)
    if there:
        batch = np.zeros((rows, *encoder.shape), np.float32)
        batch[: len(there)] = np.stack(tensors)
        latents[there] = np.asarray(encoder.encode(batch))[: len(there)]
    return latents
