"""Optimisers and learning-rate schedules, named in a config's `optimizer` section.

    optimizer.name           "adam" | "adamw" | "sgd" | "keras_adam" | "radam"
    optimizer.learning_rate  the peak rate
    optimizer.schedule       "constant" | "warmup_cosine"
    optimizer.decay_rule     "all" (where a config has no such field) | "matrices": weight decay
                             leaves biases, scales and single numbers alone
    optimizer.plateau        halve on a plateau of the monitored loss, as torch's ReduceLROnPlateau

Epsilon stands outside the root and moments are bias-corrected, as in PyTorch, so that a step here
is a step there. "keras_adam" adds epsilon before the second moment is corrected, as Keras does: at
the first step it counts 32 times as much. "radam" is the rectified Adam of TensorFlow Addons (Liu
and others, 2020), which takes plain momentum while the variance cannot be told yet.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from medjax.errors import UsageError, nearest

NAMES = ("adam", "adamw", "sgd", "keras_adam", "radam")
"""Of optimisers."""


def learning_rate(options: ConfigDict, total_steps: int) -> optax.Schedule:
    """Return step -> learning rate.

    "warmup_cosine" rises linearly over `warmup_steps`, or over `warmup_fraction` of all steps
    where a section has that and no steps, then falls along a half cosine to
    `final_learning_rate` at `total_steps`.
    """
    if options.schedule == "constant":
        return optax.constant_schedule(options.learning_rate)
    if options.schedule == "warmup_cosine":
        fraction = options.get("warmup_fraction", 0.0)
        warmup = options.warmup_steps or int(fraction * total_steps)
        if warmup >= total_steps:
            raise UsageError(
                f"optimizer.warmup_steps is {warmup} and the training has {total_steps} steps: "
                "train longer, or warm up in fewer"
            )
        return optax.warmup_cosine_decay_schedule(
            init_value=options.warmup_learning_rate,
            peak_value=options.learning_rate,
            warmup_steps=warmup,
            decay_steps=total_steps,
            end_value=options.final_learning_rate,
        )
    known = ("constant", "warmup_cosine")
    raise UsageError(
        f"optimizer.schedule {options.schedule!r} is none of {', '.join(known)}"
        + nearest(options.schedule, known)
    )


def scale_by_keras_adam(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """Return Adam's direction in Keras' form: c m / (sqrt(v) + eps), uncorrected m and v.

    c = sqrt(1 - b2^t) / (1 - b1^t) with t = 1 at the first update.
    """

    def init(params: optax.Params) -> optax.ScaleByAdamState:
        # Two trees: a buffer that stands in a state twice cannot be donated.
        mu, nu = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), mu, nu)

    def update(
        grads: optax.Updates, state: optax.ScaleByAdamState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del params
        count = optax.safe_increment(state.count)
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, grads)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.nu, grads)
        t = count.astype(jnp.float32)
        correction = jnp.sqrt(1 - b2**t) / (1 - b1**t)
        steps = jax.tree.map(lambda m, v: correction * m / (jnp.sqrt(v) + eps), mu, nu)
        return steps, optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(init, update)


def matrices(params: optax.Params) -> Any:
    """Return True for the arrays of two or more axes, False for the others."""
    return jax.tree.map(lambda leaf: leaf.ndim >= 2, params)


def decay_mask(rule: str) -> Callable[[optax.Params], Any] | None:
    """Return which arrays decay by `optimizer.decay_rule`; None: all."""
    rules = {"all": None, "matrices": matrices}
    if rule not in rules:
        raise UsageError(
            f"optimizer.decay_rule {rule!r} is none of {', '.join(rules)}{nearest(rule, rules)}"
        )
    return rules[rule]


def make_optimizer(
    options: ConfigDict, total_steps: int, rate: optax.Schedule | None = None
) -> optax.GradientTransformation:
    """Build the optax transformation that an `optimizer` section describes.

    `clip_norm` above 0 clips the global gradient norm first. Weight decay of "adamw" is decoupled;
    that of the others is added to the gradient, as PyTorch does. `rate` stands in for the
    section's own schedule, for a system that has one of a kind.
    """
    rate = rate or learning_rate(options, total_steps)
    decays = decay_mask(options.get("decay_rule", "all"))
    chain = []
    if options.clip_norm > 0:
        chain.append(optax.clip_by_global_norm(options.clip_norm))
    if options.name != "adamw" and options.weight_decay > 0:
        chain.append(optax.add_decayed_weights(options.weight_decay, decays))
    if options.name == "adam":
        chain.append(optax.adam(rate, b1=options.b1, b2=options.b2, eps=options.eps))
    elif options.name == "adamw":
        chain.append(
            optax.adamw(
                rate,
                b1=options.b1,
                b2=options.b2,
                eps=options.eps,
                weight_decay=options.weight_decay,
                mask=decays,
            )
        )
    elif options.name == "keras_adam":
        chain.append(scale_by_keras_adam(options.b1, options.b2, options.eps))
        chain.append(optax.scale_by_learning_rate(rate))
    elif options.name == "radam":
        chain.append(optax.radam(rate, b1=options.b1, b2=options.b2, eps=options.eps))
    elif options.name == "sgd":
        chain.append(optax.sgd(rate, momentum=options.momentum or None))
    else:
        raise UsageError(
            f"optimizer.name {options.name!r} is none of {', '.join(NAMES)}"
            + nearest(options.name, NAMES)
        )
    return optax.chain(*chain)


class Plateau(NamedTuple):
    """State of a plateau schedule: the factor on every update, the best value, bad evaluations."""

    scale: float = 1.0
    best: float = float("inf")
    bad: int = 0

    def after(self, value: float, factor: float, patience: int, threshold: float) -> "Plateau":
        """Return the state after an evaluation gave `value` (lower is better).

        An improvement is a value below best * (1 - threshold); after more than `patience`
        evaluations without one, the scale is multiplied by `factor` and the count starts anew.
        """
        if value < self.best * (1 - threshold):
            return Plateau(self.scale, value, 0)
        if self.bad + 1 > patience:
            return Plateau(self.scale * factor, self.best, 0)
        return Plateau(self.scale, self.best, self.bad + 1)


def plateau_from_json(value: dict[str, Any]) -> Plateau:
    """Rebuild a state that was stored with ``plateau._asdict()``."""
    return Plateau(
        value["scale"], float("inf") if value["best"] is None else value["best"], value["bad"]
    )


def plateau_to_json(state: Plateau) -> dict[str, Any]:
    """Return JSON values of a state (infinity, before any evaluation, becomes None)."""
    best = None if state.best == float("inf") else state.best
    return {"scale": state.scale, "best": best, "bad": state.bad}
