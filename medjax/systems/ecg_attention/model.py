"""The networks that turn an ECG into a latent vector and back, and which one a stage asks for.

Every network of this system has `encode`, `decode` and `__call__` as `Autoencoder` has them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.errors import UsageError, nearest
from medjax.systems.ecg_attention.dual_attention import AttentionDecoder, Encoder
from medjax.systems.ecg_attention.encoding import Encoding, instance_norm

NETWORKS = ("dual_attention",)


class Autoencoder(nn.Module):
    """An encoder and a decoder of 12- or 8-lead ECGs.

    Variables lie under "encoder" and "decoder".
    """

    encoder: nn.Module
    decoder: nn.Module
    norm_output: bool = False
    """Give each reconstructed lead zero mean and unit variance."""

    def encode(
        self,
        signal: jax.Array,
        visible: jax.Array | None = None,
        valid: jax.Array | None = None,
        *,
        train: bool = False,
    ) -> Encoding:
        """Encode a batch of ECGs.

        Args:
            signal: [batch, lead, time].
            visible: of the same shape, 1 where the signal is shown; None: everywhere.
            valid: bool [batch], False for padding rows, which touch no other row; None: all valid.
            train: dropout (rng "dropout"), BatchNorm by the batch, a drawn z (rng "latent").
        """
        return self.encoder(signal, visible, valid, train=train)

    def decode(
        self, z: jax.Array, valid: jax.Array | None = None, *, train: bool = False
    ) -> jax.Array:
        """Map z [batch, latent] to a reconstruction float32 [batch, lead, time]."""
        x = self.decoder(z, valid, train=train)
        return instance_norm(x) if self.norm_output else x

    def __call__(
        self,
        signal: jax.Array,
        visible: jax.Array | None = None,
        valid: jax.Array | None = None,
        *,
        train: bool = False,
    ) -> tuple[jax.Array, Encoding]:
        """Return the reconstruction [batch, lead, time] and the code; arguments as in `encode`."""
        code = self.encode(signal, visible, valid, train=train)
        return self.decode(code.z, valid, train=train), code


def make_network(options: Mapping[str, Any], precision: str = "float32") -> Autoencoder:
    """Return the network that the `model` fields of a stage ask for.

    precision: type of the computation; parameters, statistics, z and reconstruction are float32.

    Raises:
        UsageError: an option is not known, or does not go with another.
    """
    check_options(options)
    dtype = jnp.dtype(precision)
    names = (
        *("leads", "pool_dim", "latent_dim", "down_blocks", "base_features", "latent_linear"),
        *("variational", "time_code", "add_time_mask", "lead_attention", "time_attention"),
        *("serial_attention", "lead_mask", "batchwise_dropout", "dropout", "stem_channel_order"),
        *("lead_mask_assignment", "ablated_lead_branch", "dropout_placement"),
        "latent_sample_in_eval",
    )
    encoder = Encoder(**{name: options[name] for name in names}, dtype=dtype)
    decoder = AttentionDecoder(
        options["leads"],
        options["time_steps"],
        options["up_blocks"],
        options["base_features"],
        options["decoder_linears"],
        dtype,
    )
    return Autoencoder(encoder, decoder, options["norm_output"])


def check_options(options: Mapping[str, Any]) -> None:
    """Raise UsageError where an option is not known or does not go with another."""
    check_choice("network", options["network"], NETWORKS)


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Raise UsageError where an option has a value that is not known."""
    if value not in known:
        raise UsageError(
            f"model.{name} {value!r} is none of {', '.join(map(repr, known))}"
            f"{nearest(value, known)}"
        )
