"""The optimiser step of pre-training: what trains, and what waits."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from medjax.run.system import Update
from medjax.systems.medst.networks.prototypes import normalised

IDLE = (
    ("local_alignment", "word_weights", "output"),
    ("local_alignment", "patch_weights", "output"),
)
"""Parameters that no loss reads: of attention only the weights are used."""
PROTOTYPES = "prototype_layer"


def role(path: tuple[str, ...], freeze_text: bool = False) -> str:
    """Return "train", "frozen" or "unused" for the parameter at a path of a network's tree."""
    if path[:3] in IDLE:
        return "unused"
    return "frozen" if freeze_text and path[:2] == ("text_encoder", "bert") else "train"


class Held(NamedTuple):
    """State of a transformation that waits."""

    step: jax.Array
    inner: Any


def hold(inner: optax.GradientTransformation, steps: int) -> optax.GradientTransformation:
    """Return `inner` beginning after `steps` steps: until then nothing moves, its count neither."""

    def init(params: optax.Params) -> Held:
        return Held(jnp.zeros((), jnp.int32), inner.init(params))

    def update(
        grads: optax.Updates, state: Held, params: optax.Params | None = None
    ) -> tuple[optax.Updates, Held]:
        changes, after = inner.update(grads, state.inner, params)
        begun = state.step >= steps
        changes = jax.tree.map(lambda x: jnp.where(begun, x, 0), changes)
        kept = jax.tree.map(lambda new, old: jnp.where(begun, new, old), after, state.inner)
        return changes, Held(optax.safe_increment(state.step), kept)

    return optax.GradientTransformation(init, update)


def with_waiting_prototypes(
    make: Callable[[optax.Schedule], optax.GradientTransformation],
    rate: optax.Schedule,
    steps: int,
) -> optax.GradientTransformation:
    """Return an optimiser that leaves the prototypes as they are for `steps` steps.

    make: rate -> optimiser; the prototypes' own counts its steps, and corrects its bias, from where
    they begin to move, at the rate that all others have by then.
    """
    waiting = hold(make(lambda step: rate(step + steps)), steps)

    def kinds(params: optax.Params) -> Any:
        return {
            name: jax.tree.map(lambda _, n=name: "waits" if n == PROTOTYPES else "moves", tree)
            for name, tree in dict(params).items()
        }

    return optax.partition({"waits": waiting, "moves": make(rate)}, kinds)


def make_update(
    loss: Callable, optimizer: optax.GradientTransformation, freeze_text: bool = False
) -> Update:
    """Return the step that trains all of a network at once."""
    return Update("align", loss, lambda path: role(path, freeze_text), optimizer)


def project(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return variables whose prototypes, where there are any, are of length 1."""
    params = dict(variables["params"])
    if PROTOTYPES in params:
        params[PROTOTYPES] = {"kernel": normalised(params[PROTOTYPES]["kernel"])}
    return {**variables, "params": params}
