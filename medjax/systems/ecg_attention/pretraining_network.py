"""The network of the pre-training: an autoencoder, and what reads its latent vector."""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.systems.ecg_attention.encoding import Encoding
from medjax.systems.ecg_attention.heads import Head, Projector, projector_widths
from medjax.systems.ecg_attention.model import Autoencoder

CLASSIFIER_HIDDEN = 128
TEMPERATURE = 0.07
"""With which InfoNCE starts (Radford and others, 2021)."""
MAX_SCALE = 100.0
SIGMOID_SCALE, SIGMOID_BIAS = 10.0, -10.0
"""With which the pairwise sigmoid loss starts (Zhai and others, 2023)."""


class Pretrained(NamedTuple):
    """What the network makes of a batch; None where it has no such part."""

    reconstruction: jax.Array
    """[batch, lead, time]"""
    encoding: Encoding
    ecg_projection: jax.Array | None
    """[batch, features], of any length."""
    text_projection: jax.Array | None
    class_logits: jax.Array | None
    """[batch, classes]"""
    scale: jax.Array | None
    """Inverse temperature of a contrastive loss."""
    bias: jax.Array | None


class PretrainingNetwork(Autoencoder):
    """`Autoencoder` with projectors into the space of alignment and a classifier.

    Beside "encoder" and "decoder" its variables lie under "ecg_projector", "text_projector",
    "classifier", "log_scale" and "bias".
    """

    latent_dim: int = 512
    alignment_loss: str = "none"
    """"none": no projectors; "cosine"; "infonce" learns a scale, "siglip" a scale and a bias."""
    classes: int = 0
    """Outputs of the classifier; 0: none."""
    classifier_dropout: float = 0.5

    def setup(self) -> None:
        if self.alignment_loss != "none":
            widths = projector_widths(self.latent_dim)
            self.ecg_projector, self.text_projector = Projector(*widths), Projector(*widths)
        if self.alignment_loss in ("infonce", "siglip"):
            start = 1 / TEMPERATURE if self.alignment_loss == "infonce" else SIGMOID_SCALE
            self.log_scale = self.param("log_scale", nn.initializers.constant(math.log(start)), ())
        if self.alignment_loss == "siglip":
            self.bias = self.param("bias", nn.initializers.constant(SIGMOID_BIAS), ())
        if self.classes:
            self.classifier = Head(CLASSIFIER_HIDDEN, self.classes, self.classifier_dropout)

    def read(
        self,
        signal: jax.Array,
        visible: jax.Array,
        text: jax.Array | None,
        valid: jax.Array,
        *,
        train: bool,
    ) -> Pretrained:
        """Encode, reconstruct, project and classify a batch.

        Args:
            signal, visible: [batch, lead, time], as in `Autoencoder.encode`.
            text: [batch, width] embeddings; None where nothing is aligned.
            valid: bool [batch], False for padding rows.
            train: as in `Autoencoder.encode`.
        """
        reconstruction, encoding = self(signal, visible, valid, train=train)
        aligned = self.alignment_loss != "none"
        contrastive = self.alignment_loss in ("infonce", "siglip")
        return Pretrained(
            reconstruction=reconstruction,
            encoding=encoding,
            ecg_projection=self.ecg_projector(encoding.z) if aligned else None,
            text_projection=self.text_projector(text) if aligned and text is not None else None,
            class_logits=self.classifier(encoding.z, valid, train=train) if self.classes else None,
            scale=jnp.exp(jnp.minimum(self.log_scale, math.log(MAX_SCALE)))
            if contrastive
            else None,
            bias=self.bias if self.alignment_loss == "siglip" else None,
        )
