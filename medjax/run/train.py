"""THE training loop: epochs of jitted steps, evaluation, saving, early stopping, preemption.

It knows a system only through its contract (`medjax.run.system`). Everything that decides what
comes next is in the checkpoint, so a run that was killed and started again goes on as if it had
not been.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from medjax.data import pipeline
from medjax.errors import UserError, nearest
from medjax.run import sharding
from medjax.run.checkpoint import Checkpoints
from medjax.run.evaluate import Predictor, collate_rows, score
from medjax.run.optim import Plateau
from medjax.run.position import ORDERS, TRAIN, Position, position_from_json
from medjax.run.report.metrics_log import MetricsLog
from medjax.run.report.progress import Progress
from medjax.run.signals import Interrupted, Signals
from medjax.run.step import TrainState, make_train_step
from medjax.run.system import System


@dataclass
class Timing:
    """Seconds of a stage: never part of its results."""

    compile_seconds: float = 0.0
    step_seconds: float = 0.0
    steps: int = 0
    examples: int = 0
    evaluation_seconds: float = 0.0

    def to_json(self) -> dict[str, float]:
        """Return the figures of timing.json."""
        seconds = max(self.step_seconds, 1e-9)
        return {
            "compile_seconds": self.compile_seconds,
            "train_seconds": self.step_seconds,
            "evaluation_seconds": self.evaluation_seconds,
            "steps": self.steps,
            "steps_per_second": self.steps / seconds,
            "examples_per_second": self.examples / seconds,
        }


@dataclass
class Training:
    """What one stage's training works with; the state and position are passed along instead."""

    stage: str
    """Its name in the config."""
    label: str
    """The stage and, where it has copies, which one: what progress is told of."""
    system: System
    options: ConfigDict
    """The stage's `train` section."""
    mesh: Mesh
    resident: Mapping[str, jax.Array]
    """`System.resident` on the devices."""
    parameters: str
    """"replicated" or "sharded"."""
    threads: int
    workers: int
    predictor: Predictor
    checkpoints: Checkpoints
    signals: Signals
    log: MetricsLog
    say: Callable[[str], None]
    timing: Timing = field(default_factory=Timing)
    compiled: dict[tuple, Any] = field(default_factory=dict)


def train(training: Training, state: TrainState) -> TrainState:
    """Train from `state`, or from the newest good checkpoint, to the end; save best and last."""
    options = training.options
    phases = ORDERS[options.epoch_order]
    state = sharding.place(
        state, sharding.state_shardings(state, training.mesh, training.parameters)
    )
    state, position = resume(training, state)
    while not position.finished(options):
        if phases[position.phase] == TRAIN:
            state, position = train_epoch(training, state, position)
            position = position.next_phase()
            if position.finished(options):
                save(training, state, position)
        else:
            state, position, best = validate(training, state, position)
            position = position.next_phase()
            save(training, state, position, best=best)
    if position.best is None:
        training.say(
            f"  {training.label}: {options.monitor} was undefined in every evaluation, so nothing "
            "tells which weights are best: the last ones are used"
        )
    return state


def resume(training: Training, state: TrainState) -> tuple[TrainState, Position]:
    """Return the newest good checkpoint's state and position, or the given state at the start."""
    restored = training.checkpoints.restore(state, "last")
    if restored is None:
        training.log.cut_back(-1)
        return state, Position()
    step, state, extra = restored
    position = position_from_json(extra)
    # An evaluation at this very step that is still to come may have been logged before the kill.
    epoch_done = position.batch == len(training.system.plan("train", position.epoch))
    pending = epoch_done or ORDERS[training.options.epoch_order][position.phase] != TRAIN
    training.log.cut_back(step, evaluation_pending=pending)
    training.say(f"  resumed stage {training.label} at step {step}")
    return state, position


def save(training: Training, state: TrainState, position: Position, best: bool = False) -> None:
    """Write a checkpoint of this moment."""
    training.checkpoints.save(int(state.step), state, position.to_json(), best=best)


def compiled_step(training: Training, state: TrainState, batch: Mapping[str, jax.Array]) -> Any:
    """Return the compiled step for this batch's shapes; compilations are few and are printed."""
    shape = tuple(sorted((name, array.shape) for name, array in batch.items()))
    if shape not in training.compiled:
        start = time.perf_counter()
        step = make_train_step(training.system, training.options.accumulation)
        shardings = sharding.state_shardings(state, training.mesh, training.parameters)
        jitted = jax.jit(step, donate_argnums=0, out_shardings=(shardings, None))
        training.compiled[shape] = jitted.lower(state, batch, training.resident).compile()
        seconds = time.perf_counter() - start
        training.timing.compile_seconds += seconds
        largest = max(batch.values(), key=lambda array: array.size)
        training.say(
            f"  compiled train step {len(training.compiled)} for a batch of {largest.shape} "
            f"in {seconds:.1f} s"
        )
    return training.compiled[shape]


def train_epoch(
    training: Training, state: TrainState, position: Position
) -> tuple[TrainState, Position]:
    """Train on the batches of one epoch that are left; save and stop when a signal came."""
    options = training.options
    plans = training.system.plan("train", position.epoch)
    if not plans:
        raise UserError(
            f"stage {training.stage}: the train split holds fewer examples than one batch; "
            f"lower {training.stage}.train.global_batch_size"
        )
    share = sharding.row_share(training.mesh)
    batches = pipeline.iterate(
        plans,
        partial(collate_rows, training.system.collate, "train", position.epoch, share),
        start=position.batch,
        threads=training.threads,
        workers=training.workers,
    )
    progress = Progress(
        f"{training.label} epoch {position.epoch + 1}/{options.epochs}",
        total=len(plans),
        done=position.batch,
        batch_size=plans[0].size,
    )
    first = int(state.step) - position.batch
    start = time.perf_counter() - training.timing.compile_seconds
    # Scalars are looked at one step late, so that the device need not wait for the host.
    unseen: tuple[int, Mapping[str, jax.Array]] | None = None
    with progress:
        for number, local in enumerate(batches, position.batch + 1):
            batch = sharding.put_batch(local, training.mesh)
            state, scalars = run_step(training, state, batch, first + number, plans[0].size)
            if unseen is not None:
                position = inspect(training, position, first, *unseen, len(plans), progress)
            unseen = (number, scalars)
            position = position._replace(batch=number)
            due = options.save_every and (first + number) % options.save_every == 0
            signum = training.signals.requested(first + number)
            if signum is not None or (due and number < len(plans)):
                position = inspect(training, position, first, *unseen, len(plans), progress)
                unseen = None
                save(training, state, position)
            if signum is not None:
                raise Interrupted(signum)
        if unseen is not None:
            position = inspect(training, position, first, *unseen, len(plans), progress)
    training.timing.step_seconds += time.perf_counter() - start - training.timing.compile_seconds
    return state, position


def run_step(
    training: Training, state: TrainState, batch: Mapping[str, jax.Array], step: int, rows: int
) -> tuple[TrainState, Mapping[str, jax.Array]]:
    """Run one step; running out of memory becomes a sentence that says what to lower."""
    try:
        step_of_shape = compiled_step(training, state, batch)
        state, scalars = step_of_shape(state, batch, training.resident)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error) and "Out of memory" not in str(error):
            raise
        raise UserError(
            f"memory ran out at step {step} of stage {training.label} with a batch of {rows}; "
            f"lower {training.stage}.train.global_batch_size, raise "
            f"{training.stage}.train.accumulation, or set precision to 'bfloat16'"
        ) from None
    training.timing.steps += 1
    training.timing.examples += rows
    return state, scalars


def inspect(
    training: Training,
    position: Position,
    first: int,
    number: int,
    scalars: Mapping[str, jax.Array],
    batches: int,
    progress: Progress,
) -> Position:
    """Look at a finished step's scalars: stop or count when not finite, log when due.

    The step is number `number` of the epoch's `batches`; `first` steps were made before the epoch.
    """
    options = training.options
    step = first + number
    values = {name: float(value) for name, value in scalars.items() if name != "finite"}
    progress.update(number, values["loss"])
    if not bool(scalars["finite"]):
        if options.on_not_finite == "stop":
            raise UserError(
                f"the loss or a gradient is not finite at step {step} of stage {training.label} "
                f"(epoch {position.epoch + 1}, batch {number} of {batches}, of "
                f"{options.global_batch_size} rows); lower "
                f"{training.stage}.optimizer.learning_rate, set "
                f"{training.stage}.optimizer.clip_norm, or {training.stage}.train.on_not_finite "
                "to 'skip'"
            )
        position = position._replace(skipped=position.skipped + 1)
        values = {"skipped": float(position.skipped)}
    if number % options.log_every == 0 or number == batches:
        training.log.write(step, "train", values)
    return position


def validate(
    training: Training, state: TrainState, position: Position
) -> tuple[TrainState, Position, bool]:
    """Score the validation split; return the new state and position and whether it is the best."""
    options = training.options
    last = position.epoch + 1 >= options.epochs
    if (position.epoch + 1) % options.evaluate_every and not last:
        return state, position, False
    start = time.perf_counter()
    split = options.validation_split
    metrics, _ = score(training.system, training.predictor, state.variables, (split,), final=False)
    training.timing.evaluation_seconds += time.perf_counter() - start
    values = {name: metric.value for name, metric in metrics[split].items()}
    if options.monitor not in values and "examples" not in values:
        raise UserError(
            f"{training.stage}.train.monitor: {split} has no metric {options.monitor!r}"
            + nearest(options.monitor, values)
        )
    training.log.write(int(state.step), split, values)
    monitored = values.get(options.monitor)
    position, best = position.after_evaluation(monitored, options.monitor_mode)
    training.say(
        f"  {training.label} step {int(state.step)}: {split} {options.monitor} "
        + (f"{monitored:.4f}" if monitored is not None else "undefined")
        + (" (best so far)" if best else "")
    )
    loss = values.get("loss")
    if options.plateau.factor < 1 and loss is not None:
        plateau: Plateau = position.plateau.after(
            loss,
            options.plateau.factor,
            options.plateau.patience,
            options.plateau.threshold,
        )
        position = position._replace(plateau=plateau)
        state = state.replace(
            scale=sharding.place(np.float32(plateau.scale), sharding.replicated(training.mesh))
        )
    return state, position, best
