"""The train step where losses or gradients are not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medjax.run.step import init_state, make_train_step
from medjax.run.system import Aux, System, Update

VARIABLES = {
    "params": {"first": jnp.ones(3), "second": jnp.full(2, 2.0)},
    "batch_stats": {"mean": jnp.zeros(3)},
}


def update(name: str) -> Update:
    """Train one parameter; poison[name] is multiplied into the loss, and moves the statistics."""

    def loss(variables, batch, key, step):
        del key, step
        others = sum(x.sum() for x in variables["params"].values())
        value = (variables["params"][name] ** 2).sum() * batch[name].sum() + 0.1 * others
        return value, Aux({"batch_stats": {"mean": jnp.full(3, batch[name].sum())}}, {})

    return Update(
        name, loss, lambda path: "train" if path[0] == name else "frozen", optax.adam(0.1)
    )


def step_of(names: list[str], first: float, second: float):
    """Make one step; return the state before, that after, and the scalars."""
    system = System(*(None,) * 7)._replace(updates=tuple(update(name) for name in names))
    batch = {"mask": jnp.ones(1, bool), "first": jnp.full(1, first), "second": jnp.full(1, second)}
    before = init_state(system, VARIABLES, jax.random.key(0))
    after, scalars = jax.jit(make_train_step(system))(before, batch)
    return before, after, scalars


@pytest.mark.parametrize("names", [["first"], ["first", "second"]], ids=len)
def test_a_finite_step_moves_everything(names) -> None:
    before, after, scalars = step_of(names, 1.0, 1.0)
    assert scalars["finite"]
    for name in names:
        assert (after.variables["params"][name] < before.variables["params"][name]).all()
    assert (after.variables["batch_stats"]["mean"] == 1).all()
    assert [int(s[0].count) for s in after.optimizer_states] == [1] * len(names)


@pytest.mark.parametrize(
    ("names", "first", "second"),
    [
        (["first"], np.nan, 1.0),
        (["first", "second"], np.inf, 1.0),
        (["first", "second"], 1.0, np.nan),
    ],
    ids=["the only one", "the first of two", "the second, after the first was made"],
)
def test_a_step_that_is_not_finite_leaves_all_but_the_count(names, first, second) -> None:
    before, after, scalars = step_of(names, first, second)
    assert not scalars["finite"]
    assert int(after.step) == 1
    jax.tree.map(np.testing.assert_array_equal, after.variables, before.variables)
    jax.tree.map(np.testing.assert_array_equal, after.optimizer_states, before.optimizer_states)
