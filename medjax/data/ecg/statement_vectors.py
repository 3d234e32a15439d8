"""Files of statement vectors: the table that medjax carries, and tables of one's own."""

import io
import zipfile
import zlib
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medjax.data.ecg.statements import Statement, StatementVectors
from medjax.errors import UserError
from medjax.files import write_atomic
from medjax.text.encoder import Reading, TextEncoder, embed_texts

SHIPPED = "data/ecg/resources/statement_vectors.npz"
LARGEST_FILE = 1 << 28


class StatementTable(NamedTuple):
    """Statement vectors, and how they were made."""

    statements: StatementVectors
    model: str
    """Which text model, in words."""
    weights: str
    """SHA-256 of its file of weights."""
    text_pooling: str
    text_end_token: str


def embed_statements(
    encoder: TextEncoder, statements: dict[str, Statement], reading: Reading, end_token: str
) -> StatementVectors:
    """Return the vectors of statements by a text model."""
    texts = [statement.text(end_token) for statement in statements.values()]
    return StatementVectors(tuple(statements), embed_texts(encoder, texts, reading))


def write_statement_table(path: Path, table: StatementTable) -> None:
    """Write a table as .npz.

    Raises:
        UserError: the name ends otherwise.
    """
    if path.suffix != ".npz":
        raise UserError(f"{path}: name a file that ends in .npz")
    arrays: dict[str, Any] = {**table._asdict(), **table.statements._asdict()}
    del arrays["statements"]
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_atomic(path, lambda p: p.write_bytes(content.getvalue()))


def read_statement_table(path: Path | None = None) -> StatementTable:
    """Read a table; None: the one that medjax carries, of the 71 statements of PTB-XL.

    Raises:
        UserError: the file is missing, damaged or no such table.
    """
    if path is None:
        with as_file(files("medjax").joinpath(SHIPPED)) as inner:
            return read_statement_table(inner)
    names = [name for name in StatementTable._fields if name != "statements"]
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError("too large")
        with np.load(path, allow_pickle=False) as file:
            codes, vectors = file["codes"], file["vectors"]
            notes = {name: str(file[name].item()) for name in names}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as e:
        raise UserError(f"{path}: no readable table of statement vectors ({str(e)[:80]})") from e
    if codes.dtype.kind != "U" or vectors.ndim != 2 or codes.shape != vectors.shape[:1]:
        raise UserError(f"{path}: its codes and vectors do not belong together")
    if vectors.dtype.kind != "f" or not np.isfinite(vectors).all():
        raise UserError(f"{path}: its vectors are no finite numbers; make it anew")
    held = StatementVectors(tuple(codes.tolist()), vectors.astype(np.float32))
    return StatementTable(held, **notes)
