"""Cycles of the learning rate, prototypes that wait, what does not train."""

import numpy as np
import optax
import pytest

from medjax.errors import UserError
from medjax.systems.medst.pretraining.schedule import Cycles, published_cycle
from medjax.systems.medst.pretraining.updates import project, role, with_waiting_prototypes


def test_a_cycle_rises_and_falls_and_the_next_is_longer_and_lower() -> None:
    schedule = Cycles(1.0, 10, 4, 0.0, growth=1.5, gamma=0.5).schedule(30)
    rates = np.asarray(schedule(np.arange(24)))
    np.testing.assert_allclose(rates[:5], [0, 0.25, 0.5, 0.75, 1], atol=1e-6)
    np.testing.assert_allclose(rates[[7, 10]], [0.5, 0], atol=1e-6)
    np.testing.assert_allclose(rates[[14, 17, 23]], [0.5, 0.5 * 0.75, 0], atol=1e-6)


def test_a_warm_up_as_long_as_the_cycle_is_an_error() -> None:
    with pytest.raises(UserError, match="a warm-up of 5 steps leaves none of the 5 steps"):
        Cycles(1.0, 5, 5).schedule(5)
    rate = published_cycle(4e-5, 10)
    assert float(rate(0)) == pytest.approx(1e-8) and float(rate(4)) == pytest.approx(4e-5)


def test_waiting_prototypes_start_like_new_at_the_rate_of_the_others() -> None:
    def make(rate):
        return optax.adamw(rate, weight_decay=0.1)

    def rate(step):
        return 0.1 * (step + 1)

    params = {"prototype_layer": {"kernel": np.ones(2)}, "other": np.ones(2)}
    grads = {"prototype_layer": {"kernel": np.array([1.0, -2.0])}, "other": np.ones(2)}
    optimizer = with_waiting_prototypes(make, rate, 2)
    state = optimizer.init(params)
    for step in range(3):
        changes, state = optimizer.update(grads, state, params)
        moved = np.asarray(changes["prototype_layer"]["kernel"])
        assert np.abs(changes["other"]).min() > 0 and bool(moved.any()) == (step == 2)
    np.testing.assert_allclose(moved, -0.3 * np.array([1 + 0.1, -1 + 0.1]), rtol=1e-4)


def test_what_trains() -> None:
    bert = ("text_encoder", "bert", "layers_0", "query", "kernel")
    assert role(bert) == "train" and role(bert, freeze_text=True) == "frozen"
    assert role(("text_encoder", "global_head", "hidden", "kernel"), True) == "train"
    weights = ("local_alignment", "word_weights")
    assert role((*weights, "output", "kernel")) == "unused"
    assert role((*weights, "input", "kernel")) == "train"


def test_prototypes_are_brought_to_length_one_before_a_step() -> None:
    kernel = np.array([[3.0, 0.0], [4.0, 2.0]])
    variables = {"params": {"prototype_layer": {"kernel": kernel}, "a": 1}, "batch_stats": {}}
    found = project(variables)
    np.testing.assert_allclose(found["params"]["prototype_layer"]["kernel"], [[0.6, 0], [0.8, 1]])
    assert found["params"]["a"] == 1 and project({"params": {"a": 1}}) == {"params": {"a": 1}}
