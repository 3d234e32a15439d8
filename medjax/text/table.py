"""Texts as vectors without a network: a table of texts, and a map that folds new texts in.

The vectors are those of latent semantic analysis (Deerwester and others, 1990): counts of words,
weighed by how rare a word is, centred and projected on the main directions of a corpus. A table
says itself how it was made; nothing made with it is a language model's.
"""

import hashlib
import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medjax.errors import UserError
from medjax.files import write_atomic

WORD = re.compile(r"[a-z]+")
LARGEST_FILE = 1 << 28
METHOD = "TF-IDF and SVD"


class FoldIn(NamedTuple):
    """How a text that is not in the table becomes a vector."""

    words: tuple[str, ...]
    rarity: np.ndarray
    """float64 [word], the logarithm of how few texts hold it."""
    mean: np.ndarray
    """float64 [word], over the corpus."""
    directions: np.ndarray
    """float64 [word, dim]"""


class TextTable(NamedTuple):
    """Vectors of texts."""

    texts: tuple[str, ...]
    vectors: np.ndarray
    """float32 [text, dim]"""
    method: str
    fold_in: FoldIn | None = None
    """None: only the texts of the table are known."""

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self.vectors.shape[1]

    @property
    def digest(self) -> str:
        """SHA-256 of texts, vectors and method."""
        state = hashlib.sha256(self.method.encode())
        for text in self.texts:
            state.update(text.encode() + b"\0")
        state.update(np.ascontiguousarray(self.vectors, "<f4").tobytes())
        return state.hexdigest()


def words_of(text: str) -> list[str]:
    """Return the words of a text in small letters, numbers and marks left out."""
    return WORD.findall(text.lower())


def fit_table(texts: Sequence[str], corpus: Sequence[str], dim: int = 64) -> TextTable:
    """Return the vectors of `texts`, by directions that are fitted on them and on a corpus.

    Rows have the norm sqrt(dim), so that a number in them is about 1. Where there are fewer
    directions than `dim`, the last numbers are 0. The sign of a direction makes its largest entry
    positive, so that the same texts give the same table.

    Raises:
        UserError: a text has no word.
    """
    fitted = list(dict.fromkeys([*texts, *corpus]))
    vocabulary = sorted({word for text in fitted for word in words_of(text)})
    counts = log_counts(fitted, vocabulary)
    rarity = np.log((1 + len(fitted)) / (1 + (counts > 0).sum(0))) + 1
    weighed = counts * rarity
    mean = weighed.mean(0)
    _, _, rows = np.linalg.svd(weighed - mean, full_matrices=False)
    kept = rows[:dim]
    largest = np.take_along_axis(kept, np.abs(kept).argmax(1)[:, None], 1)
    directions = np.zeros((len(vocabulary), dim))
    directions[:, : len(kept)] = (kept * np.sign(largest)).T
    fold_in = FoldIn(tuple(vocabulary), rarity, mean, directions)
    known = tuple(dict.fromkeys(texts))
    return TextTable(known, fold(known, fold_in), METHOD, fold_in)


def log_counts(texts: Sequence[str], vocabulary: Sequence[str]) -> np.ndarray:
    """Return log(1 + how often a word stands in a text), float64 [text, word]."""
    place = {word: index for index, word in enumerate(vocabulary)}
    counts = np.zeros((len(texts), len(vocabulary)))
    for row, text in enumerate(texts):
        for word, count in Counter(words_of(text)).items():
            if word in place:
                counts[row, place[word]] = count
    return np.log1p(counts)


def fold(texts: Sequence[str], fold_in: FoldIn) -> np.ndarray:
    """Return float32 [text, dim]; words that the corpus did not have are passed over.

    Raises:
        UserError: a text has no known word.
    """
    counts = log_counts(texts, fold_in.words)
    for text, row in zip(texts, counts, strict=True):
        if not row.any():
            raise UserError(
                f"the text {text[:60]!r} has no word that the table of vectors knows; word it "
                "otherwise, or use a text encoder (text.encoder=bert)"
            )
    projected = (counts * fold_in.rarity - fold_in.mean) @ fold_in.directions
    norms = np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-12)
    return (projected / norms * np.sqrt(fold_in.directions.shape[1])).astype(np.float32)


def look_up(table: TextTable, texts: Sequence[str]) -> np.ndarray:
    """Return float32 [text, dim] of texts that the table holds, or can fold in.

    Raises:
        UserError: a text is not there and nothing folds it in, or it has no known word.
    """
    place = {text: index for index, text in enumerate(table.texts)}
    vectors = np.zeros((len(texts), table.dim), np.float32)
    missing = [index for index, text in enumerate(texts) if text not in place]
    if missing and table.fold_in is None:
        raise UserError(
            f"the table of vectors does not hold the text {texts[missing[0]][:60]!r}"
            + (f" nor {len(missing) - 1} others" if len(missing) > 1 else "")
        )
    if missing and table.fold_in is not None:
        vectors[missing] = fold([texts[index] for index in missing], table.fold_in)
    known = [index for index, text in enumerate(texts) if text in place]
    vectors[known] = table.vectors[[place[texts[index]] for index in known]]
    return vectors


def pack_table(table: TextTable) -> bytes:
    """Return a table as the bytes of an .npz."""
    arrays: dict[str, np.ndarray] = {
        "texts": np.array(table.texts, np.str_),
        "vectors": table.vectors.astype(np.float32),
        "method": np.array(table.method),
    }
    if table.fold_in is not None:
        arrays["words"] = np.array(table.fold_in.words, np.str_)
        arrays |= {n: getattr(table.fold_in, n) for n in ("rarity", "mean", "directions")}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def write_table(path: Path, table: TextTable) -> None:
    """Write a table as .npz."""
    content = pack_table(table)
    write_atomic(path, lambda p: p.write_bytes(content))


def read_table(path: Path) -> TextTable:
    """Read a table.

    Raises:
        UserError: the file is missing, damaged or no such table.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError("too large")
        return unpack_table(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no readable table of vectors ({str(error)[:80]})") from error


def unpack_table(content: bytes) -> TextTable:
    """Return the table of the bytes of an .npz.

    Raises:
        ValueError: they are none.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        texts, vectors = arrays["texts"], arrays["vectors"]
        method = str(arrays["method"].item())
    except (KeyError, EOFError, AttributeError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error) or "damaged") from error
    if texts.dtype.kind != "U" or vectors.ndim != 2 or texts.shape != vectors.shape[:1]:
        raise ValueError("its texts and vectors do not belong together")
    if vectors.dtype != np.float32 or not np.isfinite(vectors).all():
        raise ValueError("its vectors are no finite numbers")
    fold_in = _fold_in_of(arrays, vectors.shape[1]) if "words" in arrays else None
    return TextTable(tuple(texts.tolist()), vectors, method, fold_in)


def _fold_in_of(arrays: dict[str, np.ndarray], dim: int) -> FoldIn:
    words = arrays["words"]
    wanted = {"rarity": words.shape, "mean": words.shape, "directions": (*words.shape, dim)}
    for name, shape in wanted.items():
        array = arrays.get(name)
        if array is None or array.shape != shape or array.dtype != np.float64:
            raise ValueError(f"its {name} do not belong to its words")
        if not np.isfinite(array).all():
            raise ValueError(f"its {name} are no finite numbers")
    numbers = (arrays[name] for name in ("rarity", "mean", "directions"))
    return FoldIn(tuple(words.tolist()), *numbers)
