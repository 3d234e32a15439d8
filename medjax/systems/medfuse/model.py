"""MedFuse (Hayat, Geras & Shamout 2022): ICU series and chest film, fused by an LSTM.

Also the baselines of the paper that fuse feature vectors: each modality alone, early and joint
fusion.
"""

import jax
import jax.numpy as jnp

from medjax.nn.linear import Linear
from medjax.nn.lstm import LSTM
from medjax.systems.medfuse.base import Prediction, TwoEncoders
from medjax.systems.medfuse.encoders import Head


class MedFuse(TwoEncoders):
    """A fusion of one feature vector of each modality.

    The second token of the fusion LSTM is read only where its modality is there: the film, or,
    with labels of the film ("radiology"), the series.
    """

    fusion: str = "lstm"

    def setup(self) -> None:
        super().setup()
        radiology = self.labels == "radiology"
        image_dim = self.cxr.features
        self.projection = Linear(image_dim if radiology else self.dim, dtype=self.dtype)
        self.fused_head = Head(self.num_classes)
        self.fusion_lstm = LSTM(image_dim, dtype=self.dtype)
        self.lstm_head = Head(self.vision_num_classes if radiology else self.num_classes)

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
        images = self.readable_images(image, has_image, mask)
        features = self.cxr(images.image, images.in_statistics, train=train)
        return jnp.where(images.present[:, None], features, 0)

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
