"""The network of the risk stage: an autoencoder whose latent vector a small head reads."""

from typing import NamedTuple

import jax

from medjax.systems.ecg_attention.encoding import Encoding
from medjax.systems.ecg_attention.heads import Head
from medjax.systems.ecg_attention.model import Autoencoder


class Risk(NamedTuple):
    """What the network makes of a batch."""

    log_risk: jax.Array
    """[batch] logarithm of the relative hazard."""
    hidden: jax.Array
    """[batch, hidden] the units that the last layer reads."""
    reconstruction: jax.Array
    """[batch, lead, time]"""
    encoding: Encoding


class RiskNetwork(Autoencoder):
    """`Autoencoder` with a Cox head; its variables lie under "head" beside the others'."""

    hidden: int = 3
    batchwise_dropout: bool = True

    def setup(self) -> None:
        self.head = Head(self.hidden, 1, batchwise_dropout=self.batchwise_dropout)

    def read(
        self,
        signal: jax.Array,
        visible: jax.Array,
        valid: jax.Array,
        *,
        train: bool,
        train_encoder: bool | None = None,
    ) -> Risk:
        """Score and reconstruct a batch.

        Args:
            signal, visible: [batch, lead, time], as in `Autoencoder.encode`.
            valid: bool [batch], False for padding rows.
            train: as in `Autoencoder.encode`.
            train_encoder: the same for the encoder alone; None: as `train`.
        """
        of_encoder = train if train_encoder is None else train_encoder
        encoding = self.encode(signal, visible, valid, train=of_encoder)
        hidden = self.head.features(encoding.z, valid, train=train)
        log_risk = self.head.score(hidden)[:, 0]
        reconstruction = self.decode(encoding.z, valid, train=train)
        return Risk(log_risk, hidden, reconstruction, encoding)
