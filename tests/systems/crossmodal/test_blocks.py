"""Encoders and decoders in one, two and three axes, with every option; the merges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import UsageError
from medjax.systems.crossmodal.architecture import Architecture
from medjax.systems.crossmodal.blocks import Decoder, Encoder
from medjax.systems.crossmodal.choices import MERGES
from medjax.systems.crossmodal.merge import draw_index, merge_latents
from medjax.systems.crossmodal.model import CrossModal, make_init
from tests.variables import draw_variables

SMALL = {"conv_layers": (3, 4), "dense_blocks": (4,), "block_size": 2, "dense_layers": (6, 5)}
OPTIONS = {
    "one axis": Architecture((12, 2), conv_width=(5, 3), conv_dilate=True, **SMALL),
    "two axes": Architecture(
        (8, 6, 2),
        pool_type="average",
        conv_normalize="batch_norm",
        dense_normalize="layer_norm",
        activation="gelu",
        **SMALL,
    ),
    "three axes": Architecture((4, 4, 6, 2), pool_z=3, activation="mish", **SMALL),
}
RNG = np.random.default_rng(2)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_decoder_gives_back_the_shape_that_its_encoder_reads(name: str) -> None:
    options = OPTIONS[name]
    x = jnp.zeros((2, *options.shape))

    def both(key):
        encoded, variables = Encoder(options).init_with_output(key, x, train=False)
        decoded, more = Decoder(options).init_with_output(key, encoded[-1], train=False)
        return encoded, decoded, variables, more

    encoded, decoded, variables, more = jax.eval_shape(both, jax.random.key(0))
    assert encoded[-1].shape == (2, 5)
    assert decoded[0].shape == (2, *options.start)
    assert decoded[-1].shape == x.shape
    residual, kernel = variables["params"]["residual"], options.kernels(3)
    assert residual["conv1"]["kernel"].shape == (*kernel[1], 3, 4)
    assert residual["skip1"]["kernel"].shape == (*[1] * options.axes, 4, 3)
    block = variables["params"]["block0"]
    assert block["conv0"]["kernel"].shape == (*kernel[2], 3, 4)
    assert block["conv1"]["kernel"].shape == (*kernel[2], 7, 4)
    assert more["params"]["block0"]["conv0"]["kernel"].shape == (*kernel[0], 4, 4)


def test_the_published_networks_have_the_published_sizes() -> None:
    ecg = Architecture(
        (600, 12), (23, 23), (46,), 5, dense_normalize="layer_norm", activation="mish"
    )
    mri = Architecture(
        (96, 96, 50), (24, 24), (40, 40, 40), dense_normalize="layer_norm", activation="gelu"
    )
    for name, options, size in (("ecg", ecg, 11_336_739), ("mri", mri, 3_542_474)):
        model = CrossModal(((name, options),), mergers=(name,))
        shapes = jax.eval_shape(make_init(model), jax.random.key(0))
        assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == size


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"activation": "mash"}, "did you mean 'mish'"),
        ({"pool_x": 5}, "an axis of 12 is no multiple of 5"),
        ({"conv_normalize": "instance_norm"}, "conv_normalize"),
        ({"dense_layers": ()}, "one entry"),
    ],
)
def test_options_that_make_no_network_are_refused(change: dict, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        Architecture(**{**SMALL, "shape": (12, 2), **change})


@pytest.mark.parametrize("merge", MERGES)
def test_what_is_absent_never_reaches_the_merged_latent(merge: str) -> None:
    latents = RNG.normal(size=(2, 4, 3)).astype(np.float32)
    present = np.array([[True, True, False, False], [True, False, True, False]])
    index = draw_index(jax.random.key(3), merge, 2, 4, 3)
    index = np.array([0, 1, 1]) if merge == "coordinate_fixed" else index
    merged = merge_latents(list(latents), merge, index, present)
    changed = np.where(present[..., None], latents, latents + 7)
    again = merge_latents(list(changed), merge, index, present)
    np.testing.assert_array_equal(merged[:3], again[:3])
    if merge not in ("concat", "kronecker"):
        np.testing.assert_array_equal(merged[1], latents[0, 1])
        np.testing.assert_array_equal(merged[2], latents[1, 2])


def test_a_sample_takes_one_modality_and_a_coordinate_one_for_all() -> None:
    latents = [np.zeros((64, 8), np.float32), np.ones((64, 8), np.float32)]
    for merge, axis in (("sample", 1), ("coordinate", 0)):
        merged = merge_latents(latents, merge, draw_index(jax.random.key(0), merge, 2, 64, 8))
        assert np.ptp(merged, axis).max() == 0 and np.ptp(merged) == 1


def test_every_merge_makes_a_model_whose_fixed_mask_lies_with_its_weights() -> None:
    options = Architecture((12, 2), (3,), (4,), 2, (3,), dense_layers=(6,))
    for merge in ("sample", "kronecker", "coordinate_fixed"):
        model = CrossModal((("ecg", options), ("mri", options)), merge, temperature=0.5)
        variables = draw_variables(make_init(model))
        parts = {"encoder_ecg", "decoder_ecg", "encoder_mri", "decoder_mri", "pair"}
        assert set(variables["params"]) == parts | ({"merger"} if merge == "kronecker" else set())
        assert ("fixed" in variables) == (merge == "coordinate_fixed")
