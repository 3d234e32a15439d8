"""MMTM and DAFT: what a row may read, where the blocks stand, what each optimiser step moves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medjax.errors import UsageError
from medjax.losses import kl_alignment
from medjax.run.step import init_state, make_train_step
from medjax.run.system import System
from medjax.systems.medfuse.daft import DAFT, DAFTBlock
from medjax.systems.medfuse.loss import Modes
from medjax.systems.medfuse.mmtm import MMTM, head_probabilities
from medjax.systems.medfuse.updates import mmtm_updates
from tests.variables import draw_variables

SMALL = {
    "backbone": "resnet",
    "stage_sizes": (1, 1),
    "width": 4,
    "dim": 6,
    "num_classes": 3,
    "vision_num_classes": 3,
    "dropout": 0.0,
}
RNG = np.random.default_rng(5)
BATCH = {
    "series": RNG.normal(size=(4, 5, 76)).astype(np.float32),
    "length": np.array([4, 2, 1, 5]),
    "image": RNG.normal(size=(4, 16, 16, 3)).astype(np.float32),
    "has_image": np.array([True, False, True, True]),
    "mask": np.array([True, True, True, False]),
}
FIRST_THREE = {name: value[:3] for name, value in BATCH.items()}
NETWORKS = {"mmtm": MMTM, "daft": DAFT}


@functools.cache
def drawn(fusion: str, layer_after: int, layers: int):
    network = NETWORKS[fusion](layer_after=layer_after, layers=layers, **SMALL)
    variables = draw_variables(lambda key: network.init(key, **BATCH, train=False))
    for name, block in variables["params"].items():
        if name.startswith("daft"):  # Two units: let neither be dead.
            block["base"]["kernel"] = np.abs(block["base"]["kernel"])
    return variables


def make(fusion: str, layer_after: int = -1, layers: int = 2, **options):
    """Return (network, variables)."""
    network = NETWORKS[fusion](layer_after=layer_after, layers=layers, **{**SMALL, **options})
    return network, drawn(fusion, layer_after, layers)


def run(network, variables, batch, train=False):
    apply = jax.jit(lambda v, b: network.apply(v, **b, train=train, mutable=["batch_stats"]))
    return apply(variables, batch)


def close(a, b, atol: float = 1e-5) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=atol), a, b)


@pytest.mark.parametrize(("fusion", "squeeze"), [("mmtm", "masked"), ("daft", "padded")])
def test_padding_rows_and_padded_time_touch_nothing(fusion: str, squeeze: str) -> None:
    """The published mean runs to the longest row of the batch, not to the end of the bucket."""
    network, variables = make(fusion, squeeze_mean=squeeze)
    padded = dict(BATCH)
    padded["series"] = np.concatenate([BATCH["series"], np.full((4, 3, 76), 9, np.float32)], 1)
    padded["image"] = BATCH["image"] * np.array([1, 1e3, 1, 1e3], np.float32)[:, None, None, None]
    with_padding, moved = run(network, variables, padded, train=True)
    alone, alone_moved = run(network, variables, FIRST_THREE, train=True)
    close(jax.tree.map(lambda x: x[:3] if x.ndim else x, with_padding), alone)
    close(moved, alone_moved)


@pytest.mark.parametrize("fusion", NETWORKS)
def test_a_row_is_not_moved_by_its_neighbours_under_the_masked_mean(fusion: str) -> None:
    every = dict(BATCH, mask=np.ones(4, bool))
    for squeeze, alike in (("masked", True), ("padded", False)):
        network, variables = make(fusion, squeeze_mean=squeeze)
        together = np.asarray(run(network, variables, every)[0].logits)
        alone, _ = run(network, variables, {k: v[:1] for k, v in every.items()})
        assert np.allclose(together[:1], alone.logits, atol=1e-5) == alike


@pytest.mark.parametrize(
    ("fusion", "layer_after", "layers"),
    [("mmtm", 0, 1), ("mmtm", 2, 3), ("daft", 1, 1), ("daft", 2, 3)],
)
def test_every_position_and_depth_joins_the_modalities(fusion, layer_after, layers) -> None:
    """The film of a row moves its prediction from the series through the one block alone."""
    network, variables = make(fusion, layer_after, layers)
    blocks = [name for name in variables["params"] if name.startswith(fusion)]
    assert blocks == [f"{fusion}_{layer_after}"]

    def of_series(batch):
        prediction = run(network, variables, batch)[0]
        return np.asarray(prediction.heads.get("ehr_only", prediction.logits))

    before = of_series(FIRST_THREE)
    after = of_series(dict(FIRST_THREE, image=-FIRST_THREE["image"]))
    changed = np.abs(before - after).max(1) > 1e-6
    np.testing.assert_array_equal(changed, FIRST_THREE["has_image"])


def test_the_scale_goes_through_the_activation() -> None:
    image, states = np.ones((1, 2, 2, 5), np.float32), RNG.normal(size=(1, 3, 4))
    squeezed = RNG.normal(size=(1, 9)).astype(np.float32)
    for name, function in (("linear", lambda x: x), ("sigmoid", jax.nn.sigmoid), ("tanh", np.tanh)):
        block = DAFTBlock(name)
        variables = block.init(jax.random.key(0), image, states, squeezed)
        base, out = (variables["params"][part]["kernel"] for part in ("base", "out"))
        scale, shift = np.split(np.maximum(squeezed @ base, 0) @ out, 2, axis=-1)
        _, after = block.apply(variables, image, states, squeezed)
        np.testing.assert_allclose(after, function(scale) * states + shift, rtol=1e-5)


def test_heads_average_and_alignment_of_mmtm() -> None:
    network, variables = make("mmtm")
    prediction, _ = run(network, variables, FIRST_THREE)
    probabilities = head_probabilities(prediction.heads)
    assert set(probabilities) == {"ehr_only", "cxr_only", "late_average"}
    mean = (probabilities["ehr_only"] + probabilities["cxr_only"]) / 2
    np.testing.assert_array_equal(probabilities["late_average"], mean)
    projection = variables["params"]["projection"]
    projected = prediction.ehr @ projection["kernel"] + projection["bias"]
    paired = np.array([0, 2])
    expected = kl_alignment(prediction.cxr[paired], projected[paired])
    np.testing.assert_allclose(prediction.alignment, expected, rtol=1e-5)


def test_bf16_keeps_float32_logits() -> None:
    network, variables = make("mmtm", dtype=jnp.bfloat16)
    prediction, _ = run(network, variables, FIRST_THREE)
    assert prediction.logits.dtype == jnp.float32 and prediction.ehr.dtype == jnp.bfloat16
    exact, _ = run(make("mmtm")[0], variables, FIRST_THREE)
    np.testing.assert_allclose(prediction.logits, exact.logits, atol=0.1)


@pytest.mark.parametrize(
    ("fusion", "options", "message"),
    [
        ("mmtm", {"layer_after": 3}, "layer_after 3"),
        ("daft", {"layer_after": -2}, "layer_after -2"),
        ("mmtm", {"squeeze_mean": "mean"}, "squeeze_mean"),
        ("daft", {"activation": "relu"}, "daft_activation"),
        ("mmtm", {"ratio": 100}, "mmtm_ratio"),
        ("mmtm", {"ratio": 0}, "mmtm_ratio"),
        ("daft", {"backbone": "densenet121"}, "ResNet"),
        ("mmtm", {"labels": "radiology"}, "radiology"),
    ],
)
def test_what_cannot_be_built_is_refused(fusion: str, options: dict, message: str) -> None:
    network = NETWORKS[fusion](**{**SMALL, "layer_after": 1, **options})
    with pytest.raises(UsageError, match=message):
        jax.eval_shape(lambda: network.init(jax.random.key(0), **BATCH, train=False))


@pytest.fixture(scope="module")
def mmtm_step():
    """(variables before, a function from the three learning rates to (state, scalars))."""
    network, variables = make("mmtm", layer_after=1)
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=0.0)
    modes = Modes(True, True, True)
    updates = mmtm_updates(network, modes, optimizer, 0.0, "ehr", layer_after=1)
    unused = ("init", "plan", "collate", "table", "predict", "evaluate")
    system = System(**dict.fromkeys(unused), updates=updates)
    labels = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1]], np.float32)
    step = jax.jit(make_train_step(system))

    def after(*rates: float):
        state = init_state(system, variables, jax.random.key(0))
        for rate, optimizer_state in zip(rates, state.optimizer_states, strict=True):
            optimizer_state.hyperparams["learning_rate"] = jnp.float32(rate)
        return step(state, {**BATCH, "labels": labels})

    return variables, after


def moved_parts(before, after) -> set[str]:
    """The parts of which any parameter changed."""
    return {
        part
        for part in before
        if any(
            not np.array_equal(a, b)
            for a, b in zip(jax.tree.leaves(before[part]), jax.tree.leaves(after[part]))
        )
    }


def test_each_of_the_three_steps_moves_its_own_parts(mmtm_step) -> None:
    before, after = mmtm_step
    held = ({"ehr", "ehr_head", "mmtm_1"}, {"cxr", "cxr_head", "mmtm_1"})
    joint = {"ehr", "cxr", "mmtm_1", "projection", "joint_head"}
    for index, expected in enumerate((*held, joint)):
        state, scalars = after(*(0.1 if i == index else 0.0 for i in range(3)))
        assert moved_parts(before["params"], state.variables["params"]) == expected
    assert {"loss/ehr_only", "loss/cxr_only", "loss/joint"} <= set(scalars)


def test_running_statistics_move_once_a_forward_pass(mmtm_step) -> None:
    """Three times a batch: with weights that stand still, 0.9^3 of the old mean is left."""
    before, after = mmtm_step
    _, once = run(make("mmtm", layer_after=1)[0], before, BATCH, train=True)

    def mean(tree):
        return np.asarray(tree["batch_stats"]["cxr"]["stem"]["BatchNorm_0"]["mean"])

    change = mean(once) - mean(before)
    expected = mean(before) + change * (1 - 0.9**3) / 0.1
    np.testing.assert_allclose(mean(after(0.0, 0.0, 0.0)[0].variables), expected, atol=1e-5)
