"""Multi-head attention: against plain numpy, masks, and PyTorch's names."""

import jax
import numpy as np
import pytest

from medjax.nn.attention import MultiHeadAttention
from medjax.nn.torch_names import Layer, attention_layers, from_torch, to_torch
from tests.variables import draw_variables

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(2, 3, 8)).astype(np.float32)
MEMORY = GENERATOR.normal(size=(2, 5, 8)).astype(np.float32)
MODEL = MultiHeadAttention(heads=2)
VARIABLES = draw_variables(lambda key: MODEL.init(key, X, train=False))


def by_numpy(x: np.ndarray, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Head by head, row by row."""
    state = to_torch(attention_layers("a", ()), VARIABLES)
    weight, bias = state["a.in_proj_weight"], state["a.in_proj_bias"]
    projected = [
        rows @ weight[8 * i : 8 * i + 8].T + bias[8 * i : 8 * i + 8]
        for i, rows in enumerate((x, memory, memory))
    ]
    heads, attention = [], []
    for part in (slice(0, 4), slice(4, 8)):
        query, key, value = (p[..., part] for p in projected)
        scores = np.exp(query @ key.transpose(0, 2, 1) / 2)
        attention.append(scores / scores.sum(-1, keepdims=True))
        heads.append(attention[-1] @ value)
    out = np.concatenate(heads, -1) @ state["a.out_proj.weight"].T + state["a.out_proj.bias"]
    return out, np.stack(attention, 1)


@pytest.mark.parametrize("memory", [None, MEMORY], ids=["self", "memory"])
def test_values(memory) -> None:
    out, attention = MODEL.apply(VARIABLES, X, memory, train=False)
    expected, probabilities = by_numpy(X, X if memory is None else memory)
    np.testing.assert_allclose(out, expected, atol=1e-5)
    np.testing.assert_allclose(attention, probabilities, atol=1e-6)


def test_what_is_not_allowed_is_not_read() -> None:
    allowed = np.array([True, True, False, True, False])
    out, attention = MODEL.apply(VARIABLES, X, MEMORY, allowed, train=False)
    alone, _ = MODEL.apply(VARIABLES, X, MEMORY[:, allowed], train=False)
    np.testing.assert_allclose(out, alone, atol=1e-6)
    assert not attention[..., ~allowed].any()
    nothing, _ = MODEL.apply(VARIABLES, X, MEMORY, np.zeros(5, bool), train=False)
    assert np.isfinite(nothing).all()


def test_dropout_moves_the_output_and_not_the_probabilities() -> None:
    model = MultiHeadAttention(heads=2, dropout=0.5)
    rngs = {"dropout": jax.random.key(0)}
    out, attention = model.apply(VARIABLES, X, MEMORY, train=True, rngs=rngs)
    still, same = model.apply(VARIABLES, X, MEMORY, train=False)
    assert np.abs(out - still).max() > 1e-3
    np.testing.assert_array_equal(attention, same)


def test_names_round_trip() -> None:
    table = attention_layers("decoder.self_attn", ())
    state = to_torch(table, VARIABLES)
    assert state["decoder.self_attn.in_proj_weight"].shape == (24, 8)
    back = from_torch(table, state)
    jax.tree.map(np.testing.assert_array_equal, back, VARIABLES)


def test_a_single_number_keeps_its_shape() -> None:
    table = [Layer("scale", ("log_scale",), "parameter")]
    variables = from_torch(table, {"scale": np.float32(2)})
    assert variables["params"]["log_scale"].shape == ()
    assert to_torch(table, variables)["scale"].shape == ()
