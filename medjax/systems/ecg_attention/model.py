"""The networks that turn an ECG into a latent vector and back, and which one a stage asks for."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.systems.ecg_attention.checks import check_options
from medjax.systems.ecg_attention.decoders import LinearDecoder, MultiScaleDecoder
from medjax.systems.ecg_attention.dual_attention import AttentionDecoder, Encoder
from medjax.systems.ecg_attention.encoding import Encoding, instance_norm
from medjax.systems.ecg_attention.marcel_vae import MarcelDecoder, MarcelEncoder
from medjax.systems.ecg_attention.xresnet import XResNet1d101

ENCODER_FIELDS = (
    *("leads", "pool_dim", "latent_dim", "down_blocks", "base_features", "latent_linear"),
    *("variational", "time_code", "add_time_mask", "lead_attention", "time_attention"),
    *("serial_attention", "lead_mask", "batchwise_dropout", "dropout", "stem_channel_order"),
    *("lead_mask_assignment", "ablated_lead_branch", "dropout_placement"),
    "latent_sample_in_eval",
)
"""Fields of a stage's `model` that the encoder of dual attention has under the same names."""


class Autoencoder(nn.Module):
    """An encoder and a decoder of ECGs; variables lie under "encoder" and "decoder"."""

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
    return Autoencoder(_encoder(options, dtype), _decoder(options, dtype), options["norm_output"])


def decoder_of(options: Mapping[str, Any]) -> str:
    """Return the kind of a network's decoder, which only xresnet1d101 leaves open."""
    own = {"dual_attention": "attention_decoder", "marcel_vae": "marcel_vae"}
    return own.get(options["network"], options["decoder"])


def _encoder(options: Mapping[str, Any], dtype: jnp.dtype) -> nn.Module:
    latent = options["latent_dim"]
    if options["network"] == "marcel_vae":
        drawn = options["latent_sample_in_eval"]
        return MarcelEncoder(options["leads"], latent, drawn, dtype)
    if options["network"] == "xresnet1d101":
        return XResNet1d101(latent, dtype)
    return Encoder(**{name: options[name] for name in ENCODER_FIELDS}, dtype=dtype)


def _decoder(options: Mapping[str, Any], dtype: jnp.dtype) -> nn.Module:
    size = (options["leads"], options["time_steps"])
    decoder = decoder_of(options)
    if decoder == "attention_decoder":
        depth = (options["up_blocks"], options["base_features"], options["decoder_linears"])
        return AttentionDecoder(*size, *depth, dtype)
    plain = {"marcel_vae": MarcelDecoder, "ms_resnet": MultiScaleDecoder, "linear": LinearDecoder}
    return plain[decoder](*size, dtype)
