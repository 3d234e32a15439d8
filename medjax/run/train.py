"""THE training loop: epochs of jitted steps, evaluation, saving, early stopping, preemption.

It knows a system only through its contract (`medjax.run.system`). Everything that decides what
comes next is in the checkpoint, so a run that was killed and started again goes on as if it had
not been.

A training has one lane, or one for each replica that trains together with others. Every lane has
its own batches, epochs, best weights and patience; in one pass through the loop, those move that
are furthest behind.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

import jax
import numpy as np

from medjax.data import pipeline
from medjax.errors import UserError, nearest
from medjax.run import lanes, sharding
from medjax.run.evaluate import collate_rows, score
from medjax.run.position import ORDERS, TRAIN, Position, position_from_json
from medjax.run.report.progress import Progress
from medjax.run.signals import Interrupted
from medjax.run.step import TrainState
from medjax.run.system import Batch
from medjax.run.training import Lane, Training


class Made(NamedTuple):
    """A step of some lanes, whose scalars nobody has looked at yet."""

    tick: int
    scalars: Mapping[str, jax.Array]
    """Of all lanes."""
    moments: Sequence[tuple[Lane, int, int]]
    """(lane, its step, its batch of the epoch) of those that moved."""


def train(training: Training, states: Iterable[TrainState]) -> None:
    """Train every lane from its state, or from its newest good checkpoint, to the end.

    The checkpoints hold each lane's best and last state.
    """
    options = training.options
    phases = ORDERS[options.epoch_order]
    training.resident = lanes.join_residents(training)
    state = lanes.join(training, [resume(training, *pair) for pair in zip(training.lanes, states)])
    while group := furthest_behind(training):
        if phases[group[0].position.phase] == TRAIN:
            state = train_epoch(training, state, group)
            for lane in group:
                lane.position = lane.position.next_phase()
                if lane.position.finished(options):
                    save(training, state, lane)
        else:
            for lane in group:
                best = validate(training, state, lane)
                state = lanes.with_scales(training, state)
                lane.position = lane.position.next_phase()
                save(training, state, lane, best=best)
    for lane in training.lanes:
        if lane.position.best is None:
            training.say(
                f"  {lane.label}: {options.monitor} was undefined in every evaluation, so nothing "
                "tells which weights are best: the last ones are used"
            )


def furthest_behind(training: Training) -> list[Lane]:
    """Return the unfinished lanes in the earliest epoch and phase; [] when all have finished."""
    going = [x for x in training.lanes if not x.position.finished(training.options)]
    earliest = min(((x.position.epoch, x.position.phase) for x in going), default=None)
    return [x for x in going if (x.position.epoch, x.position.phase) == earliest]


def resume(training: Training, lane: Lane, state: TrainState) -> TrainState:
    """Return the state of the lane's newest good checkpoint, or the given one at the start."""
    state = lanes.place_state(training, state)
    restored = lane.checkpoints.restore(state, "last")
    if restored is None:
        lane.log.cut_back(-1)
        return state
    lane.step, state, extra = restored
    lane.position = position = position_from_json(extra)
    # An evaluation at this very step that is still to come may have been logged before the kill.
    epoch_done = position.batch == len(lane.system.plan("train", position.epoch))
    pending = epoch_done or ORDERS[training.options.epoch_order][position.phase] != TRAIN
    lane.log.cut_back(lane.step, evaluation_pending=pending)
    training.say(f"  resumed stage {lane.label} at step {lane.step}")
    return state


def save(training: Training, state: TrainState, lane: Lane, best: bool = False) -> None:
    """Write a checkpoint of this moment of a lane."""
    own = lanes.own_state(training, state, lane)
    lane.checkpoints.save(lane.step, own, lane.position.to_json(), best=best)


def train_epoch(training: Training, state: TrainState, group: Sequence[Lane]) -> TrainState:
    """Train lanes on the batches of one epoch that are left; save and stop when a signal came."""
    feeds = [feed(training, lane) for lane in group]
    first = group[0]
    ticks = max(len(lane.plans) - lane.position.batch for lane in group)
    total = max(len(lane.plans) for lane in group)
    progress = Progress(
        f"{training.label} epoch {first.position.epoch + 1}/{training.options.epochs}",
        total=total,
        done=total - ticks,
        batch_size=first.plans[0].size * len(group),
    )
    start = time.perf_counter() - training.timing.compile_seconds
    # Scalars are looked at one step late, so that the device need not wait for the host.
    unseen: Made | None = None
    with progress:
        for tick, rows in enumerate(zip_longest(*feeds), total - ticks + 1):
            batches = {lane: b for lane, b in zip(group, rows, strict=True) if b is not None}
            state, scalars = run_step(training, state, batches)
            inspect(training, unseen, progress)
            for lane in batches:
                lane.advance()
            moments = [(lane, lane.step, lane.position.batch) for lane in batches]
            unseen = Made(tick, scalars, moments)
            signum = training.signals.requested(sum(lane.step for lane in training.lanes))
            due = group if signum is not None else [x for x in batches if save_due(training, x)]
            if due:
                inspect(training, unseen, progress)
                unseen = None
            for lane in due:
                save(training, state, lane)
            if signum is not None:
                raise Interrupted(signum)
        inspect(training, unseen, progress)
    training.timing.step_seconds += time.perf_counter() - start - training.timing.compile_seconds
    return state


def feed(training: Training, lane: Lane) -> Iterator[Batch]:
    """Plan the lane's epoch; return its batches that are left, this process's rows of them."""
    epoch = lane.position.epoch
    lane.plans = lane.system.plan("train", epoch)
    if not lane.plans:
        raise UserError(
            f"stage {training.stage}: the train split holds fewer examples than one batch; "
            f"lower {training.stage}.train.global_batch_size"
        )
    share = sharding.row_share(training.mesh)
    return pipeline.iterate(
        lane.plans,
        partial(collate_rows, lane.system.collate, "train", epoch, share),
        start=lane.position.batch,
        threads=training.threads,
        workers=training.workers,
    )


def save_due(training: Training, lane: Lane) -> bool:
    """Tell whether a checkpoint is due in the midst of an epoch."""
    every = training.options.save_every
    return bool(every) and lane.step % every == 0 and lane.position.batch < len(lane.plans)


def run_step(
    training: Training, state: TrainState, batches: Mapping[Lane, Batch]
) -> tuple[TrainState, Mapping[str, jax.Array]]:
    """Run one step; running out of memory becomes a sentence that says what to lower."""
    lane = next(iter(batches))
    rows = lane.plans[0].size
    try:
        state, scalars = lanes.step_lanes(training, state, batches)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error) and "Out of memory" not in str(error):
            raise
        together = ", set config.replicas.run to 'loop'" if len(training.lanes) > 1 else ""
        raise UserError(
            f"memory ran out at step {lane.step + 1} of stage {training.label} with a batch of "
            f"{rows}; lower {training.stage}.train.global_batch_size, raise "
            f"{training.stage}.train.accumulation{together}, or set precision to 'bfloat16'"
        ) from None
    training.timing.steps += len(batches)
    training.timing.examples += rows * len(batches)
    return state, scalars


def inspect(training: Training, made: Made | None, progress: Progress) -> None:
    """Look at a finished step's scalars: stop or count when not finite, log when due."""
    if made is None:
        return
    arrays = {name: np.atleast_1d(np.asarray(value)) for name, value in made.scalars.items()}
    losses = []
    for lane, step, batch in made.moments:
        number = training.lanes.index(lane)
        values = {name: float(array[number]) for name, array in arrays.items() if name != "finite"}
        losses.append(values["loss"])
        if not arrays["finite"][number]:
            values = skip(training, lane, step, batch)
        if batch % training.options.log_every == 0 or batch == len(lane.plans):
            lane.log.write(step, "train", values)
    progress.update(made.tick, float(np.mean(losses)))


def skip(training: Training, lane: Lane, step: int, batch: int) -> dict[str, float]:
    """Count a step whose loss or gradient was not finite; raise UserError where it is to stop."""
    options = training.options
    if options.on_not_finite == "stop":
        raise UserError(
            f"the loss or a gradient is not finite at step {step} of stage {lane.label} "
            f"(epoch {lane.position.epoch + 1}, batch {batch} of {len(lane.plans)}, of "
            f"{options.global_batch_size} rows); lower {training.stage}.optimizer.learning_rate, "
            f"set {training.stage}.optimizer.clip_norm, or {training.stage}.train.on_not_finite "
            "to 'skip'"
        )
    lane.position = lane.position._replace(skipped=lane.position.skipped + 1)
    return {"skipped": float(lane.position.skipped)}


def validate(training: Training, state: TrainState, lane: Lane) -> bool:
    """Score a lane's validation split and note what it says; return whether it is the best yet."""
    options, position = training.options, lane.position
    last = position.epoch + 1 >= options.epochs
    if (position.epoch + 1) % options.evaluate_every and not last:
        return False
    start = time.perf_counter()
    split = options.validation_split
    variables = lanes.own_state(training, state, lane).variables
    metrics, _ = score(lane.system, lane.predictor, variables, (split,), final=False)
    training.timing.evaluation_seconds += time.perf_counter() - start
    values = {name: metric.value for name, metric in metrics[split].items()}
    if options.monitor not in values and "examples" not in values:
        raise UserError(
            f"{training.stage}.train.monitor: {split} has no metric {options.monitor!r}"
            + nearest(options.monitor, values)
        )
    lane.log.write(lane.step, split, values)
    monitored = values.get(options.monitor)
    position, best = position.after_evaluation(monitored, options.monitor_mode)
    training.say(
        f"  {lane.label} step {lane.step}: {split} {options.monitor} "
        + (f"{monitored:.4f}" if monitored is not None else "undefined")
        + (" (best so far)" if best else "")
    )
    lane.position = after_plateau(training, position, values.get("loss"))
    return best


def after_plateau(training: Training, position: Position, loss: float | None) -> Position:
    """Let the learning-rate plateau see a validation loss."""
    options = training.options.plateau
    if options.factor >= 1 or loss is None:
        return position
    plateau = position.plateau.after(loss, options.factor, options.patience, options.threshold)
    return position._replace(plateau=plateau)
