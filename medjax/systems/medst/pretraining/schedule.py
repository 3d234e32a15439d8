"""The published schedule: cycles of a linear warm-up and half a cosine (SGDR; Loshchilov 2017)."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from medjax.errors import UserError


class Cycles(NamedTuple):
    """Warm restarts.

    Within a cycle the rate rises linearly from `least` to the peak over `warmup` steps, then falls
    along half a cosine to `least` at its end. Every next peak is `gamma` times the one before; what
    follows the warm-up is `growth` times as long, rounded down.
    """

    peak: float
    first: int
    """Steps of the first cycle, its warm-up too."""
    warmup: int
    least: float = 1e-8
    growth: float = 1.0
    gamma: float = 1.0

    def schedule(self, steps: int) -> optax.Schedule:
        """Return step -> rate, right for the steps 0 to `steps`.

        Raises:
            UserError: a cycle is no longer than its warm-up.
        """
        starts, lengths = [0], [self.first]
        while starts[-1] + lengths[-1] <= steps:
            if lengths[-1] <= self.warmup:
                raise UserError(
                    f"a warm-up of {self.warmup} steps leaves none of the {lengths[-1]} steps of "
                    f"cycle {len(lengths)}: shorten the warm-up or train longer"
                )
            starts.append(starts[-1] + lengths[-1])
            lengths.append(int((lengths[-1] - self.warmup) * self.growth) + self.warmup)
        peaks = self.peak * self.gamma ** np.arange(len(starts))
        begin, falls = jnp.asarray(starts), jnp.maximum(jnp.asarray(lengths) - self.warmup, 1)

        def rate(step):
            cycle = jnp.searchsorted(begin, step, side="right") - 1
            place = step - begin[cycle]
            rising = place / max(self.warmup, 1)
            cosine = jnp.cos(math.pi * (place - self.warmup) / falls[cycle])
            share = jnp.where(place < self.warmup, rising, (1 + cosine) / 2)
            return self.least + (jnp.asarray(peaks)[cycle] - self.least) * share

        return rate


def published_cycle(
    peak: float, steps: int, warmup_fraction: float = 0.4, least: float = 1e-8
) -> optax.Schedule:
    """Return the schedule of a training of `steps` steps: one cycle, should it not go on."""
    return Cycles(peak, steps, int(warmup_fraction * steps), least).schedule(steps)
