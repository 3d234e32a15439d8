"""Sizes, initial weights, padding rows and options of the ECG networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import UsageError
from medjax.systems.ecg_attention.checks import MODEL_CHOICES
from medjax.systems.ecg_attention.model import make_network
from tests.systems.ecg_attention.networks import OPTIONS, SMALL

LATENT_HEAD = {"latent_linear": True, "latent_dim": 8}


def signals(batch: int, options: dict, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    shape = (batch, options["leads"], options["time_steps"])
    return generator.standard_normal(shape, dtype=np.float32)


def draw(options: dict, seed: int = 1) -> dict:
    """Variables of a network without compiling its initialisation; none is zero or one."""
    generator = np.random.default_rng(seed)
    shape = jax.ShapeDtypeStruct((1, options["leads"], options["time_steps"]), jnp.float32)
    made = jax.eval_shape(make_network(options).init, jax.random.key(0), shape)

    def value(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        numbers = generator.standard_normal(leaf.shape, dtype=np.float32)
        if path[-1].key == "kernel":
            return numbers * np.prod(leaf.shape[:-1]) ** -0.5
        return 1 + 0.2 * np.abs(numbers) if path[-1].key in ("scale", "var") else 0.2 * numbers

    return jax.tree_util.tree_map_with_path(value, made)


def run(options: dict, x: np.ndarray, visible=None, valid=None, *, train=False):
    rngs = {"dropout": jax.random.key(2), "latent": jax.random.key(3)}
    return make_network(options).apply(
        draw(options), x, visible, valid, train=train, rngs=rngs, mutable=["batch_stats"]
    )


@pytest.mark.parametrize(
    ("options", "encoder", "decoder"),
    [
        ({}, 1_274_536, 110_570),
        ({"time_steps": 1024}, 3_313_976, 265_166),
        ({"time_attention": False}, 1_345_746 - 110_570, 110_570),
        # Without lead attention the original keeps a LayerNorm of 608 numbers that nothing reads.
        ({"lead_attention": False}, 272_770 - 608 - 110_570, 110_570),
        ({"lead_attention": False, "time_attention": False}, 233_410 - 608 - 110_570, 110_570),
        ({"network": "marcel_vae"}, 1_558_024, 6_962_141 - 1_558_024),
        ({"network": "xresnet1d101"}, 1_804_672, 6_909_764 - 1_804_672),
    ],
)
def test_published_numbers_of_parameters(options, encoder, decoder) -> None:
    options = OPTIONS | options
    shape = jax.ShapeDtypeStruct((1, 12, options["time_steps"]), jnp.float32)
    made = jax.eval_shape(make_network(options).init, jax.random.key(0), shape)
    sizes = {
        part: sum(leaf.size for leaf in jax.tree.leaves(tree))
        for part, tree in made["params"].items()
    }
    assert sizes == {"encoder": encoder, "decoder": decoder}


def test_initial_weights() -> None:
    options = SMALL | LATENT_HEAD | {"pool_dim": 64, "leads": 12, "base_features": 8}
    params = jax.jit(make_network(options).init)(jax.random.key(0), signals(1, options))["params"]
    encoder, decoder = params["encoder"], params["decoder"]
    kaiming = {
        "stem/conv1": (encoder["stem"]["conv1"]["kernel"], 5),
        "stem/conv2": (encoder["stem"]["conv2"]["kernel"], 5 * 96),
        "main": (encoder["blocks_1"]["main"]["conv2"]["kernel"], 5 * 32),
        "shortcut": (encoder["blocks_1"]["shortcut"]["kernel"], 16),
        "pool": (encoder["attention"]["pool_max"]["kernel"], 12 * 32),
    }
    for name, (kernel, fan_in) in kaiming.items():
        assert np.std(kernel) == pytest.approx((2 / fan_in) ** 0.5, rel=0.12), name
    time = encoder["attention"]["time"]
    limits = {
        "stem bias": (encoder["stem"]["conv2"]["bias"], (5 * 96) ** -0.5),
        "input projection": (time["attention"]["input"]["kernel"], (6 / (4 * 32)) ** 0.5),
        "output projection": (time["attention"]["output"]["kernel"], (6 / 64) ** 0.5),
        "perceptron": (time["mlp"]["fc1"]["kernel"], (6 / (32 + 128)) ** 0.5),
        "latent": (encoder["linear"]["kernel"], (6 / (64 + 8)) ** 0.5),
        "decoder linear": (decoder["linear_1"]["kernel"], 64**-0.5),
        "decoder conv": (decoder["blocks_0"]["main"]["conv1"]["kernel"], (5 * 8) ** -0.5),
        "transposed": (decoder["blocks_0"]["up"]["bias"], (4 * 8) ** -0.5),
    }
    for name, (values, bound) in limits.items():
        assert 0.7 * bound < np.abs(values).max() <= bound, name
    for bias in (time["attention"]["input"]["bias"], time["mlp"]["fc2"]["bias"]):
        assert not np.any(bias)
    kernels = time["mlp"]["fc1"]["kernel"]
    assert not np.allclose(kernels[0], kernels[1])


@pytest.mark.parametrize("network", ["dual_attention", "marcel_vae"])
@pytest.mark.parametrize("train", [False, True])
def test_a_padding_row_changes_nothing(network, train) -> None:
    options = SMALL | {"network": network, "dropout": 0.0, "lead_mask": network == SMALL["network"]}
    x = signals(4, options)
    visible = np.ones_like(x)
    visible[1, 2] = 0
    other = x.copy()
    other[3] = 1e3 * x[0]
    valid = np.array([True, True, True, False])
    found = []
    for given in (x, other):
        (reconstruction, code), moved = run(options, given, visible, valid, train=train)
        found.append((reconstruction[:3], code.z[:3], moved))
    jax.tree.map(np.testing.assert_array_equal, *found)
    if not train:
        (alone, _), _ = run(options, x[:3], visible[:3])
        np.testing.assert_allclose(alone, found[0][0], atol=2e-4)


def test_a_row_that_shows_no_lead_is_a_number() -> None:
    options = SMALL | {"lead_mask": True}
    x = signals(2, options)
    visible = np.ones_like(x)
    visible[1] = 0
    (reconstruction, code), _ = run(options, x * visible, visible)
    assert np.isfinite(reconstruction).all() and np.isfinite(code.z).all()
    hidden = np.ones_like(x)
    hidden[0, 1] = 0
    (_, code), _ = run(options, x, hidden)
    assert not code.lead_attention[0, :, 1].any() and code.lead_attention[1, :, 1].all()


CHANGES = [
    {"serial_attention": True},
    {"lead_attention": False},
    {"time_attention": False},
    {"lead_attention": False, "ablated_lead_branch": "none"},
    {"lead_mask": True},
    {"lead_mask": True, "lead_mask_assignment": "heads_first"},
    {"time_code": True},
    {"time_code": True, "add_time_mask": False},
    {"stem_channel_order": "feature_major"},
    {"decoder_linears": 1},
    LATENT_HEAD,
    LATENT_HEAD | {"variational": True},
    LATENT_HEAD | {"variational": True, "latent_sample_in_eval": True},
]


def test_every_option_of_the_computation_changes_it() -> None:
    x = signals(3, SMALL)
    visible = np.ones_like(x)
    visible[0, 0] = 0
    outputs = [run(SMALL | change, x, visible)[0][0] for change in ({}, *CHANGES)]
    for index, first in enumerate(outputs):
        for other, second in enumerate(outputs[index + 1 :], start=index):
            assert not np.allclose(first, second, atol=1e-3), CHANGES[other]


@pytest.mark.slow
def test_every_option_of_dropout_changes_it() -> None:
    # Equal rows: what differs between them is dropout.
    x = np.repeat(signals(1, SMALL), 3, axis=0)
    codes = {}
    for placement in MODEL_CHOICES["dropout_placement"]:
        for batchwise in (False, True):
            change = {"dropout_placement": placement, "batchwise_dropout": batchwise}
            (_, code), _ = run(SMALL | change, x, train=True)
            codes[placement, batchwise] = np.asarray(code.z)
    (_, still), _ = run(SMALL | {"dropout": 0.0}, x, train=True)
    arrays = [*codes.values(), np.asarray(still.z)]
    for index, first in enumerate(arrays):
        assert all(not np.allclose(first, second) for second in arrays[index + 1 :])
    for (placement, batchwise), code in codes.items():
        one_mask = placement == "uniform" and batchwise
        assert np.allclose(code, code[:1], atol=1e-5) == one_mask


@pytest.mark.slow
def test_norm_output_and_narrow_types() -> None:
    options = SMALL | {"network": "marcel_vae"}
    x = signals(2, options)
    (plain, _), _ = run(options, x)
    (normed, _), _ = run(options | {"norm_output": True}, x)
    assert np.allclose(normed.std(-1), 1, atol=1e-2) and not np.allclose(plain.std(-1), 1, atol=0.1)
    network = make_network(SMALL, "bfloat16")
    variables = draw(SMALL)
    reconstruction, code = network.apply(variables, x)
    exact, _ = make_network(SMALL).apply(variables, x)
    assert reconstruction.dtype == code.z.dtype == jnp.float32
    assert np.corrcoef(reconstruction.ravel(), exact.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"network": "dual_atention"}, "did you mean 'dual_attention'"),
        ({"decoder": "unet"}, "decoder"),
        ({"time_steps": 30}, "such as 32"),
        ({"down_blocks": 6, "up_blocks": 6}, "1 to 5"),
        ({"up_blocks": 3}, "must be down_blocks"),
        ({"down_blocks": 1, "up_blocks": 1}, "2 or more"),
        ({"decoder_linears": 3}, "1 or 2"),
        ({"pool_dim": 15, "latent_dim": 15}, "even"),
        ({"latent_dim": 8}, "latent_linear=True"),
        ({"variational": True}, "latent_linear=True"),
        ({"base_features": 1}, "8 heads"),
        ({"lead_attention": False, "lead_mask": True}, "lead_attention=True"),
        ({"base_features": 2, "down_blocks": 3, "up_blocks": 3, "dropout": 1.0}, "dropout"),
        ({"leads": 0}, "1 or more"),
        ({"network": "marcel_vae", "variational": True}, "marcel_vae does"),
        ({"network": "xresnet1d101", "time_steps": 48}, "multiple of 32"),
        ({"network": "xresnet1d101", "latent_dim": 12}, "multiple of 8"),
    ],
)
def test_wrong_options_are_one_sentence(change, word) -> None:
    with pytest.raises(UsageError) as caught:
        make_network(SMALL | change)
    assert word in str(caught.value) and "\n" not in str(caught.value)
