"""The loss of the pre-training: reconstruction, latent prior, alignment with text, superclasses."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from medjax.losses import (
    cosine_alignment,
    info_nce,
    masked_mean,
    sigmoid_cross_entropy,
    sigmoid_pairs,
)
from medjax.run.system import Aux, Batch, Variables
from medjax.systems.ecg_attention.encoding import Encoding
from medjax.systems.ecg_attention.items import Items
from medjax.systems.ecg_attention.pretraining_network import Pretrained, PretrainingNetwork


class Weights(NamedTuple):
    """Of the parts of the loss; a part of weight 0 is left out."""

    reconstruction: float
    kl: float
    alignment: float
    superclass: float


def reconstruction_error(items: Items, reconstruction: jax.Array, batch: Batch) -> jax.Array:
    """Return the mean squared error over valid rows and recorded leads.

    Padding and what was masked count as well: the network is to tell them from the rest.
    """
    error = jnp.square(items.target - reconstruction)
    there = (batch["recorded"] & batch["mask"][:, None]).astype(error.dtype)
    return (error * there[..., None]).sum() / jnp.maximum(there.sum() * error.shape[-1], 1)


def kl_divergence(encoding: Encoding, mask: jax.Array) -> jax.Array:
    """Return the mean over valid rows of KL(q(z|x) || N(0, 1)) (Kingma and Welling, 2014)."""
    assert encoding.mean is not None and encoding.log_variance is not None
    mean, log_variance = encoding.mean, encoding.log_variance
    each = -0.5 * (1 + log_variance - jnp.square(mean) - jnp.exp(log_variance)).sum(-1)
    return masked_mean(each, mask)


def alignment(name: str, output: Pretrained, batch: Batch) -> jax.Array:
    """Return the alignment loss `name` of rows that have a text.

    Records of one text are no negatives of each other.
    """
    assert output.ecg_projection is not None and output.text_projection is not None
    pair = output.ecg_projection, output.text_projection
    mask = batch["mask"] & (batch["text_group"] >= 0)
    if name == "cosine":
        return cosine_alignment(*pair, mask)
    assert output.scale is not None
    if name == "infonce":
        return info_nce(*pair, output.scale, batch["text_group"], mask)
    assert output.bias is not None
    return sigmoid_pairs(*pair, output.scale, output.bias, batch["text_group"], mask)


def text_of(batch: Batch) -> jax.Array | None:
    """Return the text embeddings [batch, width] of a batch; of rows without text, any."""
    return batch["texts"][batch["text_group"]] if "texts" in batch else None


def loss_parts(
    network: PretrainingNetwork, output: Pretrained, items: Items, batch: Batch, weights: Weights
) -> dict[str, tuple[float, jax.Array]]:
    """Return {name: (weight, value)} of the parts that count."""
    parts: dict[str, tuple[float, jax.Array]] = {}
    if weights.reconstruction:
        error = reconstruction_error(items, output.reconstruction, batch)
        parts["mse"] = weights.reconstruction, error
    if weights.kl and output.encoding.log_variance is not None:
        parts["kl"] = weights.kl, kl_divergence(output.encoding, batch["mask"])
    if weights.alignment and network.alignment_loss != "none":
        value = alignment(network.alignment_loss, output, batch)
        parts["alignment"] = weights.alignment, value
    if weights.superclass and output.class_logits is not None:
        entropy = sigmoid_cross_entropy(output.class_logits, batch["labels"])
        parts["bce"] = weights.superclass, masked_mean(entropy, batch["mask"])
    return parts


def make_loss(
    network: PretrainingNetwork,
    weights: Weights,
    make_items: Callable[[Batch, jax.Array], Items],
) -> Callable[[Variables, Batch, jax.Array, jax.Array], tuple[jax.Array, Aux]]:
    """Return the loss of an `Update`.

    make_items: (batch, key) -> masked items.
    """

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del step
        of_items, of_dropout, of_latent = jax.random.split(key, 3)
        items = make_items(batch, of_items)
        collections = [name for name in variables if name != "params"]
        output, mutable = network.apply(
            variables,
            *(items.signal, items.visible, text_of(batch), batch["mask"]),
            train=True,
            rngs={"dropout": of_dropout, "latent": of_latent},
            mutable=collections,
            method="read",
        )
        parts = loss_parts(network, output, items, batch, weights)
        total: Any = sum(weight * value for weight, value in parts.values())
        metrics: Mapping[str, jax.Array] = {name: value for name, (_, value) in parts.items()}
        return total, Aux(mutable, metrics)

    return loss
