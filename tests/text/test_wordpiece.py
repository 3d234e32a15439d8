"""Word pieces: those of transformers' BertTokenizer, recorded; special tokens; damaged files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from medjax.errors import UserError
from medjax.text.wordpiece import make_wordpiece, pad_tokens, read_wordpiece

FOLDER = Path(__file__).parents[1] / "weights" / "recorded" / "tiny_bert"


def test_ids_are_those_of_transformers():
    wordpiece = read_wordpiece(FOLDER)
    with np.load(FOLDER / "expected.npz") as expected:
        texts = expected["texts"].tolist()
        for name, limit, special in [("token_ids", 24, False), ("token_ids_special", 8, True)]:
            rows = wordpiece.encode(texts, limit, add_special_tokens=special)
            assert rows == [[int(i) for i in row if i >= 0] for row in expected[name]]


@pytest.mark.parametrize("lower", [True, False])
def test_words_by_themselves_have_the_pieces_of_whole_texts(lower):
    wordpiece, generator = read_wordpiece(FOLDER, lower), np.random.default_rng(0)
    parts = [
        *" " * 12,
        *"aB9é½Σİ中.-_!",
        "normal",
        "Sinus rhythm",
        "##a",
        "\t",
        "\n",
        "\xa0",
        "\u0301",
    ]
    parts += ["\0", "\u200d", "\u00ad", "\ufffd", "[SEP]", "[CLS]", "[ MASK]", "x" * 101]
    texts = ["".join(generator.choice(parts, generator.integers(0, 30))) for _ in range(2000)]
    expected = [row.ids for row in wordpiece.tokenizer.encode_batch_fast(texts)]
    assert wordpiece.encode(texts, 10_000, add_special_tokens=False) == expected
    assert max(len(set(row)) for row in expected) > 5
    assert wordpiece.encode([], 9) == []


def test_truncation_keeps_the_special_tokens():
    wordpiece = read_wordpiece(FOLDER)
    (row,) = wordpiece.encode(["normal " * 30], 5)
    assert row == [2, *wordpiece.encode(["normal"] * 1, 9, add_special_tokens=False)[0] * 3, 3]
    (bare,) = wordpiece.encode(["[CLS] normal normal [SEP]"], 3, add_special_tokens=False)
    assert bare[0] == 2 and len(bare) == 3 and 3 not in bare


def test_letters_are_kept_or_made_small():
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "Ecg", "ecg"]
    for lower, expected in [(True, [5, 5, 5]), (False, [4, 5, 1])]:
        wordpiece = make_wordpiece(vocabulary, lower)
        assert wordpiece.encode(["Ecg ecg ÉCG"], 9, add_special_tokens=False) == [expected]


@pytest.mark.parametrize("lower", [True, False])
def test_a_folder_says_whether_letters_are_kept(tmp_path, lower):
    shutil.copy(FOLDER / "vocab.txt", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    (row,) = read_wordpiece(tmp_path).encode(["NORMAL"], 9, add_special_tokens=False)
    assert (row == [1]) is not lower
    (forced,) = read_wordpiece(tmp_path, True).encode(["NORMAL"], 9, add_special_tokens=False)
    assert forced != [1]


def test_a_tokenizer_file_alone_will_do(tmp_path):
    known = read_wordpiece(FOLDER)
    known.tokenizer.save(str(tmp_path / "tokenizer.json"))
    read = read_wordpiece(tmp_path)
    assert read.ids == known.ids
    assert read.encode(["Normal ECG"], 9) == known.encode(["Normal ECG"], 9)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("other", "", "neither vocab.txt nor tokenizer.json"),
        ("vocab.txt", "[PAD]\n[UNK]\n", r"vocab.txt: the vocabulary lacks \[CLS\]"),
        ("tokenizer.json", "{", "no readable JSON"),
        ("tokenizer.json", "[]", "no JSON object"),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": {}}}', "no tokeniser of word"),
        ("tokenizer.json", '{"model": {"type": "WordPiece", "vocab": {"a": 1}}}', "not 0, 1, 2"),
    ],
)
def test_folders_without_a_vocabulary(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        read_wordpiece(tmp_path)


def test_padding():
    np.testing.assert_array_equal(pad_tokens([[1, 2], []], 3, 9), [[1, 2, 9], [9, 9, 9]])
