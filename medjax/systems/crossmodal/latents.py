"""Latent vectors by participant, and the files that they are handed on in.

The table of a modality is `hidden_<tensor map>_<run>.tsv`: tab separated, lines ended by CR LF, a
row a participant in the order of the ids. Its styles differ in the id columns alone: "standard"
has `sample_id`, "genetics" the family and individual ids `FID` and `IID` of genetics tools, both
the participant's id. Beside it stands the same as parquet.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from medjax.errors import UsageError, UserError
from medjax.files import write_atomic
from medjax.systems.crossmodal.choices import ID_COLUMNS
from medjax.systems.crossmodal.published import TENSOR_MAPS

LATENT = "latent_"
ENDING = ".hd5"
"""Of the files of participants, whose names order the rows."""
BLOCK = 1024
"""Rows that are turned into text at once."""


class Latents(NamedTuple):
    """Latent vectors of n participants."""

    sample_id: NDArray
    """Text [n]."""
    vectors: Mapping[str, NDArray]
    """{modality: float32 [n, width]}; rows of who lacks the modality mean nothing."""
    has: Mapping[str, NDArray]
    """{modality: bool [n]}"""

    def of(self, modality: str) -> tuple[NDArray, NDArray]:
        """Return ids and vectors of those who have a modality."""
        has = self.has[modality]
        return self.sample_id[has], self.vectors[modality][has]


def latents_of(sample_id: NDArray, outputs: Mapping[str, NDArray]) -> Latents:
    """Return what predictions tell: "latent/<modality>" [n, width], "has_<modality>" [n]."""
    prefix = "latent/"
    vectors = {n.removeprefix(prefix): z for n, z in outputs.items() if n.startswith(prefix)}
    everyone = np.ones(len(sample_id), bool)
    has = {name: np.asarray(outputs.get(f"has_{name}", everyone), bool) for name in vectors}
    return Latents(np.asarray(sample_id, str), vectors, has)


def joined(parts: Sequence[Latents]) -> Latents:
    """Return the latents of the same modalities of several groups of participants."""
    names = parts[0].vectors if parts else ()
    return Latents(
        np.concatenate([part.sample_id for part in parts] or [np.zeros(0, str)]),
        {m: np.concatenate([part.vectors[m] for part in parts]) for m in names},
        {m: np.concatenate([part.has[m] for part in parts]) for m in names},
    )


def file_name(modality: str, run: str, ending: str = ".tsv") -> str:
    """Return the published name of a modality's table."""
    return f"hidden_{TENSOR_MAPS[modality]}_{run}{ending}"


def write_latents(
    folder: Path, latents: Latents, run: str, style: str = "standard"
) -> dict[str, int]:
    """Write a table and a parquet file a modality; return how many rows each has.

    Raises:
        UsageError: the style is unknown.
    """
    rows = {}
    for modality in latents.vectors:
        ids, vectors = latents.of(modality)
        write_tsv(folder / file_name(modality, run), ids, vectors, style)
        write_parquet(folder / file_name(modality, run, ".parquet"), ids, vectors)
        rows[modality] = len(ids)
    return rows


def _order(sample_id: NDArray) -> NDArray[np.intp]:
    """The order of the files' names, which ids that hold signs may differ from."""
    return np.argsort(np.char.add(np.asarray(sample_id, str), ENDING), kind="stable")


def write_tsv(path: Path, sample_id: NDArray, vectors: NDArray, style: str = "standard") -> None:
    """Write vectors [n, width] as the table of `latent_lines`, atomically."""
    lines = latent_lines(sample_id, vectors, style)

    def write(temporary: Path) -> None:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            file.writelines(lines)

    write_atomic(path, write)


def latent_lines(sample_id: NDArray, vectors: NDArray, style: str = "standard") -> Iterator[str]:
    """Yield the table's header and its rows, some at a time.

    Numbers are the shortest text that reads back as the same float32.

    Raises:
        UsageError: the style is unknown.
    """
    if style not in ID_COLUMNS:
        raise UsageError(f"latents are written in the style {', '.join(ID_COLUMNS)}, not {style!r}")
    columns = ID_COLUMNS[style]
    vectors = np.asarray(vectors, np.float32)
    order = _order(sample_id)
    yield _csv([[*columns, *(f"{LATENT}{i}" for i in range(vectors.shape[1]))]])
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        texts = vectors[rows].astype(str)
        yield _csv([[i] * len(columns) + row for i, row in zip(sample_id[rows], texts.tolist())])


def _csv(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def write_parquet(path: Path, sample_id: NDArray, vectors: NDArray) -> None:
    """Write columns sample_id, latent_0, ..., in the order of the table, atomically."""
    order = _order(sample_id)
    columns = {"sample_id": pa.array(sample_id[order].tolist(), pa.string())}
    vectors = np.asarray(vectors, np.float32)[order]
    columns |= {f"{LATENT}{i}": pa.array(column) for i, column in enumerate(vectors.T)}
    write_atomic(path, lambda temporary: pq.write_table(pa.table(columns), temporary))


def read_latents(path: Path) -> tuple[NDArray, NDArray]:
    """Return ids, text [n], and vectors, float32 [n, width], of a table of either style or parquet.

    Raises:
        UserError: the file is no such table.
    """
    try:
        if path.suffix == ".parquet":
            table = pq.read_table(path, partitioning=None)
            known = [name for name in table.column_names if name.startswith(LATENT)]
            ids = table["sample_id"].to_pylist()
            vectors = np.stack([table[name].to_numpy() for name in known], axis=1)
        else:
            with open(path, encoding="utf-8", newline="") as file:
                heads, *rows = csv.reader(file, delimiter="\t")
            first = heads.index(f"{LATENT}0", 1)
            cells = np.array(rows, str).reshape(len(rows), len(heads))
            ids, vectors = cells[:, first - 1], cells[:, first:]
        return np.array(ids, str), np.asarray(vectors, np.float32)
    except (OSError, ValueError, KeyError, csv.Error, pa.ArrowException) as error:
        raise UserError(
            f"{path}: no table of latent vectors ({str(error).splitlines()[0]}); write it again"
        ) from error
