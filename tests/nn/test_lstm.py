"""The LSTM against a step-by-step NumPy form; padding; gradients."""

import jax
import jax.numpy as jnp
import numpy as np

from medjax.nn.lstm import LSTM

RNG = np.random.default_rng(1)
X = RNG.normal(size=(3, 6, 4)).astype(np.float32)
LENGTH = np.array([6, 2, 0])


def reference(params, x: np.ndarray) -> np.ndarray:
    """Hidden states [time, features] of one sequence [time, inputs]."""
    p = {name: np.asarray(value, np.float64) for name, value in params.items()}
    features = p["recurrent_kernel"].shape[0]
    hidden, cell, out = np.zeros(features), np.zeros(features), []
    for row in x.astype(np.float64):
        gates = row @ p["input_kernel"] + hidden @ p["recurrent_kernel"]
        i, f, g, o = np.split(gates + p["input_bias"] + p["recurrent_bias"], 4)
        i, f, o = (1 / (1 + np.exp(-v)) for v in (i, f, o))
        cell = f * cell + i * np.tanh(g)
        hidden = o * np.tanh(cell)
        out.append(hidden)
    return np.array(out)


def test_states_and_last_state() -> None:
    lstm = LSTM(5)
    variables = lstm.init(jax.random.key(0), X, LENGTH)
    states, last = lstm.apply(variables, X, LENGTH)
    for row, length in enumerate(LENGTH):
        expected = reference(variables["params"], X[row, :length])
        np.testing.assert_allclose(states[row, :length], expected.reshape(length, 5), atol=1e-6)
        assert not np.any(states[row, length:])
        np.testing.assert_allclose(last[row], expected[-1] if length else 0, atol=1e-6)


def test_padded_time_and_its_length_change_nothing() -> None:
    lstm = LSTM(5)
    variables = lstm.init(jax.random.key(0), X, LENGTH)

    def last_sum(params, x):
        return jnp.square(lstm.apply({"params": params}, x, LENGTH)[1]).sum()

    padded = np.concatenate([X, np.full((3, 5, 4), 1e6, np.float32)], axis=1)
    padded[1, 2:] = -1e6
    plain = jax.value_and_grad(last_sum)(variables["params"], X)
    other = jax.value_and_grad(last_sum)(variables["params"], padded)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), plain, other)


def test_both_biases_get_the_same_gradient() -> None:
    lstm = LSTM(5)
    variables = lstm.init(jax.random.key(0), X, LENGTH)
    grads = jax.grad(lambda v: lstm.apply(v, X, LENGTH)[1].sum())(variables)["params"]
    np.testing.assert_array_equal(grads["input_bias"], grads["recurrent_bias"])
    assert np.any(grads["input_bias"])


def test_bf16_keeps_float32_parameters() -> None:
    lstm = LSTM(5, dtype=jnp.bfloat16)
    variables = lstm.init(jax.random.key(0), X, LENGTH)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))
    states, last = lstm.apply(variables, X, LENGTH)
    assert states.dtype == last.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        np.asarray(last, np.float32), LSTM(5).apply(variables, X, LENGTH)[1], atol=0.02
    )
