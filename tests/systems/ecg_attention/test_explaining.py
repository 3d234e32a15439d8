"""What a network looked at: its attention, and paint made of its encoder's gradient."""

import jax
import numpy as np
import pytest

from medjax.systems.ecg_attention.dual_attention import AttentionDecoder, Encoder
from medjax.systems.ecg_attention.explaining import make_explainer, residual_features
from medjax.systems.ecg_attention.model import Autoencoder
from medjax.systems.ecg_attention.saliency import rescale, smooth

LEADS, TIME = 3, 16
SIGNAL = np.random.default_rng(0).normal(size=(2, LEADS, TIME)).astype(np.float32)
VISIBLE = np.ones_like(SIGNAL)


def network(**options) -> Autoencoder:
    encoder = Encoder(LEADS, 8, 8, down_blocks=1, base_features=4, **options)
    return Autoencoder(encoder, AttentionDecoder(LEADS, TIME, 1, 4, 1))


def variables(model: Autoencoder):
    """Random ones between 0.2 and 0.8, running statistics too: no initialiser is compiled."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(model.init, jax.random.key(1), SIGNAL)
    return jax.tree.map(lambda x: rng.uniform(0.2, 0.8, x.shape).astype(x.dtype), dict(shapes))


@pytest.fixture(scope="module")
def explained():
    """A network, its variables, what it gives, and what is explained of it."""
    model = network()
    weights = variables(model)
    given = jax.jit(model.apply)(weights, SIGNAL, VISIBLE)
    return model, weights, given, make_explainer(model)(weights, SIGNAL, VISIBLE)


def test_attention_and_reconstruction_are_those_of_the_network(explained):
    _, _, (reconstruction, code), explanation = explained
    np.testing.assert_allclose(explanation.lead_maps, code.lead_attention, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(explanation.reconstruction, reconstruction, rtol=1e-3, atol=1e-4)
    assert explanation.paint.shape == SIGNAL.shape
    assert explanation.paint.min() >= 0
    assert explanation.paint.max() > 0


def test_the_paint_of_the_network_by_finite_differences(explained):
    model, weights, (_, code), explanation = explained
    features = jax.jit(jax.vmap(residual_features(model, weights, VISIBLE[0], "eval")))
    step = 1e-2
    moved = step * np.eye(LEADS * TIME, dtype=np.float32).reshape(-1, LEADS, TIME)
    up, down = np.asarray(features(SIGNAL[0] + moved)), np.asarray(features(SIGNAL[0] - moved))
    slopes = (up - down).sum(1).reshape(LEADS, TIME, LEADS, -1) / (2 * step)
    curve = np.zeros((LEADS, TIME))
    for lead in range(LEADS):
        weight = np.asarray(code.time_attention[0, lead]).mean(0)
        curve[lead] = np.maximum(slopes[lead, :, lead], 0) @ weight
    np.testing.assert_allclose(rescale(explanation.paint[0]), rescale(smooth(curve)), atol=0.03)


def test_batch_statistics_are_those_of_the_one_record():
    model = network(lead_attention=False, time_attention=False)
    weights = variables(model)
    code, _ = jax.jit(
        lambda signal: model.apply(
            weights,
            signal,
            train=True,
            method="encode",
            rngs={"dropout": jax.random.key(0)},
            mutable=["batch_stats"],
        )
    )(SIGNAL[:1])
    own = {
        name: jax.jit(residual_features(model, weights, VISIBLE[0], name))(SIGNAL[0])
        for name in ("eval", "batch")
    }
    np.testing.assert_allclose(own["batch"], code.features[0], rtol=1e-4, atol=1e-4)
    assert not np.allclose(own["batch"], own["eval"], atol=1e-2)


def test_without_attention_there_is_none_to_show():
    model = network(lead_attention=False, time_attention=False)
    explanation = make_explainer(model)(variables(model), SIGNAL[:1], VISIBLE[:1])
    assert explanation.lead_maps is None
    assert explanation.paint is None
    assert explanation.reconstruction.shape == (1, LEADS, TIME)
