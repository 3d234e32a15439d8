"""What MMTM and DAFT share: blocks that act between the stages of the image network.

Each block reads the map after one stage and the states of the series' first LSTM layer at every
hour; the further layers read what the blocks make of these states.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from medjax.errors import UsageError
from medjax.nn.resnet import ResNet
from medjax.precision import at_least_float32
from medjax.systems.medfuse.base import TwoEncoders, check_choice
from medjax.systems.medfuse.positions import LAST, positions


class Joined(NamedTuple):
    """The image network and the first LSTM layer after all blocks."""

    cxr: jax.Array
    """Pooled features of the film [batch, features], zero where there is none."""
    states: jax.Array
    """[batch, time, dim]; what stands from a row's end on is not to be read."""
    present: jax.Array
    """bool [batch]: the rows whose film is read."""


class Block(Protocol):
    """A block of MMTM or DAFT."""

    def __call__(
        self, image: jax.Array, states: jax.Array, squeezed: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Return (map, states) after the block.

        image: [batch, height, width, channels]; states: [batch, time, dim]; squeezed: both means,
        [batch, channels + dim].
        """


class IntermediateFusion(TwoEncoders):
    """Both encoders with blocks between them; the image network is a ResNet."""

    layer_after: int = LAST
    """Position of the one block, or -1: after the stem and after every stage."""
    squeeze_mean: str = "masked"
    """The mean of the states over time: "masked" over a row's own hours, or "padded" (published)
    over those of the longest row of the batch."""

    def check_options(self) -> None:
        """Raise UsageError where an option is not known or does not go with another."""
        super().check_options()
        check_choice("squeeze_mean", self.squeeze_mean, ("masked", "padded"))

    def join(
        self,
        blocks: Sequence[Block],
        series: jax.Array,
        length: jax.Array,
        image: jax.Array,
        has_image: jax.Array,
        mask: jax.Array,
        train: bool,
    ) -> Joined:
        """Run the image network and the first LSTM layer with the blocks between them.

        `train` holds for the image network; the other arguments are those of `__call__`.
        """
        if not isinstance(self.cxr, ResNet):
            raise UsageError(
                f"fusion {self.fusion!r} acts between the stages of a ResNet: backbone "
                f"{self.backbone!r} has none"
            )
        stages = self.cxr.parts
        chosen = positions(self.layer_after, len(stages))
        images = self.readable_images(image, has_image, mask)
        states = self.ehr.first(series, length)
        hours = self._hours_of_the_mean(length, mask, states.shape[1])
        x = images.image
        for index, stage in enumerate(stages):
            x = stage(x, images.in_statistics, train=train)
            if index in chosen:
                pooled = jnp.where(images.present[:, None], x.mean((1, 2)), 0)
                squeezed = jnp.concatenate([pooled, mean_over(states, hours)], axis=-1)
                x, states = blocks[index](x, states, squeezed)
        features = jnp.where(images.present[:, None], x.mean((1, 2)), 0)
        return Joined(features, states, images.present)

    def _hours_of_the_mean(self, length: jax.Array, mask: jax.Array, time: int) -> jax.Array:
        """Return bool [batch, time]: the hours that enter a row's mean."""
        if self.squeeze_mean == "padded":
            length = jnp.full_like(length, jnp.where(mask, length, 0).max())
        return jnp.arange(time) < length[:, None]


def mean_over(states: jax.Array, hours: jax.Array) -> jax.Array:
    """Return the mean of states [batch, time, dim] over the hours [batch, time] that count."""
    kept = jnp.where(hours[..., None], states, 0)
    total = at_least_float32(kept).sum(1)
    count = jnp.maximum(hours.sum(1, keepdims=True), 1)
    return (total / count).astype(states.dtype)
