"""The dual-attention autoencoder (ECGAttentionAE of Chen et al. 2024)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from medjax.nn.initializers import glorot_uniform, uniform
from medjax.nn.linear import Linear
from medjax.precision import at_least_float32
from medjax.systems.ecg_attention.attention import DualAttention, dropout_axes
from medjax.systems.ecg_attention.encoding import Encoding, instance_norm, latent_code
from medjax.systems.ecg_attention.residual import (
    DownBlock,
    PlainBlock,
    Stem,
    UpBlock,
    by_lead,
    time_code,
)
from medjax.systems.ecg_attention.sizes import EXPANSIONS, HEADS


class Encoder(nn.Module):
    """Stem, residual blocks, dual attention, and the head to the latent vector."""

    leads: int
    pool_dim: int
    latent_dim: int
    down_blocks: int = 5
    base_features: int = 4
    latent_linear: bool = False
    variational: bool = False
    time_code: bool = False
    add_time_mask: bool = True
    lead_attention: bool = True
    time_attention: bool = True
    serial_attention: bool = False
    lead_mask: bool = False
    batchwise_dropout: bool = False
    dropout: float = 0.2
    stem_channel_order: str = "lead_major"
    lead_mask_assignment: str = "per_sample"
    ablated_lead_branch: str = "duplicate"
    dropout_placement: str = "uniform"
    latent_sample_in_eval: bool = False
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.stem = Stem(self.leads, self.base_features, self.dtype)
        channels = [self.base_features * n for n in EXPANSIONS[1 : self.down_blocks + 1]]
        self.blocks = [DownBlock(features, self.dtype) for features in channels]
        self.attention = DualAttention(
            pool_dim=self.pool_dim,
            lead_attention=self.lead_attention,
            time_attention=self.time_attention,
            serial=self.serial_attention,
            ablated_lead_branch=self.ablated_lead_branch,
            rate=self.dropout,
            axes=dropout_axes(self.dropout_placement, self.batchwise_dropout),
            dtype=self.dtype,
        )
        if self.variational:
            self.mean, self.log_variance = self._dense(), self._dense()
        elif self.latent_linear:
            self.linear = self._dense()

    def _dense(self) -> Linear:
        zeros = nn.initializers.zeros
        return Linear(self.latent_dim, glorot_uniform, zeros, self.dtype)

    def __call__(
        self,
        signal: jax.Array,
        visible: jax.Array | None,
        valid: jax.Array | None,
        *,
        train: bool,
    ) -> Encoding:
        """Encode signals; arguments as in `ECGAttentionAE`."""
        features = self.features(signal, visible, valid, train=train)
        forbidden = self.forbidden(visible)
        pooled, lead_map, time_map = self.attention(features, forbidden, train=train)
        code = self._code(pooled, train)
        return code._replace(
            lead_attention=lead_map,
            time_attention=time_map,
            features=features.transpose(0, 3, 1, 2),
        )

    def _code(self, pooled: jax.Array, train: bool) -> Encoding:
        if self.variational:
            draw = train or self.latent_sample_in_eval
            return latent_code(self, self.mean(pooled), self.log_variance(pooled), draw)
        return Encoding(at_least_float32(self.linear(pooled) if self.latent_linear else pooled))

    def features(
        self,
        signal: jax.Array,
        visible: jax.Array | None,
        valid: jax.Array | None,
        *,
        train: bool,
    ) -> jax.Array:
        """Return the residual blocks' output [batch, lead, time, channel]."""
        x = by_lead(self.stem(signal), self.leads, self.stem_channel_order)
        if self.time_code:
            code = jnp.asarray(time_code(*x.shape[1:]), x.dtype)
            code = jnp.broadcast_to(code, x.shape)
            if self.add_time_mask and visible is not None:
                code = code * visible[..., None].astype(x.dtype)
            x = jnp.concatenate([x, code], axis=-1)
        for block in self.blocks:
            x = block(x, valid, train=train)
        return x

    def forbidden(self, visible: jax.Array | None) -> jax.Array | None:
        """Return the leads that none may read, bool [batch, heads or 1, 1, lead]; None: no such.

        A row that shows no lead at all may read every one: its attention would not be a number.
        """
        if visible is None or not self.lead_mask:
            return None
        hidden = (visible == 0).all(-1)
        hidden = hidden & ~hidden.all(-1, keepdims=True)
        if self.lead_mask_assignment == "per_sample":
            return hidden[:, None, None]
        rows, heads = np.arange(len(hidden))[:, None], np.arange(HEADS)
        return hidden[(rows * HEADS + heads) % len(hidden)][:, :, None]


class AttentionDecoder(nn.Module):
    """From the latent vector to an ECG: linear layers, residual blocks that double time.

    Each lead comes out with zero mean and unit variance over time.
    """

    leads: int
    time_steps: int
    up_blocks: int = 5
    base_features: int = 4
    linears: int = 2
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        steps = self.time_steps // 2**self.up_blocks
        widths = [self.base_features * steps, self.base_features * self.leads * steps]
        self.linear = [Linear(width, dtype=self.dtype) for width in widths[-self.linears :]]
        self.blocks = [UpBlock(self.base_features, self.dtype) for _ in range(self.up_blocks)]
        self.last = PlainBlock(1, self.dtype)
        self.output = LeadScale(self.leads)

    def __call__(self, z: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        """Map z [batch, latent] to float32 [batch, lead, time]."""
        return instance_norm(self.output(self.trunk(z, valid, train=train)))

    def trunk(self, z: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        """Return the signal [batch, lead, time] before the scale and normalisation of each lead."""
        x = z.astype(self.dtype)
        for linear in self.linear:
            x = linear(x)
        x = x.reshape(len(x), self.base_features, self.leads, -1).transpose(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x, valid, train=train)
        return self.last(x, valid, train=train)[..., 0]


class LeadScale(nn.Module):
    """A scale and a bias of each lead (a grouped convolution of one tap)."""

    leads: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map [batch, lead, time] to float32 [batch, lead, time]."""
        scale = self.param("scale", uniform(1.0), (self.leads,), jnp.float32)
        bias = self.param("bias", uniform(1.0), (self.leads,), jnp.float32)
        return at_least_float32(x) * scale[:, None] + bias[:, None]
