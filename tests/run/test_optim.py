"""Adam as Keras computes it, and the rectified Adam of TensorFlow Addons, step by step."""

from collections.abc import Callable, Iterator

import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from medjax.errors import UsageError
from medjax.run.optim import learning_rate, make_optimizer

RATE, B1, B2 = 0.01, 0.9, 0.999
GRADIENTS = np.random.default_rng(1).normal(size=(8, 5)) * [1e-8, 1e-6, 1e-3, 1, 100]


def moments(gradients: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    m = v = 0
    for t, g in enumerate(gradients, start=1):
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g * g
        yield t, m, v


def keras_adam(eps: float) -> list[np.ndarray]:
    return [
        -RATE * np.sqrt(1 - B2**t) / (1 - B1**t) * m / (np.sqrt(v) + eps)
        for t, m, v in moments(GRADIENTS)
    ]


def radam(eps: float) -> list[np.ndarray]:
    longest, steps = 2 / (1 - B2) - 1, []
    for t, m, v in moments(GRADIENTS):
        length = longest - 2 * t * B2**t / (1 - B2**t)
        direction = m / (1 - B1**t)
        if length >= 5:
            trust = (length - 4) * (length - 2) * longest
            trust /= (longest - 4) * (longest - 2) * length
            direction = np.sqrt(trust) * direction / (np.sqrt(v / (1 - B2**t)) + eps)
        steps.append(-RATE * direction)
    return steps


def steps_of(name: str, eps: float) -> list[np.ndarray]:
    options = {"name": name, "learning_rate": RATE, "schedule": "constant", "b1": B1, "b2": B2}
    options |= {"eps": eps, "weight_decay": 0.0, "clip_norm": 0.0}
    optimizer = make_optimizer(ConfigDict(options), 8)
    params = {"w": np.zeros(5, np.float32)}
    state, steps = optimizer.init(params), []
    for gradient in GRADIENTS.astype(np.float32):
        updates, state = optimizer.update({"w": gradient}, state, params)
        steps.append(np.asarray(updates["w"]))
        params = optax.apply_updates(params, updates)
    return steps


# The rectification takes a small number from a large one: float32 leaves it two digits at first.
@pytest.mark.parametrize(
    ("name", "formula", "rtol"), [("keras_adam", keras_adam, 1e-4), ("radam", radam, 2e-2)]
)
def test_steps_are_those_of_the_formula(name: str, formula: Callable, rtol: float) -> None:
    for ours, expected in zip(steps_of(name, 1e-7), formula(1e-7), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=rtol)


def test_epsilon_counts_more_than_in_the_textbook() -> None:
    """Small gradients tell the two forms of Adam apart, large ones do not."""
    ratio = steps_of("keras_adam", 1e-7)[0] / steps_of("adam", 1e-7)[0]
    assert ratio[0] < 0.2 and ratio[4] == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_decay_of_matrices_leaves_vectors_alone(name: str) -> None:
    options = {"name": name, "learning_rate": RATE, "schedule": "constant", "b1": B1, "b2": B2}
    options |= {"eps": 1e-8, "weight_decay": 0.5, "clip_norm": 0.0, "decay_rule": "matrices"}
    params = {"kernel": np.ones((2, 2), np.float32), "bias": np.ones(2, np.float32)}
    still = {"kernel": np.zeros((2, 2), np.float32), "bias": np.zeros(2, np.float32)}
    optimizer = make_optimizer(ConfigDict(options), 8)
    updates, _ = optimizer.update(still, optimizer.init(params), params)
    assert (np.asarray(updates["kernel"]) < 0).all() and not np.asarray(updates["bias"]).any()
    with pytest.raises(UsageError, match="decay_rule 'matrix' .* did you mean 'matrices'"):
        make_optimizer(ConfigDict(options | {"decay_rule": "matrix"}), 8)


def test_a_rate_of_ones_own_stands_in_for_the_schedule() -> None:
    options = {"name": "sgd", "learning_rate": RATE, "schedule": "constant", "momentum": 0.0}
    options |= {"weight_decay": 0.0, "clip_norm": 0.0}
    optimizer = make_optimizer(ConfigDict(options), 8, lambda step: 1.0 + step)
    params = {"w": np.ones(1, np.float32)}
    state, seen = optimizer.init(params), []
    for _ in range(3):
        updates, state = optimizer.update(params, state, params)
        seen.append(float(updates["w"][0]))
    assert seen == [-1, -2, -3]


def test_a_warm_up_longer_than_the_training_is_refused() -> None:
    options = {"name": "sgd", "learning_rate": RATE, "schedule": "warmup_cosine"}
    options |= {"warmup_steps": 9, "warmup_learning_rate": 0.0, "final_learning_rate": 0.0}
    with pytest.raises(UsageError, match="warmup_steps is 9 and the training has 8 steps"):
        learning_rate(ConfigDict(options), 8)
