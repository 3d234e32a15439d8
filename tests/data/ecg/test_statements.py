"""Statements as text, their weights in a record, tables of their vectors."""

import numpy as np
import pytest

from medjax.data.ecg.statement_vectors import (
    StatementTable,
    read_statement_table,
    write_statement_table,
)
from medjax.data.ecg.statements import (
    StatementVectors,
    embed_records,
    read_statements,
    statement_weights,
)
from medjax.errors import UserError

TABLE = StatementVectors(("A", "B", "C"), np.eye(3, dtype=np.float32))


def test_the_text_of_a_statement():
    statements = read_statements()
    assert len(statements) == 71
    assert statements["NORM"].text() == "[CLS] Normal/abnormal:normal ECG [SEP]"
    assert statements["NORM"].text("[SCP]").endswith(":normal ECG [SCP]")


def test_weights_are_confidences_that_sum_to_one():
    assert statement_weights({"A": 100.0, "B": 0.0, "C": 50.0}) == {"A": 2 / 3, "C": 1 / 3}
    assert statement_weights({}) == {}


def test_records_of_zero_confidence():
    zero = {"A": 0.0, "B": 0.0}
    assert statement_weights(zero, "equal_weights") == {"A": 0.5, "B": 0.5}
    assert statement_weights(zero, "skip") == {}
    with pytest.raises(UserError, match="all statements of a record have confidence 0"):
        statement_weights(zero, "error")
    assert statement_weights({}, "error") == {}


def test_a_record_is_the_weighted_mean():
    records = [{"A": 30.0, "B": 90.0}, {}, {"C": 0.0}, {"C": 15.0}]
    found = embed_records(records, TABLE)
    np.testing.assert_allclose(found.vectors, [[0.25, 0.75, 0], [0, 0, 0], [0, 0, 1], [0, 0, 1]])
    assert found.known.tolist() == [True, False, True, True]
    assert (found.without_statements, found.zero_confidence) == (1, 1)
    skipped = embed_records(records, TABLE, "skip")
    assert skipped.known.tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    "record, message",
    [
        ({"D": 100.0}, "statement 'D' has no text"),
        ({"A": -1.0}, "confidence -1.0 of statement 'A'"),
        ({"A": float("nan")}, "confidence nan"),
    ],
)
def test_statements_that_are_none(record, message):
    with pytest.raises(UserError, match=message):
        embed_records([record], TABLE)


def test_a_table_of_statements_of_ones_own(tmp_path):
    path = tmp_path / "statements.csv"
    path.write_text("key,Statement Category,SCP-ECG Statement Description\nX,rhythm,odd\n")
    assert read_statements(path)["X"].text() == "[CLS] rhythm:odd [SEP]"
    path.write_text(path.read_text() + "X,a,b\n")
    with pytest.raises(UserError, match="row 3: the code 'X' stands there twice"):
        read_statements(path)
    path.write_text("key,Statement Category\nX,a\n")
    with pytest.raises(UserError, match="no column 'SCP-ECG Statement Description'"):
        read_statements(path)


def test_the_table_that_medjax_carries_holds_all_statements():
    table = read_statement_table()
    assert table.statements.codes == tuple(read_statements())
    assert table.statements.vectors.shape == (71, 384)
    assert (table.text_pooling, table.text_end_token) == ("masked_mean", "[SEP]")
    unit = table.statements.vectors / np.linalg.norm(table.statements.vectors, axis=1)[:, None]
    alike = dict(zip(table.statements.codes, unit @ unit[table.statements.codes.index("IMI")]))
    assert alike["ASMI"] > alike["NORM"] and alike["ILMI"] > alike["PACE"]


def test_a_table_is_written_and_read(tmp_path):
    table = StatementTable(TABLE, "toy", "abc", "masked_mean", "[SEP]")
    path = tmp_path / "table.npz"
    write_statement_table(path, table)
    found = read_statement_table(path)
    assert found.statements.codes == TABLE.codes and found[1:] == table[1:]
    np.testing.assert_array_equal(found.statements.vectors, TABLE.vectors)
    with pytest.raises(UserError, match="ends in .npz"):
        write_statement_table(tmp_path / "table.npy", table)


def test_tables_that_are_none(tmp_path):
    path = tmp_path / "table.npz"
    with pytest.raises(UserError, match="no such file"):
        read_statement_table(path)
    for content in (b"", b"PK\x03\x04 broken", b"text"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="no readable table"):
            read_statement_table(path)
    notes = dict.fromkeys(("model", "weights", "text_pooling", "text_end_token"), "x")
    np.savez(path, codes=np.array(["A"]), vectors=np.ones((2, 3)), **notes)
    with pytest.raises(UserError, match="do not belong together"):
        read_statement_table(path)
    np.savez(path, codes=np.array(["A"]), vectors=np.full((1, 3), np.nan), **notes)
    with pytest.raises(UserError, match="no finite numbers"):
        read_statement_table(path)
