"""Dynamic affine feature map transform (Poelsl et al. 2021), as in MedFuse's baselines.

Each block scales and shifts the series' states by what it reads from the film's map and from the
states; the film acts through the blocks alone.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.linear import Linear
from medjax.systems.medfuse.base import Prediction, check_choice
from medjax.systems.medfuse.intermediate import IntermediateFusion
from medjax.systems.medfuse.positions import LAST

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "linear": lambda scale: scale,
    "sigmoid": nn.sigmoid,
    "tanh": jnp.tanh,
}


class DAFTBlock(nn.Module):
    """Scale and shift of a sequence's channels, from the squeezed vector of both modalities."""

    activation: str
    """Of the scale."""
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, image: jax.Array, states: jax.Array, squeezed: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """See `intermediate.Block`; the map passes through."""
        # The published width: 16 and the map's channels over 7.
        width = (16 + image.shape[-1]) // 7
        dense = nn.relu(Linear(width, dtype=self.dtype, use_bias=False, name="base")(squeezed))
        out = Linear(2 * states.shape[-1], dtype=self.dtype, use_bias=False, name="out")(dense)
        scale, shift = jnp.split(out[:, None], 2, axis=-1)
        return image, ACTIVATIONS[self.activation](scale) * states + shift


class DAFT(IntermediateFusion):
    """Both encoders with DAFT blocks; the series encoder's head predicts."""

    fusion: str = "daft"
    activation: str = "linear"
    """Of the scale: "linear", "sigmoid" or "tanh"."""

    def setup(self) -> None:
        super().setup()
        self.daft = [DAFTBlock(self.activation, self.dtype) for _ in range(LAST + 1)]

    def check_options(self) -> None:
        super().check_options()
        check_choice("daft_activation", self.activation, tuple(ACTIVATIONS))

    def __call__(
        self,
        series: jax.Array,
        length: jax.Array,
        image: jax.Array,
        has_image: jax.Array,
        mask: jax.Array,
        *,
        train: bool,
        ehr_train: bool | None = None,
        cxr_train: bool | None = None,
    ) -> Prediction:
        """Predict the labels of a batch; the arguments are those of `MedFuse`."""
        ehr_train = train if ehr_train is None else ehr_train
        cxr_train = train if cxr_train is None else cxr_train
        joined = self.join(self.daft, series, length, image, has_image, mask, cxr_train)
        ehr = self.ehr.after_first(joined.states, length, train=ehr_train)
        return Prediction(self.ehr_head(ehr), ehr, joined.cxr)
