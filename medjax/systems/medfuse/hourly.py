"""MedFuse with an output at every hour, for decompensation, length of stay and all tasks at once.

The state of the series encoder after t hours is what it would be had the stay ended there, so that
one pass over a stay trains and predicts all its hours. The film is read from its own hour on.
"""

import dataclasses

import jax
import jax.numpy as jnp

from medjax.systems.medfuse.base import Prediction, TwoEncoders
from medjax.systems.medfuse.model import MedFuse


class HourlyMedFuse(MedFuse):
    """A fusion of the two modalities as they are known at each hour; parameters of `MedFuse`.

    A film that is not there yet counts as absent: its features are zero, whatever `absent_images`
    says of the statistics of BatchNorm.
    """

    def __call__(  # type: ignore[override]
        self,
        series: jax.Array,
        length: jax.Array,
        image: jax.Array,
        film_hour: jax.Array,
        mask: jax.Array,
        *,
        train: bool,
        ehr_train: bool | None = None,
        cxr_train: bool | None = None,
    ) -> Prediction:
        """Predict at every hour of a batch.

        Args:
            series: [batch, time, channels], normalised.
            length: int [batch], hours of each series.
            image: [batch, height, width, 3], standardised.
            film_hour: float [batch]: when the film was taken, in hours since admission; infinite
                where there is none.
            mask: bool [batch], False for padding rows.
            train, ehr_train, cxr_train: as in `MedFuse`.

        Returns:
            Logits [batch, time, classes]; step t - 1 has read t hours, and the film where it was
            taken by then. Those beyond a row's length mean nothing.
        """
        ehr_train = train if ehr_train is None else ehr_train
        cxr_train = train if cxr_train is None else cxr_train
        states = self.ehr.states(series, length, train=ehr_train)
        batch, time, features = states.shape
        states = states.reshape(batch * time, features)

        seen = (film_hour[:, None] <= jnp.arange(1, time + 1)).reshape(batch * time)
        if self.fusion in ("uni_ehr", "uni_ehr_lstm"):
            logits = self.series_alone(states).logits
        else:
            images = self.readable_images(image, jnp.isfinite(film_hour), mask)
            film = self.cxr(images.image, images.in_statistics, train=cxr_train)
            film = jnp.repeat(self.projection(film), time, axis=0)
            logits = self.fuse(states, film, seen, seen, jnp.repeat(mask, time)).logits
        return Prediction(logits.reshape(batch, time, -1), None, None)


def with_hours(model: TwoEncoders) -> HourlyMedFuse:
    """Return the network that has the options and parameters of a `MedFuse`, at every hour."""
    names = [f.name for f in dataclasses.fields(HourlyMedFuse) if f.name not in ("parent", "name")]
    return HourlyMedFuse(**{name: getattr(model, name) for name in names})
