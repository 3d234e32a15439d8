"""Pair losses and what the stages minimise: values, gradients, rows that do not count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.systems.crossmodal.architecture import Architecture
from medjax.systems.crossmodal.loss import (
    PairOptions,
    Reconstruction,
    autoencoder_loss,
    latent_distance,
    log_cosh,
    paired_loss,
)
from medjax.systems.crossmodal.model import CrossModal, clip_log_scale, make_init
from tests.parity.harness import named_tensor
from tests.variables import draw_variables

RNG = np.random.default_rng(4)
FORMS = {
    "infonce": PairOptions(),
    "swapped": PairOptions(contrastive_form="swapped"),
    "cosine": PairOptions("cosine"),
    "euclid": PairOptions("euclid"),
    "frobenius": PairOptions("euclid", euclid_reduction="frobenius"),
}


@pytest.mark.parametrize(
    ("log_scale", "value"),
    [(0.0, 1.4643124), (1.0, 1.6958273), (-0.7, 1.4191899), (2.5, 3.9039977)],
)
def test_infonce_on_rows_of_which_one_is_zero(log_scale: float, value: float) -> None:
    left = named_tensor("input:losses.left", (4, 16), "normal", 1.0)
    right = named_tensor("input:losses.right", (4, 16), "normal", 1.0)
    left[0] = 0
    found = latent_distance(FORMS["infonce"], left, right, jnp.float32(log_scale))
    assert float(found) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_rows_that_do_not_count_change_neither_loss_nor_gradient(form: str) -> None:
    left, right = RNG.normal(size=(2, 6, 5)).astype(np.float32)
    mask = np.array([True, True, False, True, False, True])
    loss = jax.value_and_grad(
        lambda pair, mask: latent_distance(FORMS[form], *pair, jnp.float32(0.3), mask)
    )
    value, (d_left, _) = loss((left, right), mask)
    alone, (d_alone, _) = loss((left[mask], right[mask]), None)
    np.testing.assert_allclose(value, alone, rtol=1e-5)
    np.testing.assert_allclose(d_left[mask], d_alone, rtol=1e-4, atol=1e-6)
    assert not np.any(d_left[~mask])


def test_the_angle_of_parallel_rows_has_a_finite_gradient() -> None:
    rows = RNG.normal(size=(3, 4)).astype(np.float32)
    grad = jax.grad(lambda x: latent_distance(FORMS["cosine"], x, rows))(rows)
    assert np.isfinite(grad).all()


def test_log_cosh_is_linear_far_out() -> None:
    assert float(log_cosh(jnp.float32(500))) == pytest.approx(500 - np.log(2))
    assert float(log_cosh(jnp.float32(-500))) == pytest.approx(500 - np.log(2))


def model_and_batch(merge: str) -> tuple[CrossModal, dict, dict]:
    ecg = Architecture((8, 2), (3,), (4,), 2, (3,), dense_layers=(5,), dense_normalize="layer_norm")
    mri = Architecture((4, 4, 2), (3,), (4,), 2, dense_layers=(5,), conv_normalize="batch_norm")
    model = CrossModal((("ecg", ecg), ("mri", mri)), merge, temperature=1.0)
    batch = {
        "ecg": RNG.normal(size=(4, 8, 2)).astype(np.float32),
        "mri": RNG.normal(size=(4, 4, 4, 2)).astype(np.float32),
        "has_ecg": np.array([True, True, False, True]),
        "has_mri": np.array([True, False, True, True]),
        "mask": np.array([True, True, True, False]),
    }
    return model, draw_variables(make_init(model)), batch


def test_absent_signals_and_padded_rows_change_nothing() -> None:
    model, variables, batch = model_and_batch("sample")
    kinds = {"ecg": Reconstruction("log_cosh"), "mri": Reconstruction("mse", 2.0)}
    loss = jax.jit(paired_loss(model, kinds, PairOptions()))
    value, aux = loss(variables, batch, jax.random.key(0), 0)
    changed = {**batch, "ecg": batch["ecg"].copy(), "mri": batch["mri"].copy()}
    changed["ecg"][[2, 3]] += 5
    changed["mri"][[1, 3]] -= 3
    again, aux_again = loss(variables, changed, jax.random.key(0), 0)
    assert float(value) == pytest.approx(float(again), rel=1e-6)
    jax.tree.map(np.testing.assert_array_equal, aux.mutable, aux_again.mutable)
    terms = aux.metrics
    total = terms["ecg"] + 2 * terms["mri"] + terms["pair"]
    assert float(value) == pytest.approx(float(total), rel=1e-6)


def test_one_modality_alone_learns_to_give_itself_back() -> None:
    model, variables, batch = model_and_batch("sample")
    single = CrossModal(model.modalities[:1])
    step = jax.jit(jax.value_and_grad(autoencoder_loss(single, "log_cosh"), has_aux=True))
    part = {name: variables["params"][name] for name in ("encoder_ecg", "decoder_ecg")}
    values = []
    for _ in range(60):
        (value, _), grads = step({"params": part}, batch, jax.random.key(0), 0)
        part = jax.tree.map(lambda w, g: w - 0.5 * g, part, grads["params"])
        values.append(float(value))
    assert values[-1] < 0.8 * values[0]


def test_the_temperature_is_clipped_from_above_only() -> None:
    variables = {"params": {"pair": {"log_scale": jnp.float32(5)}, "other": 1}}
    clipped = clip_log_scale(variables, 4.6)["params"]
    assert float(clipped["pair"]["log_scale"]) == pytest.approx(4.6) and clipped["other"] == 1
    assert float(clip_log_scale(variables, 9.0)["params"]["pair"]["log_scale"]) == 5
