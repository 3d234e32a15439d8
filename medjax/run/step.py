"""The jitted train step: every update of a system on one global batch, guarded against NaN."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct, traverse_util

from medjax.run.system import Aux, Batch, System, Update, with_resident

Parameters = Mapping[str, Any]
"""A nested dict of arrays: all parameters, or those that one update trains."""


class TrainState(struct.PyTreeNode):
    """Everything that a step changes; all of it is in a checkpoint."""

    step: jax.Array
    """int32, number of batches seen."""
    variables: Mapping[str, Any]
    """Flax variables: parameters and running statistics."""
    optimizer_states: tuple[Any, ...]
    """One a system update, over its trainable parameters only."""
    scale: jax.Array
    """float32 factor on every update: the learning-rate plateau."""
    key: jax.Array
    """Typed key; the randomness of step i is drawn from fold_in(key, i)."""


def split_parameters(params: Mapping, update: Update) -> tuple[Parameters, Parameters]:
    """Return (trained by this update, all others)."""
    flat = traverse_util.flatten_dict(dict(params))
    trained = {path: leaf for path, leaf in flat.items() if update.role(path) == "train"}
    rest = {path: leaf for path, leaf in flat.items() if path not in trained}
    return traverse_util.unflatten_dict(trained), traverse_util.unflatten_dict(rest)


def merge_parameters(trained: Parameters, rest: Parameters) -> Parameters:
    """Undo `split_parameters`."""
    flat = {**traverse_util.flatten_dict(dict(rest)), **traverse_util.flatten_dict(dict(trained))}
    return traverse_util.unflatten_dict(flat)


def init_state(system: System, variables: Mapping[str, Any], key: jax.Array) -> TrainState:
    """Return the state before the first step."""
    states = tuple(
        u.optimizer.init(split_parameters(variables["params"], u)[0]) for u in system.updates
    )
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        variables=dict(variables),
        optimizer_states=states,
        scale=jnp.ones((), jnp.float32),
        key=key,
    )


def micro_batches(batch: Batch, count: int) -> list[dict[str, jax.Array]]:
    """Split a batch into `count` interleaved parts, so that every device keeps its own rows."""
    if count == 1:
        return [dict(batch)]
    return [
        {k: v.reshape(v.shape[0] // count, count, *v.shape[1:])[:, i] for k, v in batch.items()}
        for i in range(count)
    ]


def gradients(
    update: Update,
    variables: Mapping[str, Any],
    batch: Batch,
    resident: Mapping[str, Any],
    key: jax.Array,
    step: jax.Array,
    accumulation: int,
) -> tuple[jax.Array, Parameters, Aux]:
    """Return (loss, gradients of the trained parameters, aux) of one update.

    With `accumulation` > 1 the parts run one after the other (unrolled: convolution gradients
    inside a scan are many times slower on CPU) and are averaged by their number of valid rows;
    running statistics move once a part.
    """
    trained, rest = split_parameters(variables["params"], update)
    mutable = {name: value for name, value in variables.items() if name != "params"}

    def loss_fn(trained: Parameters, mutable: Mapping, part: Batch, key: jax.Array):
        params = merge_parameters(trained, rest)
        seen = with_resident(part, resident)
        return update.loss({"params": params, **mutable}, seen, key, step)

    total = jnp.maximum(batch["mask"].sum(), 1).astype(jnp.float32)
    loss: Any = 0.0
    sums: Any = None
    metrics: Any = None
    for i, part in enumerate(micro_batches(batch, accumulation)):
        weight = part["mask"].sum() / total
        part_key = key if accumulation == 1 else jax.random.fold_in(key, i)
        if sums is not None:
            # Without this XLA may start all parts at once and hold all their activations.
            sums, part = jax.lax.optimization_barrier((sums, part))
        (value, aux), grads = jax.value_and_grad(loss_fn, has_aux=True)(
            trained, mutable, part, part_key
        )
        mutable = {**mutable, **aux.mutable}
        weighted = jax.tree.map(lambda x, w=weight: x * w, (grads, dict(aux.metrics)))
        loss = loss + value * weight
        if sums is None:
            sums, metrics = weighted
        else:
            sums, metrics = jax.tree.map(jnp.add, (sums, metrics), weighted)
    return loss, sums, Aux(mutable, metrics)


def apply_update(
    update: Update,
    state: TrainState,
    index: int,
    variables: Mapping[str, Any],
    grads: Parameters,
    finite: jax.Array,
) -> tuple[Parameters, Any]:
    """Return (all parameters after the update, the new optimiser state); the state's if not finite.

    It is a branch. To choose afterwards, XLA copies all moments first, which on a CPU takes a tenth
    of the step of a transformer.
    """

    def made() -> tuple[Parameters, Any]:
        trained, rest = split_parameters(variables["params"], update)
        before = state.optimizer_states[index]
        changes, after = update.optimizer.update(grads, before, trained)
        changes = jax.tree.map(lambda change: change * state.scale, changes)
        return merge_parameters(optax.apply_updates(trained, changes), rest), after

    def left() -> tuple[Parameters, Any]:
        return dict(state.variables["params"]), state.optimizer_states[index]

    return jax.lax.cond(finite, made, left)


def choose(condition: jax.Array, first: Any, second: Any) -> Any:
    """Return one of two trees."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), first, second)


def make_train_step(
    system: System, accumulation: int = 1
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
    """Return (state, batch, resident arrays) -> (new state, scalars); to be jitted by the caller.

    The resident arrays may be left out where a system has none; as arguments they are not built
    into the compiled program.
    The scalars hold "loss" (of the first update), "loss/<update>" when there are several,
    "gradient_norm", the losses' own metrics and "finite". Where a loss or a gradient is not
    finite, the state comes back unchanged but for its step, so that a checkpoint never holds NaN.
    """

    def step(
        state: TrainState, batch: Batch, resident: Mapping[str, Any] = {}
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        variables = dict(system.project(state.variables))
        key = jax.random.fold_in(state.key, state.step)
        optimizer_states, scalars = [], {}
        finite = jnp.asarray(True)
        for index, update in enumerate(system.updates):
            update_key = jax.random.fold_in(key, index)
            loss, grads, aux = gradients(
                update, variables, batch, resident, update_key, state.step, accumulation
            )
            norm = optax.tree.norm(grads)
            finite &= jnp.isfinite(loss) & jnp.isfinite(norm)
            params, optimizer_state = apply_update(update, state, index, variables, grads, finite)
            variables = {**variables, **aux.mutable, "params": params}
            optimizer_states.append(optimizer_state)
            prefix = f"/{update.name}" if len(system.updates) > 1 else ""
            if index == 0:
                scalars["loss"] = loss
            scalars |= {f"loss{prefix}": loss, f"gradient_norm{prefix}": norm}
            scalars |= {f"{name}{prefix}": value for name, value in aux.metrics.items()}
        params = {"params": variables.pop("params")}
        former = {n: state.variables[n] for n in variables}
        variables = choose(finite, variables, former)
        if len(system.updates) > 1:  # the first may have been made before the second was not finite
            old = {"params": state.variables["params"]}, list(state.optimizer_states)
            params, optimizer_states = choose(finite, (params, optimizer_states), old)
        state = state.replace(
            step=state.step + 1,
            variables={**variables, **params},
            optimizer_states=tuple(optimizer_states),
        )
        return state, {**scalars, "finite": finite}

    return step
