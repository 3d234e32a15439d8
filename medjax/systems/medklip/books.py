"""Books: the vectors of descriptions and positions, and what turns a text into a vector.

A book is made once, before training, and never changes. `text.encoder` says by what:

    bert     a BERT of the user's (`text.bert_dir`); its vectors are kept in the run's folder
    table    a table of vectors (`text.table`); where none is named, one that is fitted on the
             training split's reports, with a map that folds in what a user types
    random   drawn vectors, which know nothing: only where a user asks for them
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from medjax.data.manifest import file_digest
from medjax.data.radgraph.vocabulary import (
    ENTITIES,
    POSITIONS,
    entity_descriptions,
    position_sentence,
    query_of,
)
from medjax.errors import UserError
from medjax.text.encoder import Reading, embed_texts, load_text_encoder
from medjax.text.table import (
    TextTable,
    fit_table,
    look_up,
    pack_table,
    read_table,
    unpack_table,
    write_table,
)

FITTED = "fitted.npz"


class Texts(NamedTuple):
    """What a run knows of texts: where vectors are kept, and the reports that tables are fitted on.

    With weights of another run `table` is that run's own.
    """

    folder: Path
    reports: Sequence[str]
    """Of the training split."""
    table: TextTable | None = None


class Books(NamedTuple):
    """Vectors of the queries and of the positions."""

    queries: tuple[str, ...]
    """Names: the 75 entities, and those that were added."""
    entity: np.ndarray
    """float32 [query, text width]"""
    position: np.ndarray
    """float32 [position, text width]"""
    method: str
    """How they were made, in words."""
    table: TextTable | None = None
    """The table that they come from, to fold in other texts."""


def text_options(config: ConfigDict, stage: ConfigDict) -> ConfigDict:
    """Return what turns a stage's texts into vectors: the run's `text` section and the stage's."""
    return ConfigDict({**config.text, **stage.text})


def make_books(options: ConfigDict, texts: Texts, added: Sequence[tuple[str, str]] = ()) -> Books:
    """Return the books of `text_options`; added: (name, description) of more queries.

    Raises:
        UserError: a file is missing or damaged, or a text has no vector.
    """
    descriptions = read_descriptions(options.descriptions)
    prompts = position_prompts(options.position_prompt)
    wanted = [*descriptions, *prompts, *(text for _, text in added)]
    vectors, method, table = encode(options, texts, wanted)
    count = len(descriptions)
    return Books(
        (*ENTITIES, *(name for name, _ in added)),
        np.concatenate([vectors[:count], vectors[count + len(prompts) :]]),
        vectors[count : count + len(prompts)],
        method,
        table,
    )


def query_texts(entities: Sequence[str], form: str, descriptions: str | None) -> list[str]:
    """Return what is read of some entities; form: their "description", or their "name"."""
    if form == "name":
        return [f"{entity} finding" for entity in entities]
    told = read_descriptions(descriptions)
    return [told[ENTITIES.index(str(query_of(entity)))] for entity in entities]


def position_prompts(form: str) -> list[str]:
    """Return a sentence of each position; form: "blanks" between words, or "underscores"."""
    return [position_sentence(position, form == "underscores") for position in POSITIONS]


def read_descriptions(path: str | None) -> list[str]:
    """Return a description of each entity, ours or those of a JSON object in the same order.

    Raises:
        UserError: the file is missing, or is no object of 75 texts.
    """
    if path is None:
        return list(entity_descriptions().values())
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"text.descriptions: {path} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"text.descriptions: {path} is no JSON ({str(error)[:80]})") from None
    told = list(content.values()) if isinstance(content, dict) else []
    if len(told) != len(ENTITIES) or not all(isinstance(text, str) for text in told):
        raise UserError(
            f"text.descriptions: {path} must hold {len(ENTITIES)} texts by name, in the order of "
            f"the entities ({ENTITIES[0]}, {ENTITIES[1]}, ...)"
        )
    return told


def encode(
    options: ConfigDict, texts: Texts, wanted: Sequence[str]
) -> tuple[np.ndarray, str, TextTable | None]:
    """Return float32 [text, width], how they were made, and the table that they come from."""
    if options.encoder == "bert":
        return by_bert(options, texts.folder, wanted), bert_name(options), None
    if options.encoder == "random":
        return drawn(wanted, options.dim), "random", None
    table = table_of(options, texts)
    return look_up(table, wanted), table.method, table


def table_of(options: ConfigDict, texts: Texts) -> TextTable:
    """Return the table of a stage: of the weights, of a file, or fitted on the reports."""
    if texts.table is not None:
        return texts.table
    if options.table is not None:
        return read_table(Path(options.table))
    prompts = position_prompts(options.position_prompt)
    known = [*read_descriptions(options.descriptions), *prompts]
    table = fit_table(known, texts.reports, options.dim)
    path = texts.folder / FITTED
    if not path.is_file():
        write_table(path, table)
    return table


def by_bert(options: ConfigDict, folder: Path, wanted: Sequence[str]) -> np.ndarray:
    """Return vectors by a BERT, which are kept in `folder`: it is asked for a text once.

    Raises:
        UserError: no BERT is named, or its folder is incomplete.
    """
    if options.bert_dir is None:
        raise UserError("text.encoder is 'bert': name the folder of one with text.bert_dir")
    bert = Path(options.bert_dir)
    reading = Reading(options.max_tokens, options.pooling)
    weights = [path for path in sorted(bert.iterdir()) if path.is_file()]
    state = hashlib.sha256(json.dumps([*reading, sorted(set(wanted))]).encode())
    for path in weights:
        state.update(json.dumps(file_digest(path), sort_keys=True).encode())
    kept = folder / f"bert-{state.hexdigest()[:16]}.npz"
    if not kept.is_file():
        unique = sorted(set(wanted))
        vectors = embed_texts(load_text_encoder(bert), unique, reading)
        write_table(kept, TextTable(tuple(unique), vectors, bert_name(options)))
    return look_up(read_table(kept), wanted)


def bert_name(options: ConfigDict) -> str:
    """Return what to call the vectors of a BERT."""
    return f"BERT ({Path(options.bert_dir).name}, {options.pooling})"


def drawn(wanted: Sequence[str], dim: int) -> np.ndarray:
    """Return normal numbers, the same for the same text."""
    rows = []
    for text in wanted:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
        rows.append(np.random.default_rng(seed).standard_normal(dim, np.float32))
    return np.array(rows, np.float32).reshape(len(wanted), dim)


def pack_books(books: Books) -> dict[str, Any]:
    """Return books as JSON values, to be stored beside weights."""
    return {
        "queries": list(books.queries),
        "entity": pack_array(books.entity),
        "position": pack_array(books.position),
        "method": books.method,
        "table": base64.b64encode(pack_table(books.table)).decode() if books.table else None,
    }


def unpack_books(packed: Mapping[str, Any]) -> Books:
    """Return the books that were stored beside weights.

    Raises:
        UserError: they are damaged.
    """
    try:
        table = packed["table"]
        return Books(
            tuple(packed["queries"]),
            unpack_array(packed["entity"]),
            unpack_array(packed["position"]),
            packed["method"],
            unpack_table(base64.b64decode(table)) if table else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"the books beside the weights are damaged ({str(error)[:80]})") from None


def pack_array(array: np.ndarray) -> dict[str, Any]:
    """Return a float32 array as JSON values."""
    data = np.asarray(array, "<f4").tobytes()
    return {"shape": list(array.shape), "float32": base64.b64encode(data).decode()}


def unpack_array(packed: Mapping[str, Any]) -> np.ndarray:
    """Return the array of `pack_array`; ValueError where it is damaged."""
    data = np.frombuffer(base64.b64decode(packed["float32"]), "<f4")
    return data.reshape(packed["shape"]).astype(np.float32)
