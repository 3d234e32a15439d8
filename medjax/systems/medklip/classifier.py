"""Fine-tuning for classification: a ResNet whose first stages come from the pre-training."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.linear import Linear
from medjax.nn.resnet import Stage
from medjax.systems.medklip.backbones import resnet_size
from medjax.systems.medklip.encoder import make_resnet


class Classifier(nn.Module):
    """Films -> pooled features and one logit an output.

    `network` is what the pre-training's encoder has; the last stage and the head are new.
    """

    backbone: str = "resnet50"
    stages: int = 3
    """Of the pre-training's encoder; one more follows."""
    width: int = 64
    outputs: int = 1
    groups: int = 1
    checkpoint: bool = False
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        sizes, bottleneck = resnet_size(self.backbone)
        options = (self.groups, self.dtype, self.checkpoint)
        self.network = make_resnet(self.backbone, self.stages, self.width, *options)
        self.last_stage = Stage(
            sizes[self.stages], self.width * 2**self.stages, 2, bottleneck, True, *options
        )
        self.head = Linear(self.outputs, dtype=self.dtype)

    def __call__(
        self, images: jax.Array, mask: jax.Array | None = None, *, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Return (logits [batch, outputs], features [batch, channels])."""
        last = self.network.maps(images, mask, train=train)[-1]
        features = self.last_stage(last, mask, train=train).mean((1, 2))
        return self.head(features), features
