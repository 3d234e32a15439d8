"""The loss of the pre-training by hand, its masks, what collapses; the metrics; the probe."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medjax.errors import UserError
from medjax.systems.ecg_attention import pretraining_evaluation as evaluation
from medjax.systems.ecg_attention.encoding import Encoding
from medjax.systems.ecg_attention.items import Items
from medjax.systems.ecg_attention.pretraining_loss import (
    alignment,
    kl_divergence,
    reconstruction_error,
)
from medjax.systems.ecg_attention.pretraining_network import Pretrained
from medjax.systems.ecg_attention.probe import fit_probe, probabilities
from medjax.systems.ecg_attention.reconstruction import errors_of, reconstruction_metrics

RNG = np.random.default_rng(0)
TARGET, MADE = RNG.normal(size=(2, 4, 12, 20)).astype(np.float32)
SHOWN = np.ones_like(TARGET)
SHOWN[..., :3] = 0
ITEMS = Items(jnp.asarray(TARGET), jnp.asarray(TARGET), jnp.asarray(SHOWN))
BATCH = {"recorded": jnp.ones((4, 12), bool), "mask": jnp.array([True, True, True, False])}


def test_training_counts_padding_and_masked_leads_but_no_padding_rows() -> None:
    expected = np.square(TARGET - MADE)[:3].mean()
    np.testing.assert_allclose(reconstruction_error(ITEMS, MADE, BATCH), expected, rtol=1e-5)
    lead_missing = {**BATCH, "recorded": BATCH["recorded"].at[0, 5].set(False)}
    errors = np.square(TARGET - MADE)[:3].mean(-1)
    expected = (errors.sum() - errors[0, 5]) / 35
    np.testing.assert_allclose(reconstruction_error(ITEMS, MADE, lead_missing), expected, rtol=1e-5)


def test_validation_counts_what_is_visible() -> None:
    outputs = {k: np.asarray(v) for k, v in errors_of(ITEMS, MADE).items()}
    metrics = reconstruction_metrics(outputs, [str(i) for i in range(12)])
    error = np.square(TARGET - MADE)[..., 3:]
    assert abs(metrics["loss"].value - error.mean()) < 1e-5
    assert abs(metrics["mse/4"].value - error[:, 4].mean()) < 1e-5
    rmse = np.sqrt(error.mean((1, 2)))
    assert abs(metrics["rmse"].value - rmse.mean()) < 1e-5
    snr = 10 * np.log10(np.square(TARGET[..., 3:]).sum((1, 2)) / error.sum((1, 2)))
    assert abs(metrics["snr_db"].value - snr.mean()) < 1e-4


def test_kl_of_a_known_normal() -> None:
    mean, log_variance = jnp.array([[1.0, 0.0], [5.0, 5.0]]), jnp.array([[0.0, jnp.log(4.0)]] * 2)
    code = Encoding(mean, mean, log_variance)
    expected = 0.5 * 1 + 0.5 * (4 - 1 - np.log(4))
    np.testing.assert_allclose(kl_divergence(code, jnp.array([True, False])), expected, rtol=1e-6)


def pair(ecg: np.ndarray, text: np.ndarray) -> Pretrained:
    code = Encoding(jnp.asarray(ecg))
    scale, bias = jnp.float32(10), jnp.float32(-5)
    return Pretrained(
        jnp.asarray(MADE), code, jnp.asarray(ecg), jnp.asarray(text), None, scale, bias
    )


@pytest.mark.parametrize("name", ["cosine", "infonce", "siglip"])
def test_rows_without_text_or_of_padding_are_not_aligned(name) -> None:
    ecg, text = RNG.normal(size=(2, 4, 6)).astype(np.float32)
    moved = text.copy()
    moved[[2, 3]] = 50
    batch = {**BATCH, "text_group": jnp.array([0, 1, -1, 2])}
    one, other = (alignment(name, pair(ecg, t), batch) for t in (text, moved))
    assert float(one) == float(other) > 0


def test_collapse_is_told_and_says_what_to_do() -> None:
    spread, point = RNG.normal(size=(30, 8)), np.ones((30, 8)) + 1e-4 * RNG.normal(size=(30, 8))
    outputs = {"text_group": np.arange(30), "ecg_projection": point, "text_projection": spread}
    found = evaluation.alignment_metrics(outputs)
    (sentence,) = evaluation.warnings(found, "cosine")
    assert "ecg projections lie on one point" in sentence and "infonce" in sentence
    outputs["ecg_projection"] = spread
    assert not list(evaluation.warnings(evaluation.alignment_metrics(outputs), "cosine"))


def test_only_some_reconstructions_are_held() -> None:
    outputs = {"kept": np.array([True, False, True]), "z": np.arange(3), "target": np.arange(3)}
    held = evaluation.only_kept(outputs)
    assert held["z"].tolist() == [0, 1, 2] and held["target"].tolist() == [0, 2]
    assert "kept" not in held


def outputs_of(n: int, noise: float) -> dict[str, np.ndarray]:
    labels = RNG.integers(0, 2, (n, 2)).astype(np.float32)
    z = np.concatenate([labels, RNG.normal(size=(n, 4))], 1) + noise * RNG.normal(size=(n, 6))
    return {"z": z.astype(np.float32), "labels": labels}


def test_a_probe_finds_what_is_linear_and_leaves_unknown_labels_out() -> None:
    train, validation, test = outputs_of(300, 0.2), outputs_of(80, 0.2), outputs_of(80, 0.2)
    train["labels"][::3, 1] = np.nan
    fitted = fit_probe(train, validation, (1e-3, 1e-1, 1.0))
    found = probabilities(fitted, test["z"])
    for i in range(2):
        assert roc_auc_score(test["labels"][:, i], found[:, i]) > 0.98
    assert float(fitted["inverse_penalty"]) in (1e-3, 1e-1, 1.0)


def test_a_label_of_one_class_has_its_frequency() -> None:
    train, validation = outputs_of(98, 0.2), outputs_of(20, 0.2)
    train["labels"][:, 0] = 0
    fitted = fit_probe(train, validation, (1.0,))
    np.testing.assert_allclose(probabilities(fitted, validation["z"])[:, 0], 0.5 / 99, rtol=1e-6)


def test_a_probe_without_labels_is_refused() -> None:
    with pytest.raises(UserError, match="recordings have none"):
        fit_probe({"z": np.zeros((3, 2))}, {"z": np.zeros((3, 2))}, (1.0,))
