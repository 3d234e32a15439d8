"""One compiled step for all lanes of a training: for one as it is, for several under `vmap`.

The states of several lanes are one tree whose leaves have a leading axis [lane, ...], and so have
their batches and the resident arrays that are not the same in all of them. A lane that has no
batch waits: it is given another's, and its state comes back as it was.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medjax.errors import UserError
from medjax.run import sharding
from medjax.run.step import TrainState, make_train_step
from medjax.run.training import Lane, Training

Arrays = Mapping[str, Any]
MEND = "set config.replicas.run to 'loop'"


def place_state(training: Training, state: TrainState) -> TrainState:
    """Lay the state of one lane on the devices."""
    shardings = sharding.state_shardings(state, training.mesh, training.parameters)
    return sharding.place(state, shardings)


def join(training: Training, states: Sequence[TrainState]) -> TrainState:
    """Return the states of all lanes as one; that of a single lane as it is.

    Raises UserError when they differ in shape.
    """
    if len(states) == 1:
        return states[0]
    _check_alike(training, states, "weights or optimiser states")
    joined = jax.eval_shape(_stack, *states)
    shardings = sharding.state_shardings(joined, training.mesh, training.parameters)
    return jax.jit(_stack, out_shardings=shardings)(*states)


def own_state(training: Training, state: TrainState, lane: Lane) -> TrainState:
    """Return one lane's part of the state."""
    if len(training.lanes) == 1:
        return state
    return place_state(training, _take(state, training.lanes.index(lane)))


def with_scales(training: Training, state: TrainState) -> TrainState:
    """Return the state with the factors on the updates that the lanes' plateaus say."""
    scales = [lane.position.plateau.scale for lane in training.lanes]
    values = np.asarray(scales[0] if len(scales) == 1 else scales, np.float32)
    return state.replace(scale=sharding.place(values, sharding.replicated(training.mesh)))


def step_lanes(
    training: Training, state: TrainState, batches: Mapping[Lane, Arrays]
) -> tuple[TrainState, Arrays]:
    """Make one step of the lanes that have a batch; return the new state and all lanes' scalars.

    Args:
        training: its lanes; `batches` may leave some of them out.
        state: of all lanes.
        batches: numpy arrays, this process's rows.
    """
    if len(training.lanes) == 1:
        ((_, rows),) = batches.items()
        batch = sharding.put_batch(rows, training.mesh)
        arguments: tuple[Any, ...] = (state, batch, training.resident)
    else:
        active = np.array([lane in batches for lane in training.lanes])
        first = next(iter(batches.values()))
        given = [batches.get(lane, first) for lane in training.lanes]
        _check_alike(training, given, "batches")
        stacked = {name: np.stack([rows[name] for rows in given]) for name in first}
        batch = sharding.put_batch(stacked, training.mesh, axis=1)
        everywhere = sharding.replicated(training.mesh)
        arguments = (state, batch, training.resident, sharding.place(active, everywhere))
    return compiled_step(training, *arguments)(*arguments)


def compiled_step(training: Training, *arguments: Any) -> Callable:
    """Return the compiled step for a batch's shapes; compilations are few and are printed."""
    state, batch = arguments[:2]
    shape = tuple(sorted((name, array.shape) for name, array in batch.items()))
    if shape not in training.compiled:
        start = time.perf_counter()
        shardings = sharding.state_shardings(state, training.mesh, training.parameters)
        scalars = sharding.replicated(training.mesh)
        step = _step(training, state, batch)
        jitted = jax.jit(step, donate_argnums=0, out_shardings=(shardings, scalars))
        training.compiled[shape] = jitted.lower(*arguments).compile()
        seconds = time.perf_counter() - start
        training.timing.compile_seconds += seconds
        largest = max(batch.values(), key=lambda array: array.size)
        training.say(
            f"  compiled train step {len(training.compiled)} for a batch of {largest.shape} "
            f"in {seconds:.1f} s"
        )
    return training.compiled[shape]


def join_residents(training: Training) -> dict[str, jax.Array]:
    """Return the resident arrays of all lanes: once where they are the same, else stacked.

    Raises UserError when they differ in name or shape.
    """
    residents = [lane.predictor.resident for lane in training.lanes]
    if len(residents) == 1:
        return dict(residents[0])
    _check_alike(training, residents, "resident arrays")
    stack = jax.jit(_stack, out_shardings=sharding.replicated(training.mesh))
    return {
        name: array if _is_shared(training, name) else stack(*[r[name] for r in residents])
        for name, array in residents[0].items()
    }


def _is_shared(training: Training, name: str) -> bool:
    """Tell whether a resident array is one and the same in all lanes."""
    arrays = [lane.predictor.resident[name] for lane in training.lanes]
    return all(array is arrays[0] for array in arrays)


def _step(training: Training, state: TrainState, batch: Arrays) -> Callable:
    """Return the step of a single lane, or of all of them at once."""
    steps = [make_train_step(x.system, training.options.accumulation) for x in training.lanes]
    if len(steps) == 1:
        return steps[0]
    _check_same_program(training, steps, state, batch)

    def step(state: TrainState, batch: Arrays, resident: Arrays, active: jax.Array) -> Any:
        after, scalars = steps[0](state, batch, resident)
        return jax.tree.map(partial(jnp.where, active), after, state), scalars

    resident_axes = {n: None if _is_shared(training, n) else 0 for n in training.resident}
    return jax.vmap(step, in_axes=(0, 0, resident_axes, 0))


def _check_same_program(
    training: Training, steps: Sequence[Callable], state: TrainState, batch: Arrays
) -> None:
    """Raise UserError unless the lanes' steps are the same program.

    What a system takes from its replica's data and builds into its functions (a number of steps, a
    weight of a class) makes another program; seeds and folds themselves do not.
    """
    one = jax.eval_shape(partial(jax.tree.map, lambda x: x[0]), (state, batch))
    expected = _program(steps[0], *one, training.lanes[0].predictor.resident)
    for lane, step in zip(training.lanes[1:], steps[1:], strict=True):
        if _program(step, *one, lane.predictor.resident) != expected:
            raise UserError(
                f"{training.lanes[0].label} and {lane.label} differ in what they compute, not only "
                f"in their batches, so they cannot train in one step: {MEND}"
            )


def _program(step: Callable, *arguments: Any) -> bytes:
    """Return the digest of a lowered function; the constants built into it stand in its text."""
    return hashlib.sha256(jax.jit(step).lower(*arguments).as_text().encode()).digest()


def _check_alike(training: Training, trees: Sequence[Any], what: str) -> None:
    """Raise UserError unless all lanes' trees have the same names, shapes and dtypes."""
    shapes = [jax.tree.map(lambda x: (np.shape(x), str(x.dtype)), tree) for tree in trees]
    for lane, other in zip(training.lanes, shapes, strict=True):
        if other != shapes[0]:
            raise UserError(
                f"{training.lanes[0].label} and {lane.label} differ in the shapes of their {what}, "
                f"so they cannot train in one step: {MEND}"
            )


def _stack(*trees: Any) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@jax.jit
def _take(tree: Any, index: jax.Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)
