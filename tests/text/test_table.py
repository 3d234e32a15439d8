"""Tables of text vectors: what lies near what, folding in, files, and faults told of."""

import numpy as np
import pytest

from medjax.errors import UserError
from medjax.text.table import TextTable, fit_table, look_up, read_table, write_table

TEXTS = ("fluid around the lung", "the heart is large", "air outside the lung")
CORPUS = [
    *("There is fluid on the left.", "Fluid layers around the right lung.", "A large heart."),
    *("The heart is of normal size.", "Air outside the left lung: pneumothorax."),
]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_like_texts_lie_near_each_other() -> None:
    table = fit_table(TEXTS, CORPUS, dim=4)
    assert table.vectors.shape == (3, 4) and table.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(table.vectors, axis=1), 2, rtol=1e-5)
    (new,) = look_up(table, ["an enlarged large heart"])
    nearest = max(range(3), key=lambda i: cosine(new, table.vectors[i]))
    assert TEXTS[nearest] == "the heart is large"


def test_the_same_texts_give_the_same_table() -> None:
    first, second = (fit_table(TEXTS, CORPUS, dim=4) for _ in range(2))
    assert first.digest == second.digest
    assert first.digest != fit_table(TEXTS[:2], CORPUS, dim=4).digest


def test_a_text_of_the_table_comes_back_as_it_is() -> None:
    table = fit_table(TEXTS, CORPUS, dim=64)
    np.testing.assert_array_equal(look_up(table, TEXTS[::-1]), table.vectors[::-1])
    assert not table.vectors[:, 20:].any()


def test_what_it_cannot_know_it_says() -> None:
    table = fit_table(TEXTS, CORPUS, dim=4)
    with pytest.raises(UserError, match="'xyzzy 12' has no word"):
        look_up(table, ["xyzzy 12"])
    closed = TextTable(table.texts, table.vectors, "by hand")
    with pytest.raises(UserError, match="does not hold the text 'a heart' nor 1 others"):
        look_up(closed, ["a heart", TEXTS[0], "a lung"])


@pytest.mark.parametrize("folds", [True, False])
def test_files(tmp_path, folds) -> None:
    table = fit_table(TEXTS, CORPUS, dim=4)
    if not folds:
        table = table._replace(fold_in=None)
    write_table(tmp_path / "table.npz", table)
    back = read_table(tmp_path / "table.npz")
    assert back.digest == table.digest and (back.fold_in is not None) is folds
    if folds:
        text = ["large fluid"]
        np.testing.assert_array_equal(look_up(back, text), look_up(table, text))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": np.zeros((2, 4), np.float32)}, "do not belong together"),
        ({"vectors": np.full((3, 4), np.nan, np.float32)}, "no finite numbers"),
        ({"mean": np.zeros(1)}, "its mean do not belong to its words"),
    ],
)
def test_damaged_files(tmp_path, change, message) -> None:
    path = tmp_path / "table.npz"
    write_table(path, fit_table(TEXTS, CORPUS, dim=4))
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, **change})
    with pytest.raises(UserError, match=message):
        read_table(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="no readable table"):
        read_table(path)
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "other.npz")
