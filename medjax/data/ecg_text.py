"""Text embeddings of prepared ECG recordings, from SCP statements or from reports.

    python -m medjax.prepare ecg_text --raw=PREPARED_ECG --out=FOLDER [--bert=MODEL]

Without `--bert` the vectors of the 71 statements of PTB-XL that medjax carries are used.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medjax.data.arguments import whole_number
from medjax.data.ecg.statement_vectors import (
    StatementTable,
    embed_statements,
    read_statement_table,
    write_statement_table,
)
from medjax.data.ecg.statements import ZERO_CONFIDENCE, embed_records, read_statements
from medjax.data.ecg.text_embeddings import NAME, RecordTexts, read_record_texts, write_text
from medjax.data.manifest import (
    MANIFEST,
    describe_run,
    describe_set,
    file_digest,
    print_manifest,
    write_manifest,
)
from medjax.errors import UsageError, UserError
from medjax.text.encoder import POOLINGS, Reading, TextEncoder, embed_texts, load_text_encoder
from medjax.text.wordpiece import VOCABULARY_FILE
from medjax.weights.numpy_pickle import read_arrays, write_arrays

DEFAULTS = {
    "default": {
        "text_pooling": "masked_mean",
        "text_end_token": "[SEP]",
        "zero_confidence_record": "equal_weights",
    },
    "published": {
        "text_pooling": "mean_with_padding",
        "text_end_token": "[SCP]",
        "zero_confidence_record": "error",
    },
}
"""The fields of each --compat."""
MAX_TOKENS = 100
CASES = {"auto": None, "lower": True, "keep": False}


class Embedded(NamedTuple):
    """What a way of making vectors gives."""

    vectors: np.ndarray
    """Float32 [recording, width]."""
    known: np.ndarray
    """Bool [recording]."""
    source: str
    """How they were made, in words."""
    counts: list[dict[str, Any]]
    facts: dict[str, Any]
    """For the manifest."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this source."""
    parser.add_argument(
        "--text",
        choices=("statements", "reports"),
        default="statements",
        help="structured text of the SCP statements, weighted by confidence, or raw reports",
    )
    parser.add_argument("--bert", type=Path, help="folder of a BERT: config, weights, vocab.txt")
    parser.add_argument("--statements", type=Path, help="table of statements (PTB-XL's)")
    parser.add_argument("--table", type=Path, help=".npz of statement vectors (medjax's own)")
    parser.add_argument("--write_table", type=Path, help="write the statements' vectors as .npz")
    parser.add_argument("--from_pickle", type=Path, help="take vectors by ecg_id from this file")
    parser.add_argument("--write_pickle", type=Path, help="write vectors by ecg_id to this file")
    parser.add_argument(
        "--compat",
        choices=tuple(DEFAULTS),
        default="default",
        help="published: the next three as the published embeddings were made",
    )
    parser.add_argument("--text_pooling", choices=POOLINGS, help="tokens to one vector")
    parser.add_argument("--text_end_token", help='ends a statement: "[SEP]", published "[SCP]"')
    parser.add_argument(
        "--zero_confidence_record",
        choices=ZERO_CONFIDENCE,
        help="a record whose statements all have confidence 0",
    )
    parser.add_argument(
        "--max_tokens", type=whole_number(3), default=MAX_TOKENS, help="a longer text is cut"
    )
    parser.add_argument(
        "--letters",
        choices=tuple(CASES),
        default="auto",
        help="auto: as the model's files say, else small letters, as BertTokenizer",
    )


def prepare(args: argparse.Namespace) -> None:
    """Write the set `text_embedding` and its manifest under `args.out`.

    Raises:
        UsageError: options that exclude each other.
        UserError: missing or damaged files, or no recording with a text.
    """
    _check_options(args)
    fields = _fields(args)
    texts = _limited(read_record_texts(args.raw), args.limit)
    if args.dry_run:
        told = len({s for said in texts.statements for s in said})
        print(
            f"dry run: {len(texts.record_id):,} recordings, {told} statements, "
            f"{len(set(texts.report)):,} different reports; nothing written"
        )
        return
    embedded = _embed(args, texts, fields)
    if not embedded.known.any():
        raise UserError(f"{args.raw}: no recording has a text that could be embedded")
    if args.write_pickle:
        write_arrays(args.write_pickle, _by_ecg_id(texts, embedded))
    summary = write_text(args.out, texts, embedded.vectors, embedded.known, embedded.source)
    rows, kept = len(embedded.known), int(embedded.known.sum())
    manifest = {
        **describe_run(args, {"recordings": args.raw / MANIFEST}),
        "counts": [_count("recordings", rows, rows, "in the prepared folder"), *embedded.counts],
        "sets": {NAME: describe_set(summary, width=embedded.vectors.shape[1])},
        "split_rule": "as the recordings",
        "fields": fields,
        "text": {"source": embedded.source, **embedded.facts},
    }
    write_manifest(args.out, manifest)
    print_manifest(manifest)
    print(f"{kept:,} of {rows:,} recordings have a vector: {embedded.source}")


def _fields(args: argparse.Namespace) -> dict[str, str]:
    """Return what was chosen of DEFAULTS; of ready vectors only what the user says of them."""
    untold = args.from_pickle and args.compat == "default"
    defaults = dict.fromkeys(DEFAULTS["default"]) if untold else DEFAULTS[args.compat]
    chosen = {name: getattr(args, name) or default for name, default in defaults.items()}
    return {name: value for name, value in chosen.items() if value}


def _check_options(args: argparse.Namespace) -> None:
    """Refuse options that exclude each other."""
    if args.from_pickle and (args.bert or args.table or args.write_table):
        raise UsageError("--from_pickle takes ready vectors; leave --bert and the tables out")
    if args.text == "reports" and not (args.bert or args.from_pickle):
        raise UsageError("--text=reports needs a text model; name its folder with --bert")
    if args.bert and args.table:
        raise UsageError("--bert and --table both give statement vectors; name one of them")
    if args.text == "reports" and (args.table or args.write_table):
        raise UsageError("a table holds vectors of statements; leave it out with --text=reports")
    if args.split != "published" or args.unlabelled:
        raise UsageError("the splits are those of the recordings; leave --split and --unlabelled")
    for name in ("statements", "max_tokens", "letters"):
        if not args.bert and getattr(args, name) not in (None, MAX_TOKENS, "auto"):
            raise UsageError(f"--{name} is for a text model; name its folder with --bert")


def _limited(texts: RecordTexts, limit: int | None) -> RecordTexts:
    return RecordTexts(
        texts.split[:limit],
        texts.record_id[:limit],
        texts.statements[:limit],
        texts.report[:limit],
    )


def _embed(args: argparse.Namespace, texts: RecordTexts, fields: Mapping[str, str]) -> Embedded:
    if args.from_pickle:
        return from_pickle(args.from_pickle, texts)
    if args.text == "reports":
        encoder = load_text_encoder(args.bert, CASES[args.letters])
        reading = Reading(args.max_tokens, fields["text_pooling"])
        return from_reports(encoder, texts.report, reading)
    table, about = _statement_table(args, fields)
    if args.write_table:
        write_statement_table(args.write_table, table)
    embedded = from_statements(table, texts, fields["zero_confidence_record"])
    return embedded._replace(facts={**embedded.facts, **about})


def _statement_table(
    args: argparse.Namespace, fields: Mapping[str, str]
) -> tuple[StatementTable, dict[str, Any]]:
    """Return the statements' vectors, of a model or of a file, and more for the manifest."""
    if args.bert:
        encoder = load_text_encoder(args.bert, CASES[args.letters])
        assert encoder.weights is not None
        reading = Reading(args.max_tokens, fields["text_pooling"], add_special_tokens=False)
        statements = read_statements(args.statements)
        vectors = embed_statements(encoder, statements, reading, fields["text_end_token"])
        digest = file_digest(encoder.weights)["sha256"]
        made = (fields["text_pooling"], fields["text_end_token"])
        table = StatementTable(vectors, args.bert.resolve().name, digest, *made)
        return table, {"vocabulary": _digest_if_there(args.bert / VOCABULARY_FILE)}
    table = read_statement_table(args.table)
    for name in ("text_pooling", "text_end_token"):
        if fields[name] != getattr(table, name):
            raise UsageError(
                f"the statement vectors were made with {name} {getattr(table, name)!r}, not "
                f"{fields[name]!r}; name a text model with --bert to make others"
            )
    if args.table is None:
        print(
            "no --bert: taking the vectors of PTB-XL's 71 statements that medjax carries, made "
            f"with {table.model}"
        )
    return table, {}


def _digest_if_there(path: Path) -> str | None:
    return file_digest(path)["sha256"] if path.is_file() else None


def from_statements(table: StatementTable, texts: RecordTexts, zero_confidence: str) -> Embedded:
    """Embed recordings by their statements.

    Raises:
        UserError: no recording has a statement, or as `embed_records` says.
    """
    if not any(texts.statements):
        raise UserError("no recording has SCP statements; --text=reports takes its report")
    found = embed_records(texts.statements, table.statements, zero_confidence)
    rows = len(found.known)
    stated = rows - found.without_statements
    reason = (
        "all confidences 0: "
        + {
            "equal_weights": "its statements weigh the same",
            "skip": "left out",
            "error": "refused",
        }[zero_confidence]
    )
    counts = [
        _count("statements", rows, stated, "a recording without statements has no vector"),
        _count("zero_confidence", stated, int(found.known.sum()), reason),
    ]
    facts = {
        "model": table.model,
        "weights": table.weights,
        "zero_confidence_records": found.zero_confidence,
        "records_without_statements": found.without_statements,
    }
    source = f"SCP statements weighted by confidence, {table.model}"
    return Embedded(found.vectors, found.known, source, counts, facts)


def from_reports(encoder: TextEncoder, reports: Sequence[str], reading: Reading) -> Embedded:
    """Embed recordings by their whole reports; an empty one has no vector."""
    assert encoder.weights is not None
    known = np.array([bool(report.strip()) for report in reports], bool)
    vectors = np.zeros((len(reports), encoder.config.hidden_size), np.float32)
    if known.any():
        told = [report for report in reports if report.strip()]
        vectors[known] = embed_texts(encoder, told, reading)
    rows, model = len(known), encoder.weights.resolve().parent.name
    counts = [_count("reports", rows, int(known.sum()), "an empty report has no vector")]
    facts = {"model": model, "weights": file_digest(encoder.weights)["sha256"]}
    return Embedded(vectors, known, f"raw reports, {model}", counts, facts)


def from_pickle(path: Path, texts: RecordTexts) -> Embedded:
    """Take vectors from a pickled dictionary, ecg_id -> array.

    Raises:
        UserError: the file is none, or none of its ids is that of a recording.
    """
    arrays = {str(key): array.reshape(-1) for key, array in read_arrays(path).items()}
    widths = sorted({len(array) for array in arrays.values()})
    if len(widths) > 1 or not widths[0]:
        raise UserError(f"{path}: its vectors are of unequal widths ({widths[:4]})")
    keys = [_key(record) for record in texts.record_id]
    known = np.array([key in arrays for key in keys], bool)
    if not known.any():
        raise UserError(
            f"{path}: none of its ids is that of a recording; is it of another data set?"
        )
    vectors = np.zeros((len(keys), widths[0]), np.float32)
    vectors[known] = [arrays[key] for key in keys if key in arrays]
    if not np.isfinite(vectors).all():
        raise UserError(f"{path}: it holds numbers that are not finite; fetch it again")
    counts = [_count("pickle", len(keys), int(known.sum()), "not in the pickle: no vector")]
    facts = {"file": file_digest(path)["sha256"]}
    return Embedded(vectors, known, "vectors of a pickle", counts, facts)


def _key(record: str) -> str:
    """Return a record id as pickles name it: PTB-XL's are whole numbers there."""
    return str(int(record)) if record.isascii() and record.isdigit() else record


def _by_ecg_id(texts: RecordTexts, embedded: Embedded) -> dict[int | str, np.ndarray]:
    found: dict[int | str, np.ndarray] = {}
    for row in np.flatnonzero(embedded.known):
        key = _key(texts.record_id[row])
        found[int(key) if key.isdigit() and int(key) < 2**31 else key] = embedded.vectors[row]
    return found


def _count(rule: str, before: int, after: int, reason: str) -> dict[str, Any]:
    return {"rule": rule, "in": before, "out": after, "reason": reason}
