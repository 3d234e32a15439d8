"""Multimodal transfer module (Joze et al. 2020) between both encoders, as in MedFuse's baselines.

Each block squeezes both modalities to one vector and gates the channels of both by it. Three heads
predict: one for each modality and one for both.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.errors import UsageError
from medjax.losses import kl_alignment
from medjax.nn.linear import Linear
from medjax.systems.medfuse.base import Prediction
from medjax.systems.medfuse.encoders import Head
from medjax.systems.medfuse.intermediate import IntermediateFusion
from medjax.systems.medfuse.positions import LAST


class MMTMBlock(nn.Module):
    """Gates of a map's and of a sequence's channels, from the squeezed vector of both."""

    ratio: float
    """The excitation is 2 / ratio times as wide as the squeezed vector, rounded down."""
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, image: jax.Array, states: jax.Array, squeezed: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """See `intermediate.Block`."""
        width = int(2 * squeezed.shape[-1] / self.ratio) if self.ratio > 0 else 0
        if width < 1:
            raise UsageError(f"mmtm_ratio {self.ratio} leaves no channel of {squeezed.shape[-1]}")
        excitation = nn.relu(Linear(width, dtype=self.dtype, name="squeeze")(squeezed))

        def gate(x: jax.Array, name: str) -> jax.Array:
            return nn.sigmoid(Linear(x.shape[-1], dtype=self.dtype, name=name)(excitation))

        return (
            image * gate(image, "image_gate")[:, None, None],
            states * gate(states, "series_gate")[:, None],
        )


class MMTM(IntermediateFusion):
    """Both encoders with MMTM blocks; the image network's features fix the joint width."""

    fusion: str = "mmtm"
    ratio: float = 4

    def setup(self) -> None:
        super().setup()
        self.mmtm = [MMTMBlock(self.ratio, self.dtype) for _ in range(LAST + 1)]
        self.projection = Linear(self.cxr.features, dtype=self.dtype)
        self.joint_head = Head(self.num_classes)

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
        """Predict the labels of a batch; the arguments are those of `MedFuse`.

        `logits` are the joint head's, `heads` those of either modality's own.
        """
        ehr_train = train if ehr_train is None else ehr_train
        cxr_train = train if cxr_train is None else cxr_train
        joined = self.join(self.mmtm, series, length, image, has_image, mask, cxr_train)
        cxr = joined.cxr
        ehr = self.ehr.after_first(joined.states, length, train=ehr_train)
        projected = self.projection(ehr)
        heads = {"ehr_only": self.ehr_head(ehr), "cxr_only": self.cxr_head(cxr)}
        logits = self.joint_head(jnp.concatenate([projected, cxr], axis=-1))
        distance = kl_alignment(cxr, projected, mask=mask & joined.present)
        return Prediction(logits, ehr, cxr, heads, distance)


def head_probabilities(heads: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Return the probabilities of either modality's own head, and the mean of both.

    {} for a network without further heads.
    """
    if not heads:
        return {}
    each = {name: nn.sigmoid(logits) for name, logits in heads.items()}
    return {**each, "late_average": (each["cxr_only"] + each["ehr_only"]) / 2}
