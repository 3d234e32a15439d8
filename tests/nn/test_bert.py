"""BERT against what the transformers library gave for the same weights; padding changes nothing.

The folder `tests/weights/recorded/tiny_bert` holds a BERT of random weights and, in expected.npz,
what transformers 5.23 computed with it.
"""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn.bert import Bert, pool_tokens
from medjax.weights.bert import read_bert

FOLDER = Path(__file__).parents[1] / "weights" / "recorded" / "tiny_bert"
TINY = read_bert(FOLDER)


@pytest.fixture(scope="module")
def expected():
    with np.load(FOLDER / "expected.npz") as file:
        return dict(file)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
def test_all_states_are_those_of_transformers(expected, activation):
    network = Bert(TINY.config._replace(hidden_act=activation))
    encode = jax.jit(partial(network.apply, TINY.variables, keep_hidden=True, keep_attention=True))
    ids, types, positions = (expected[name].astype(int) for name in ("ids", "types", "positions"))
    in_order, no_types = np.broadcast_to(np.arange(7), ids.shape), np.zeros_like(ids)
    found = encode(ids, expected["mask"], types=types, positions=in_order)
    placed = encode(ids, expected["mask"], types=no_types, positions=positions).last
    for ours, name in [
        (jnp.stack(found.hidden_states), "hidden"),
        (jnp.stack(found.attentions), "attention"),
        (found.pooled, "pooled"),
        (placed, "placed"),
    ]:
        np.testing.assert_allclose(ours, expected[f"{activation}_{name}"], atol=3e-6)
    np.testing.assert_array_equal(found.last, found.hidden_states[-1])


def test_padding_and_other_rows_change_nothing():
    ids = np.random.default_rng(1).integers(5, 40, (2, 6))
    mask = np.array([[1] * 6, [1, 1, 1, 0, 0, 0]])
    encode = jax.jit(partial(Bert(TINY.config).apply, TINY.variables))
    whole = encode(ids, mask).last
    other = encode(np.where(mask, ids, 7), mask).last
    np.testing.assert_array_equal(other[mask == 1], whole[mask == 1])
    alone = encode(ids[1:, :3]).last
    np.testing.assert_allclose(alone, whole[1:, :3], atol=1e-5)
    assert np.isfinite(encode(ids, np.zeros_like(mask)).last).all()


def test_more_tokens_than_positions_are_refused():
    with pytest.raises(ValueError, match="21 tokens, but this BERT has 20 positions"):
        Bert(TINY.config).apply(TINY.variables, np.ones((1, 21), int))


def test_dropout_is_drawn_in_training_only():
    network, ids = Bert(TINY.config._replace(hidden_dropout_prob=0.5)), np.ones((1, 4), int)

    @jax.jit
    def states(seed: int) -> jax.Array:
        rngs = {"dropout": jax.random.key(seed)}
        return network.apply(TINY.variables, ids, train=True, rngs=rngs).last

    assert np.abs(states(0) - states(1)).max() > 0.1
    np.testing.assert_array_equal(states(0), states(0))


def test_no_embeddings_of_types_where_there_are_none():
    network = Bert(TINY.config._replace(type_vocab_size=0))
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 3), int)))
    assert set(shapes["params"]["embeddings"]) == {"word", "position", "norm"}


def test_pooling():
    hidden = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    mask = np.array([[1, 1, 0], [0, 0, 0]])
    pooled = {
        name: pool_tokens(hidden, mask, name)
        for name in ("masked_mean", "mean_with_padding", "first_token")
    }
    np.testing.assert_allclose(pooled["masked_mean"], [[1, 2], [0, 0]])
    np.testing.assert_allclose(pooled["mean_with_padding"], [[2, 3], [8, 9]])
    np.testing.assert_allclose(pooled["first_token"], [[0, 1], [6, 7]])
    with pytest.raises(ValueError, match="median"):
        pool_tokens(hidden, mask, "median")
