"""The learning-rate range test (Smith 2017), for stages whose optimizer section asks for it.

    optimizer.lr_finder   "off"; "report": the suggestion is printed; "use": it is trained with

Before the training, copies of the first weights make STEPS steps with rates that rise from LOWEST
to HIGHEST; the suggestion is the rate at which the smoothed loss falls most steeply. It depends on
nothing but the config and the data, so that a resumed run finds the same one.
"""

from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from medjax.errors import UserError
from medjax.run import sharding
from medjax.run.stage import Stage, say
from medjax.run.step import make_train_step
from medjax.run.system import System

LOWEST, HIGHEST, STEPS = 1e-7, 1e-2, 100
SMOOTHING = 0.98
DIVERGED = 4.0
"""Times the best smoothed loss at which the test ends."""
FIRST, LAST = 10, 1
"""Steps at both ends that are not looked at."""


def rates() -> np.ndarray:
    """Return the rates [STEPS] of the test."""
    return LOWEST * (HIGHEST / LOWEST) ** (np.arange(1, STEPS + 1) / STEPS)


def suggest(losses: Sequence[float]) -> float | None:
    """Return the rate where smoothed losses fall most steeply, None where there are too few.

    losses: of the steps that were made, one at least for each rate from the first.
    """
    smoothed, average, best = [], 0.0, np.inf
    for step, loss in enumerate(losses):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed.append(average / (1 - SMOOTHING ** (step + 1)))
        if not np.isfinite(smoothed[-1]) or (step > 0 and smoothed[-1] > DIVERGED * best):
            break
        best = min(best, smoothed[-1])
    seen = np.asarray(smoothed[FIRST : len(smoothed) - LAST])
    seen = seen[np.isfinite(seen)]
    if len(seen) < 2:
        return None
    return float(rates()[FIRST + int(np.argmin(np.gradient(seen)))])


def settle_rate(runs: Sequence[Stage]) -> None:
    """Test the rates of stages that ask for it; those that use the suggestion take it.

    Raises:
        UserError: stages that train in one step would each have a rate of their own.
    """
    how = runs[0].options.get("optimizer", {}).get("lr_finder", "off")
    if how == "off":
        return
    if how == "use" and len(runs) > 1:
        raise UserError(
            f"{runs[0].name}.optimizer.lr_finder is 'use' and replicas train in one step, which "
            "has one rate: set config.replicas.run to 'loop'"
        )
    for run in runs:
        found = suggest(sweep(run))
        shown = "nothing" if found is None else f"{found:.3g}"
        say(f"  {run.label}: the learning-rate test suggests {shown}")
        if how == "use" and found is not None:
            run.config = with_rate(run.config, run.name, found)
            run.options = run.config[run.name]


def with_rate(config: ConfigDict, stage: str, rate: float) -> ConfigDict:
    """Return the config with another learning rate of a stage."""
    copy = config.copy_and_resolve_references()
    with copy.unlocked():
        copy[stage].optimizer.learning_rate = rate
    return copy


def sweep(run: Stage) -> list[float]:
    """Return the loss before each step of the test."""
    # At a constant rate, which the state's factor on every update scales down.
    config = with_rate(run.config, run.name, HIGHEST)
    with config.unlocked():
        config[run.name].optimizer.schedule = "constant"
    system = run.module.build(config, run.name, run.data, None)
    (resident,) = sharding.place_residents([system.resident], run.mesh)
    state = run.initial_state(system, run.predictor(system, resident))
    step = jax.jit(make_train_step(system, run.options.train.accumulation))
    losses = []
    for rate, batch in zip(rates(), islice(training_batches(run, system), STEPS)):
        state = state.replace(scale=jnp.asarray(rate / HIGHEST, jnp.float32))
        state, scalars = step(state, batch, resident)
        losses.append(float(scalars["loss"]))
        if not np.isfinite(losses[-1]):
            break
    return losses


def training_batches(run: Stage, system: System) -> Iterator[dict[str, Any]]:
    """Yield the batches of a training, epoch after epoch."""
    share = sharding.row_share(run.mesh)
    for epoch in count():
        plans = system.plan("train", epoch)
        for plan in plans:
            rows = share.rows(plan.size)
            local = system.collate("train", epoch, plan, rows)
            yield sharding.put_batch(dict(local), run.mesh)
        if not plans:
            return
