"""The loss of the risk stage: its parts, hidden leads, frozen encoders, padding rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.systems.ecg_attention.items import Items
from medjax.systems.ecg_attention.model import make_network
from medjax.systems.ecg_attention.risk_loss import RiskLoss, hide_leads, risk_loss
from medjax.systems.ecg_attention.risk_network import RiskNetwork
from tests.systems.ecg_attention.networks import SMALL

LOSS = RiskLoss(0.5, "unmasked_input", "risk_set", "breslow")
ROWS, VALID = 8, 6


@pytest.fixture(scope="module")
def network() -> RiskNetwork:
    base = make_network(SMALL | {"batchwise_dropout": True})
    return RiskNetwork(encoder=base.encoder, decoder=base.decoder)


@pytest.fixture(scope="module")
def variables(network):
    items, batch = example()
    arguments = (items.signal, items.visible, batch["mask"])
    return network.init(jax.random.key(0), *arguments, train=False, method="read")


def example(junk: float = 0.0) -> tuple[Items, dict]:
    """Six valid rows, and two of junk."""
    generator = np.random.default_rng(1)
    signal = generator.normal(size=(ROWS, 3, 32)).astype(np.float32)
    signal[VALID:] = junk
    batch = {
        "event": np.float32([1, 0, 1, 1, 0, 1, junk, 1]),
        "time": np.float32([3, 4, 1, 6, 2, 2, junk, 9]),
        "recorded": np.ones((ROWS, 3), bool),
        "mask": np.arange(ROWS) < VALID,
    }
    return Items(signal, signal, np.ones_like(signal)), batch


@pytest.fixture(scope="module")
def compute(network):
    def loss(variables, items, batch, train_encoder):
        rngs = {"dropout": jax.random.key(3)}
        options = (network, variables, items, batch, LOSS)
        return risk_loss(*options, rngs=rngs, train_encoder=train_encoder)

    return jax.jit(loss, static_argnums=3)


def test_padding_rows_change_nothing(variables, compute):
    value, aux = compute(variables, *example(), True)
    with_junk, of_junk = compute(variables, *example(7.0), True)
    np.testing.assert_allclose(with_junk, value, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), aux, of_junk)
    parts = float(aux.metrics["cox"]), float(aux.metrics["mse"])
    assert float(value) == pytest.approx(np.mean(parts), rel=1e-5)
    assert parts[0] > 0 and parts[1] > 0


def test_a_frozen_encoder_keeps_its_statistics(variables, compute):
    _, moved = compute(variables, *example(), True)
    _, frozen = compute(variables, *example(), False)
    before = variables["batch_stats"]

    def changed(aux, part):
        pairs = zip(
            jax.tree.leaves(aux.mutable["batch_stats"][part]), jax.tree.leaves(before[part])
        )
        return any(not np.array_equal(a, b) for a, b in pairs)

    assert changed(moved, "encoder") and changed(moved, "head")
    assert not changed(frozen, "encoder") and changed(frozen, "head")


@pytest.mark.parametrize("target", ["unmasked_input", "masked_input"])
def test_hidden_leads(target):
    items, _ = example()
    hidden = hide_leads(items, jnp.array([True, False, True]), target)
    assert not np.asarray(hidden.signal)[:, 1].any()
    assert not np.asarray(hidden.visible)[:, 1].any()
    np.testing.assert_array_equal(hidden.signal[:, [0, 2]], items.signal[:, [0, 2]])
    wanted = items.signal if target == "unmasked_input" else hidden.signal
    np.testing.assert_array_equal(hidden.target, wanted)
