"""What every network of MedFuse shares: its arguments, both encoders and their own heads."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.errors import UsageError
from medjax.systems.medfuse.encoders import Head, SeriesEncoder, make_backbone
from medjax.systems.medfuse.freezing import check_fusion


class Prediction(NamedTuple):
    """What a network gives; features are None where the fusion does not read that modality."""

    logits: jax.Array
    """float32 [batch, classes], of the fusion."""
    ehr: jax.Array | None
    """Features of the series as the fusion read them [batch, features]."""
    cxr: jax.Array | None
    """Features of the film as the fusion read them [batch, features]."""
    heads: Mapping[str, jax.Array] = {}
    """Logits of further heads [batch, classes] by name; MMTM has one for each modality alone."""
    alignment: jax.Array | None = None
    """Distance of both modalities' features, a mean over rows; None where a fusion has none."""


class ReadableImages(NamedTuple):
    """The images of a batch as a network may read them."""

    image: jax.Array
    """[batch, height, width, 3], zero where there is none."""
    in_statistics: jax.Array
    """bool [batch]: the rows that BatchNorm's statistics count."""
    present: jax.Array
    """bool [batch]: the rows whose features are read; the others' are zero."""


class TwoEncoders(nn.Module):
    """The options, the encoders and their own heads; subclasses say how they are fused.

    Parts that a fusion does not use have no parameters. No row sees another but through the
    statistics of BatchNorm.
    """

    fusion: str
    backbone: str = "resnet34"
    stage_sizes: Sequence[int] = ()
    """Of the backbone "resnet"; the published ones have their own."""
    width: int = 64
    dim: int = 256
    layers: int = 2
    dropout: float = 0.3
    num_classes: int = 25
    vision_num_classes: int = 14
    labels: str = "pheno"
    """"pheno", "mortality" or "radiology"."""
    absent_images: str = "masked"
    """Rows without a film: "masked" keeps them out of BatchNorm's statistics and gives them zero
    features; "zeros" (published) feeds a zero image like any other."""
    groups: int = 1
    """Groups of BatchNorm statistics."""
    dtype: jnp.dtype = jnp.float32
    """Of the computation; parameters, statistics and logits are float32."""

    def setup(self) -> None:
        self.check_options()
        self.ehr = SeriesEncoder(self.dim, self.layers, self.dropout, self.dtype)
        self.ehr_head = Head(self.num_classes, xavier=True)
        self.cxr = make_backbone(
            self.backbone,
            stage_sizes=self.stage_sizes,
            width=self.width,
            groups=self.groups,
            dtype=self.dtype,
        )
        self.cxr_head = Head(self.vision_num_classes)

    def check_options(self) -> None:
        """Raise UsageError where an option is not known or does not go with another."""
        check_fusion(self.fusion)
        check_choice("absent_images", self.absent_images, ("masked", "zeros"))
        check_choice("labels", self.labels, ("pheno", "mortality", "radiology"))
        if self.labels == "radiology" and self.fusion not in ("lstm", "uni_ehr", "uni_cxr"):
            raise UsageError(f"fusion {self.fusion!r} has no radiology labels; use lstm or uni_cxr")

    def readable_images(
        self, image: jax.Array, has_image: jax.Array, mask: jax.Array
    ) -> ReadableImages:
        """Return the images [batch, height, width, 3] with those that are absent taken out."""
        image = jnp.where(has_image[:, None, None, None], image, 0)
        if self.absent_images == "zeros":
            return ReadableImages(image, mask, jnp.ones_like(has_image))
        return ReadableImages(image, mask & has_image, has_image)


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Raise UsageError where an option has a value that is not known."""
    if value not in known:
        raise UsageError(f"{name} {value!r} is none of {', '.join(map(repr, known))}")
