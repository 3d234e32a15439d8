"""What a network says of participants: errors by source, and that padding and absence count out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.systems.crossmodal.architecture import Architecture
from medjax.systems.crossmodal.loss import PairOptions, Reconstruction, latent_distance
from medjax.systems.crossmodal.model import CrossModal, make_init
from medjax.systems.crossmodal.predicting import Reading, only_kept, predictions
from tests.systems.crossmodal.cohorts import ECG, MRI

SMALL = {"conv_layers": (3,), "dense_blocks": (3,), "block_size": 1, "dense_layers": (5,)}
NETWORKS = (
    ("ecg", Architecture(ECG, conv_width=(3,), **SMALL)),
    ("mri", Architecture(MRI, **SMALL)),
)
KINDS = {"ecg": Reconstruction("log_cosh"), "mri": Reconstruction("mse")}
PAIR = PairOptions(weight=0.5)


def batch(rows: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "ecg": rng.normal(size=(rows, *ECG)).astype(np.float32),
        "mri": rng.normal(size=(rows, *MRI)).astype(np.float32),
        "has_ecg": np.arange(rows) % 3 != 1,
        "has_mri": np.arange(rows) % 4 != 2,
        "number": np.arange(rows, dtype=np.int32),
        "mask": np.arange(rows) < 5,
    }


def predicted(model, reading, given, means=None):
    variables = make_init(model)(jax.random.key(1))
    out = predictions(model, variables, given, jax.random.key(2), reading, means or {})
    return {name: np.asarray(array) for name, array in out.items()}


@pytest.mark.parametrize("merge", ["sample", "coordinate", "coordinate_fixed", "average"])
def test_each_reconstruction_comes_from_one_encoder_whatever_the_merge(merge):
    model = CrossModal(NETWORKS, merge, temperature=0.0)
    given, reading = batch(), Reading(KINDS, PAIR, "each", 2)
    out = predicted(model, reading, given)
    variables = make_init(model)(jax.random.key(1))
    z = model.apply(variables, "ecg", given["ecg"], method="encode")
    signal = model.apply(variables, "mri", z, method="decode")
    error = np.square(signal - given["mri"]).reshape(6, -1).mean(1)
    np.testing.assert_allclose(out["squared_error/mri_from_ecg"], error, rtol=1e-4)
    np.testing.assert_allclose(out["reconstruction/mri_from_ecg"], signal, atol=1e-5)
    own = out["squared_error/mri"]
    both = np.stack([error, own])
    there = np.stack([given["has_ecg"], given["has_mri"]]) & given["mask"]
    expected = (both * there).sum(0) / np.maximum(there.sum(0), 1)
    np.testing.assert_allclose(out["loss/mri"], expected, rtol=1e-4)


def test_the_pair_loss_sees_only_valid_participants_with_both():
    model = CrossModal(NETWORKS, "sample", temperature=0.5)
    given = batch()
    out = predicted(model, Reading(KINDS, PAIR), given)
    rows = given["mask"] & given["has_ecg"] & given["has_mri"]
    pair = [out[f"latent/{m}"][rows] for m in ("ecg", "mri")]
    expected = 0.5 * float(latent_distance(PAIR, *pair, jnp.array([0.5])))
    np.testing.assert_allclose(out["loss/pair"], expected, rtol=1e-4)


def test_the_fixed_mask_serves_where_predictions_are_as_in_training():
    model = CrossModal(NETWORKS, "coordinate_fixed", temperature=0.0)
    given = batch() | {"has_ecg": np.ones(6, bool), "has_mri": np.ones(6, bool)}
    out = predicted(model, Reading(KINDS, PAIR, "as_training"), given)
    variables = make_init(model)(jax.random.key(1))
    mask = np.asarray(variables["fixed"]["mask"]["coordinate_index"])
    z = np.where(mask == 0, out["latent/ecg"], out["latent/mri"])
    signal = model.apply(variables, "mri", z, method="decode")
    error = np.square(signal - given["mri"]).reshape(6, -1).mean(1)
    np.testing.assert_allclose(out["loss/mri"], np.where(given["mask"], error, 0), rtol=1e-4)


def test_encoders_alone_give_latents_alone_and_only_pictured_signals_are_kept():
    alone = CrossModal(NETWORKS, decoders=False)
    out = predicted(alone, Reading({}, None), batch())
    assert set(out) == {"latent/ecg", "latent/mri", "has_ecg", "has_mri"}
    assert only_kept(out) == out
    model = CrossModal(NETWORKS[:1])
    means = {"ecg": np.zeros(ECG, np.float32)}
    kept = only_kept(predicted(model, Reading(KINDS, None, pictured=2), batch(), means))
    assert len(kept["truth/ecg"]) == len(kept["reconstruction/ecg"]) == 2
    square = np.square(batch()["ecg"]).reshape(6, -1).mean(1)
    np.testing.assert_allclose(kept["squared_error/ecg_from_mean"], square, rtol=1e-5)
