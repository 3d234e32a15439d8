"""Optimisers and learning-rate schedules, named in a config's `optimizer` section.

    optimizer.name           "adam" | "adamw" | "sgd"
    optimizer.learning_rate  the peak rate
    optimizer.schedule       "constant" | "warmup_cosine"
    optimizer.plateau        halve on a plateau of the monitored loss, as torch's ReduceLROnPlateau

Epsilon stands outside the root and moments are bias-corrected, as in PyTorch, so that a step here
is a step there.
"""

from typing import Any, NamedTuple

import optax
from ml_collections import ConfigDict

from medjax.errors import UsageError, nearest


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
        return optax.warmup_cosine_decay_schedule(
            init_value=options.warmup_learning_rate,
            peak_value=options.learning_rate,
            warmup_steps=options.warmup_steps or int(fraction * total_steps),
            decay_steps=total_steps,
            end_value=options.final_learning_rate,
        )
    known = ("constant", "warmup_cosine")
    raise UsageError(
        f"optimizer.schedule {options.schedule!r} is none of {', '.join(known)}"
        + nearest(options.schedule, known)
    )


def make_optimizer(options: ConfigDict, total_steps: int) -> optax.GradientTransformation:
    """Build the optax transformation that an `optimizer` section describes.

    `clip_norm` above 0 clips the global gradient norm first. Weight decay of "adamw" is decoupled;
    that of "sgd" and "adam" is added to the gradient, as PyTorch does.
    """
    rate = learning_rate(options, total_steps)
    chain = []
    if options.clip_norm > 0:
        chain.append(optax.clip_by_global_norm(options.clip_norm))
    if options.name != "adamw" and options.weight_decay > 0:
        chain.append(optax.add_decayed_weights(options.weight_decay))
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
            )
        )
    elif options.name == "sgd":
        chain.append(optax.sgd(rate, momentum=options.momentum or None))
    else:
        known = ("adam", "adamw", "sgd")
        raise UsageError(
            f"optimizer.name {options.name!r} is none of {', '.join(known)}"
            + nearest(options.name, known)
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
