"""MedFuse (Hayat, Geras & Shamout 2022): ICU series and chest film, fused by an LSTM.

Also the baselines of the paper: each modality alone, early and joint fusion.
"""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.errors import UsageError
from medjax.nn.linear import Linear
from medjax.nn.lstm import LSTM
from medjax.systems.medfuse.encoders import Head, SeriesEncoder, make_backbone
from medjax.systems.medfuse.freezing import check_fusion


class Prediction(NamedTuple):
    """What the model gives; features are None where the fusion does not read that modality."""

    logits: jax.Array
    """float32 [batch, classes]."""
    ehr: jax.Array | None
    """Features of the series as the fusion read them [batch, features]."""
    cxr: jax.Array | None
    """Features of the film as the fusion read them [batch, features]."""


class MedFuse(nn.Module):
    """One of the fusions over both encoders; parts that it does not use have no parameters.

    The second token of the fusion LSTM is read only where its modality is there: the film, or,
    with labels of the film ("radiology"), the series. No row sees another but through the
    statistics of BatchNorm.
    """

    fusion: str = "lstm"
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
        check_fusion(self.fusion)
        self._check_options()
        vision = make_backbone(
            self.backbone,
            stage_sizes=self.stage_sizes,
            width=self.width,
            groups=self.groups,
            dtype=self.dtype,
        )
        image_dim = vision.features
        radiology = self.labels == "radiology"
        self.ehr = SeriesEncoder(self.dim, self.layers, self.dropout, self.dtype)
        self.ehr_head = Head(self.num_classes, xavier=True)
        self.cxr = vision
        self.cxr_head = Head(self.vision_num_classes)
        self.projection = Linear(image_dim if radiology else self.dim, dtype=self.dtype)
        self.fused_head = Head(self.num_classes)
        self.fusion_lstm = LSTM(image_dim, dtype=self.dtype)
        self.lstm_head = Head(self.vision_num_classes if radiology else self.num_classes)

    def _check_options(self) -> None:
        if self.absent_images not in ("masked", "zeros"):
            raise UsageError(
                f"absent_images {self.absent_images!r} is neither 'masked' nor 'zeros'"
            )
        if self.labels not in ("pheno", "mortality", "radiology"):
            raise UsageError(f"labels {self.labels!r} is none of 'pheno', 'mortality', 'radiology'")
        both = ("early", "joint", "unified", "uni_ehr_lstm")
        if self.labels == "radiology" and self.fusion in both:
            raise UsageError(f"fusion {self.fusion!r} has no radiology labels; use lstm or uni_cxr")

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
        """Predict the labels of a batch.

        Args:
            series: [batch, time, channels], normalised; values from a row's length on are not
                read.
            length: int [batch], hours of each series; 0 where a stay has none.
            image: [batch, height, width, 3], standardised.
            has_image: bool [batch]; images of rows without one are not read.
            mask: bool [batch], False for padding rows, which touch no other row.
            train: dropout, and BatchNorm by the batch's statistics.
            ehr_train, cxr_train: the same for one encoder, where it differs (frozen encoders).
        """
        ehr_train = train if ehr_train is None else ehr_train
        cxr_train = train if cxr_train is None else cxr_train

        def ehr() -> jax.Array:
            return self.ehr(series, length, train=ehr_train)

        def cxr() -> jax.Array:
            return self._image_features(image, has_image, mask, cxr_train)

        if self.fusion == "uni_ehr":
            features = ehr()
            return Prediction(self.ehr_head(features), features, None)
        if self.fusion == "uni_cxr":
            features = cxr()
            return Prediction(self.cxr_head(features), None, features)
        if self.fusion == "uni_ehr_lstm":
            features = ehr()
            return Prediction(self._fuse([features], jnp.ones_like(length)), features, None)
        if self.fusion == "lstm":
            return self._lstm(ehr(), cxr(), length > 0, has_image)
        return self._concatenated(ehr(), cxr(), has_image)

    def _image_features(
        self, image: jax.Array, has_image: jax.Array, mask: jax.Array, train: bool
    ) -> jax.Array:
        image = jnp.where(has_image[:, None, None, None], image, 0)
        if self.absent_images == "zeros":
            return self.cxr(image, mask, train=train)
        features = self.cxr(image, mask & has_image, train=train)
        return jnp.where(has_image[:, None], features, 0)

    def _lstm(
        self, ehr: jax.Array, cxr: jax.Array, has_series: jax.Array, has_image: jax.Array
    ) -> Prediction:
        if self.labels == "radiology":
            ehr = jnp.where(has_series[:, None], self.projection(ehr), 0)
            return Prediction(self._fuse([cxr, ehr], 1 + has_series), ehr, cxr)
        cxr = jnp.where(has_image[:, None], self.projection(cxr), 0)
        return Prediction(self._fuse([ehr, cxr], 1 + has_image), ehr, cxr)

    def _fuse(self, tokens: list[jax.Array], length: jax.Array) -> jax.Array:
        _, last = self.fusion_lstm(jnp.stack(tokens, axis=1), length)
        return self.lstm_head(last)

    def _concatenated(self, ehr: jax.Array, cxr: jax.Array, has_image: jax.Array) -> Prediction:
        cxr = self.projection(cxr)
        if self.absent_images == "masked":
            cxr = jnp.where(has_image[:, None], cxr, 0)
        return Prediction(self.fused_head(jnp.concatenate([ehr, cxr], axis=-1)), ehr, cxr)
