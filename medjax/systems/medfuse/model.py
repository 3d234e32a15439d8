"""MedFuse (Hayat, Geras & Shamout 2022): ICU series and chest film, fused by an LSTM.

Also the baselines of the paper that fuse feature vectors: each modality alone, early and joint
fusion, with or without a token in place of an absent film.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.losses import cosine_alignment
from medjax.nn.linear import Linear
from medjax.nn.lstm import LSTM
from medjax.systems.medfuse.base import Prediction, TwoEncoders, check_choice
from medjax.systems.medfuse.encoders import Head
from medjax.systems.medfuse.tokens import Tokens, film_first, first_then, separated


class MedFuse(TwoEncoders):
    """A fusion of one feature vector of each modality.

    The fusion LSTM ("lstm", "lstm_with_token") reads a modality's token only where the modality is
    there. With labels of the film ("radiology") the film comes first and the series may be absent.
    """

    fusion: str = "lstm"
    modality_order: str = "ehr_first"
    """Of "lstm": "ehr_first" or "image_first"."""
    image_first_unpaired: str = "ehr_only"
    """What a row without a film reads when the film comes first; see `film_first`."""
    token_unpaired: str = "ehr_sep_cls"
    """What a row without a film reads in "lstm_with_token"; see `separated`."""
    missing_token: str = "none"
    """In place of an absent film's features in early and joint fusion: "zeros", a "learnable"
    vector, or "none": as `absent_images` has it."""

    def setup(self) -> None:
        super().setup()
        radiology = self.labels == "radiology"
        image_dim = self.cxr.features
        self.projection = Linear(image_dim if radiology else self.dim, dtype=self.dtype)
        self.fused_head = Head(self.num_classes)
        self.fusion_lstm = LSTM(image_dim, dtype=self.dtype)
        self.lstm_head = Head(self.vision_num_classes if radiology else self.num_classes)
        if self.fusion == "lstm_with_token":
            self.separator, self.end = self._token("sep_token"), self._token("cls_token")
        elif self.missing_token == "learnable":
            self.absent_film = self._token("missing_token")

    def _token(self, name: str) -> jax.Array:
        return self.param(name, nn.initializers.uniform(1.0), (self.dim,), jnp.float32)

    def check_options(self) -> None:
        super().check_options()
        check_choice("modality_order", self.modality_order, ("ehr_first", "image_first"))
        check_choice("image_first_unpaired", self.image_first_unpaired, ("ehr_only", "zero_image"))
        check_choice("token_unpaired", self.token_unpaired, ("ehr_sep_cls", "ehr_sep"))
        check_choice("missing_token", self.missing_token, ("none", "zeros", "learnable"))

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

        if self.fusion in ("uni_ehr", "uni_ehr_lstm"):
            return self.series_alone(self.ehr(series, length, train=ehr_train))
        images = self.readable_images(image, has_image, mask)
        cxr = self.cxr(images.image, images.in_statistics, train=cxr_train)
        cxr = jnp.where(images.present[:, None], cxr, 0)
        if self.fusion == "uni_cxr":
            return Prediction(self.cxr_head(cxr), None, cxr)
        ehr = self.ehr(series, length, train=ehr_train)
        if self.labels == "radiology":
            return self._radiology(ehr, cxr, mask & has_image, length > 0)
        return self.fuse(ehr, self.projection(cxr), has_image, images.present, mask)

    def fuse(
        self,
        ehr: jax.Array,
        projected: jax.Array,
        has_image: jax.Array,
        present: jax.Array,
        mask: jax.Array,
    ) -> Prediction:
        """Fuse features of the series with projected ones of the film, both [batch, dim].

        has_image: bool [batch]: the rows that have a film; present: those whose features are read,
        a zero image's perhaps among them; mask as in `__call__`.
        """
        if self.fusion in ("lstm", "lstm_with_token"):
            return self._sequence(ehr, projected, has_image, mask)
        return self._concatenated(ehr, projected, has_image, present, mask)

    def series_alone(self, features: jax.Array) -> Prediction:
        """Predict from features of the series alone [batch, dim]."""
        if self.fusion == "uni_ehr":
            return Prediction(self.ehr_head(features), features, None)
        one = jnp.ones(len(features), jnp.int32)
        return Prediction(self._read(Tokens(features[:, None], one)), features, None)

    def _radiology(
        self, ehr: jax.Array, cxr: jax.Array, has_image: jax.Array, has_series: jax.Array
    ) -> Prediction:
        projected = self.projection(ehr)
        distance = cosine_alignment(cxr, projected, has_image & has_series)
        logits = self._read(first_then(cxr, projected, has_series))
        ehr = jnp.where(has_series[:, None], projected, 0)
        return Prediction(logits, ehr, cxr, alignment=distance)

    def _sequence(
        self, ehr: jax.Array, projected: jax.Array, has_image: jax.Array, mask: jax.Array
    ) -> Prediction:
        distance = cosine_alignment(projected, ehr, mask & has_image)
        cxr = jnp.where(has_image[:, None], projected, 0)
        if self.fusion == "lstm_with_token":
            separator, end = self.separator.astype(cxr.dtype), self.end.astype(cxr.dtype)
            tokens = separated(ehr, separator, cxr, end, has_image, self.token_unpaired)
        elif self.modality_order == "image_first":
            tokens = film_first(ehr, cxr, has_image, self.image_first_unpaired)
        else:
            tokens = first_then(ehr, cxr, has_image)
        return Prediction(self._read(tokens), ehr, cxr, alignment=distance)

    def _read(self, tokens: Tokens) -> jax.Array:
        _, last = self.fusion_lstm(*tokens)
        return self.lstm_head(last)

    def _concatenated(
        self,
        ehr: jax.Array,
        projected: jax.Array,
        has_image: jax.Array,
        present: jax.Array,
        mask: jax.Array,
    ) -> Prediction:
        # As published, the fusion that knows absent films aligns their zero images all the same.
        aligned = has_image if self.missing_token == "none" else present
        distance = cosine_alignment(projected, ehr, mask & aligned)
        cxr = jnp.where(present[:, None], projected, 0)
        if self.missing_token == "learnable":
            cxr = jnp.where(has_image[:, None], cxr, self.absent_film.astype(cxr.dtype))
        elif self.missing_token == "zeros":
            cxr = jnp.where(has_image[:, None], cxr, 0)
        logits = self.fused_head(jnp.concatenate([ehr, cxr], axis=-1))
        return Prediction(logits, ehr, cxr, alignment=distance)
