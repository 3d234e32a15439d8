"""The published clock of learning rates: warm-up by steps in epoch 0, then a cosine by epochs."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from medjax.run.optim import learning_rate


class EpochClock(NamedTuple):
    """Rates that move at every `step_size` steps of the first epoch, then once an epoch.

    f(t) rises linearly from `warmup_rate` to `rate` over `warmup` ticks and falls along a half
    cosine of `epochs` ticks to `final_rate`. In epoch 0 a tick is `step_size` steps; where the
    epoch ends before the warm-up does, it is cut off. At the start of epoch e > 0 the clock stands
    at e + warmup.
    """

    rate: float
    final_rate: float
    warmup_rate: float
    warmup: int
    epochs: int
    step_size: int = 100
    cooldown: int = 0
    """Epochs at `final_rate` that a run adds."""

    def at(self, tick: int) -> float:
        """Return f(tick)."""
        if tick < self.warmup:
            return self.warmup_rate + tick * (self.rate - self.warmup_rate) / self.warmup
        past = tick - self.warmup
        if past >= self.epochs:
            return self.final_rate
        fall = 0.5 * (1 + math.cos(math.pi * past / self.epochs))
        return self.final_rate + (self.rate - self.final_rate) * fall

    @property
    def run_epochs(self) -> int:
        """Epochs of a run."""
        return self.epochs + self.cooldown

    def logged(self, epoch: int) -> float:
        """Return what the original prints for an epoch: f(epoch), not the rate in use."""
        return self.at(epoch)

    def schedule(self, steps_per_epoch: int) -> Callable[[jax.Array], jax.Array]:
        """Return step -> the rate in use, as optax takes it."""
        # Tables, so that single precision costs no digit of the cosine.
        first = np.array([self.at(tick) for tick in range(self.warmup + 1)])
        later = np.array([self.at(epoch + self.warmup) for epoch in range(self.epochs + 1)])

        def rate(step: jax.Array) -> jax.Array:
            epoch, index = jnp.divmod(jnp.asarray(step), steps_per_epoch)
            # After step i the clock may tick: step 0 still runs at the rate before it.
            tick = jnp.clip((index - 1) // self.step_size, 0, self.warmup)
            warm = jnp.where(index == 0, self.warmup_rate, jnp.asarray(first)[tick])
            return jnp.where(epoch == 0, warm, jnp.asarray(later)[jnp.minimum(epoch, self.epochs)])

        return rate


class Rates(NamedTuple):
    """Of a stage's optimiser."""

    used: Callable[[jax.Array], jax.Array]
    """step -> the rate in use."""
    logged: Callable[[jax.Array], jax.Array]
    """step -> what is logged of it."""


def stage_rates(stage: ConfigDict, steps_per_epoch: int) -> Rates:
    """Return the rates of a stage; `optimizer.schedule` may be "epoch_clock" besides the usual.

    With `optimizer.logged_learning_rate` "epoch_clock" the clock's value of the epoch is logged, as
    published.
    """
    options, epochs = stage.optimizer, stage.train.epochs
    if options.schedule != "epoch_clock":
        rate = learning_rate(options, steps_per_epoch * epochs)
        return Rates(rate, rate)
    clock = EpochClock(
        options.learning_rate,
        options.final_learning_rate,
        options.warmup_learning_rate,
        options.warmup_epochs,
        epochs,
        options.clock_step_size,
    )
    used = clock.schedule(steps_per_epoch)
    if options.logged_learning_rate == "used":
        return Rates(used, used)
    told = np.array([clock.logged(epoch) for epoch in range(epochs + 1)])

    def logged(step: jax.Array) -> jax.Array:
        return jnp.asarray(told)[jnp.minimum(step // steps_per_epoch, epochs)]

    return Rates(used, logged)
