"""SCP-ECG statements as text, and what a record's statements say together.

A record carries statements with a confidence in per cent. Each statement is a short English text,
so that reports in any language need no parsing; a record is the mean of its statements' vectors,
weighted by confidence (Chen et al. 2025, arXiv 2403.10581).
"""

import math
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medjax.data.tables import read_table
from medjax.errors import UserError, nearest

CATEGORY, DESCRIPTION = "Statement Category", "SCP-ECG Statement Description"
CODE_COLUMNS = ("", "Unnamed: 0", "key", "code")
"""Names of the column of codes; the official table gives it none."""
ZERO_CONFIDENCE = ("equal_weights", "skip", "error")
"""What becomes of a record whose statements all have confidence 0, which means "not stated":
its statements weigh the same, it gets no vector, or it is an error."""


class Statement(NamedTuple):
    """One row of the table of statements."""

    category: str
    description: str

    def text(self, end_token: str = "[SEP]") -> str:
        """Return the structured text, "[CLS] category:description [SEP]"."""
        return f"[CLS] {self.category}:{self.description} {end_token}"


class StatementVectors(NamedTuple):
    """Statements as vectors."""

    codes: tuple[str, ...]
    vectors: np.ndarray
    """Float32 [statement, width]."""


class RecordVectors(NamedTuple):
    """Records as vectors."""

    vectors: np.ndarray
    """Float32 [record, width]; 0 where there is none."""
    known: np.ndarray
    """Bool [record]: the record has a vector."""
    without_statements: int
    """Records that have no statement at all."""
    zero_confidence: int
    """Records whose statements all have confidence 0."""


def read_statements(path: Path | None = None) -> dict[str, Statement]:
    """Read a table of statements by code; None: the 71 of PTB-XL, which medjax carries.

    Raises:
        UserError: no such table or column, or a code that stands in it twice.
    """
    if path is None:
        shipped = files("medjax").joinpath("data/ecg/resources/scp_statements.csv")
        with as_file(shipped) as inner:
            return read_statements(inner)
    table = read_table(path, None)
    code = next((name for name in table.columns if str(name).strip() in CODE_COLUMNS), None)
    for name, found in ((CODE_COLUMNS[-1], code), (CATEGORY, CATEGORY), (DESCRIPTION, DESCRIPTION)):
        if found is None or found not in table.columns:
            raise UserError(f"{path}: no column {name!r}{nearest(name, map(str, table.columns))}")
    codes = [text.strip() for text in table[code]]
    for row, text in enumerate(codes):
        if text in codes[:row]:
            raise UserError(f"{path}, row {row + 2}: the code {text!r} stands there twice")
    texts = zip(table[CATEGORY], table[DESCRIPTION])
    return {text: Statement(*both) for text, both in zip(codes, texts)}


def statement_weights(
    statements: Mapping[str, float], zero_confidence: str = "equal_weights"
) -> dict[str, float]:
    """Return the weights of a record's statements, which sum to 1; {} where it gets no vector.

    Statements of confidence 0 count only where all are 0.

    Args:
        statements: code -> confidence in per cent.
        zero_confidence: of ZERO_CONFIDENCE.

    Raises:
        UserError: a confidence is negative or no number; or all are 0 and that is an error.
    """
    for code, confidence in statements.items():
        if not (math.isfinite(confidence) and confidence >= 0):
            raise UserError(f"the confidence {confidence} of statement {code!r} is none")
    kept = {code: confidence for code, confidence in statements.items() if confidence > 0}
    if statements and not kept:
        if zero_confidence == "error":
            raise UserError("all statements of a record have confidence 0")
        kept = dict.fromkeys(statements, 1.0) if zero_confidence == "equal_weights" else {}
    total = sum(kept.values())
    return {code: confidence / total for code, confidence in kept.items()}


def embed_records(
    records: Sequence[Mapping[str, float]],
    table: StatementVectors,
    zero_confidence: str = "equal_weights",
) -> RecordVectors:
    """Return each record's mean of its statements' vectors, weighted by confidence.

    Args:
        records: the statements of each, code -> confidence in per cent.
        table: the vector of each statement.
        zero_confidence: of ZERO_CONFIDENCE.

    Raises:
        UserError: a statement that the table lacks, a confidence that is none, or a record of zero
            confidence where that is an error.
    """
    row_of = {code: row for row, code in enumerate(table.codes)}
    zero = sum(1 for record in records if record and not any(record.values()))
    if zero and zero_confidence == "error":
        raise UserError(
            f"{zero} of {len(records)} records have statements of confidence 0 alone; "
            "--zero_confidence_record=equal_weights weighs them the same, =skip leaves them out"
        )
    weights = np.zeros((len(records), len(table.codes)))
    for position, statements in enumerate(records):
        for code, weight in statement_weights(statements, zero_confidence).items():
            if code not in row_of:
                raise UserError(
                    f"statement {code!r} has no text{nearest(code, row_of)}; name a text model and "
                    "a table that holds it: --bert=FOLDER --statements=CSV"
                )
            weights[position, row_of[code]] = weight
    return RecordVectors(
        vectors=(weights @ table.vectors.astype(np.float64)).astype(np.float32),
        known=np.array(weights.any(axis=1)),
        without_statements=sum(1 for record in records if not record),
        zero_confidence=zero,
    )
