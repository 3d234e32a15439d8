"""What reads the latent vector: the head of risk and of classes, and the projectors."""

import flax.linen as nn
import jax

from medjax.nn.batch_norm import BatchNorm
from medjax.nn.dropout import Dropout
from medjax.nn.initializers import glorot_uniform
from medjax.nn.linear import Linear
from medjax.precision import at_least_float32

INPUT_DROPOUT = 0.25
WIDE = 100
"""Hidden units above which the hidden layer has dropout too."""


class Head(nn.Module):
    """BatchNorm, dropout, linear, ReLU, BatchNorm, (dropout,) linear.

    The published BenchmarkClassifier: 3 hidden units and 1 output for risk, 128 and 5 for the
    superclasses.
    """

    hidden: int
    outputs: int
    dropout: float = 0.5
    """Of the hidden layer, where it has more than 100 units."""
    batchwise_dropout: bool = False
    """One mask for the whole batch."""

    def setup(self) -> None:
        shared = (0,) if self.batchwise_dropout else ()
        xavier = glorot_uniform
        self.norm1, self.norm2 = BatchNorm(), BatchNorm()
        self.linear1 = Linear(self.hidden, xavier)
        self.linear2 = Linear(self.outputs, xavier)
        self.input_dropout = Dropout(INPUT_DROPOUT, shared)
        self.hidden_dropout = Dropout(self.dropout if self.hidden > WIDE else 0.0, shared)

    def __call__(self, z: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        """Map z [batch, latent] to float32 [batch, outputs]; valid [batch] as in BatchNorm."""
        return self.score(self.features(z, valid, train=train))

    def score(self, features: jax.Array) -> jax.Array:
        """Map what the last linear layer reads [batch, hidden] to [batch, outputs]."""
        return self.linear2(features)

    def features(self, z: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        """Return what the last linear layer reads, [batch, hidden]."""
        x = self.norm1(at_least_float32(z), valid, train=train)
        x = nn.relu(self.linear1(self.input_dropout(x, train=train)))
        return self.hidden_dropout(self.norm2(x, valid, train=train), train=train)


class Projector(nn.Module):
    """Linear, ReLU, linear: into the space where ECG and text are aligned."""

    hidden: int
    outputs: int

    def setup(self) -> None:
        self.linear1, self.linear2 = Linear(self.hidden), Linear(self.outputs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map [batch, inputs] to float32 [batch, outputs]."""
        return self.linear2(nn.relu(self.linear1(at_least_float32(x))))


def projector_widths(latent_dim: int) -> tuple[int, int]:
    """Return the published widths (hidden, outputs) of both projectors for a latent vector."""
    return (256, 128) if latent_dim == 512 else (latent_dim // 2, latent_dim // 2)
