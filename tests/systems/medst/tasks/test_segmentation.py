"""Masks: the loss of a split, networks on a frozen encoder, which films are shown."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from medjax.errors import UsageError
from medjax.losses.segmentation import focal_dice
from medjax.run.words import load_config
from medjax.systems.medst.networks.unet import UNet
from medjax.systems.medst.tasks.overlays import MaskOverlay, choose_films, mask_page
from medjax.systems.medst.tasks.segmentation import split_loss
from tests.systems.medst.test_run import CONFIG

RNG = np.random.default_rng(0)


def test_the_loss_of_a_split_is_that_of_one_batch() -> None:
    logits, true = RNG.normal(size=(5, 4, 4)), RNG.integers(0, 2, (5, 4, 4))
    told = 1 / (1 + np.exp(-logits))
    wrong = np.where(true, 1 - told, told)
    outputs = {
        "focal": (-(wrong**2) * np.log(1 - wrong)).mean((1, 2)),
        "soft_both": (told * true).sum((1, 2)),
        "soft_each": (told + true).sum((1, 2)),
    }
    options = ConfigDict({"focal_weight": 10.0, "focal_gamma": 2.0, "dice_smooth": 1.0})
    whole = focal_dice(jnp.asarray(logits), jnp.asarray(true))
    assert split_loss(outputs, options) == pytest.approx(float(whole), rel=1e-5)


@pytest.fixture(scope="module")
def unet():
    """The smallest U-Net: (variables, its function of variables, films and mask)."""
    model = UNet("resnet4", 4, (4, 3))
    shape = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    shapes = jax.eval_shape(partial(model.init, jax.random.key(0), train=False), shape)
    variables = jax.tree.map(lambda x: jnp.asarray(RNG.random(x.shape), x.dtype), shapes)
    return variables, jax.jit(partial(model.apply, train=True, mutable=["batch_stats"]))


def test_a_u_net_gives_a_logit_a_pixel_and_leaves_its_encoder_still(unet) -> None:
    variables, apply = unet
    films = jnp.asarray(RNG.normal(size=(3, 8, 8, 3)), jnp.float32)
    logits, moved = apply(variables, films, jnp.ones(3, bool))
    assert logits.shape == (3, 8, 8, 1)
    before, after = variables["batch_stats"], moved["batch_stats"]
    same = partial(jax.tree.map, lambda a, b: bool((a == b).all()))
    assert all(jax.tree.leaves(same(before["network"], after["network"])))
    assert not any(jax.tree.leaves(same(before["ups_0"], after["ups_0"])))


def test_padding_rows_change_no_mask_of_other_films(unet) -> None:
    variables, apply = unet
    films = jnp.asarray(RNG.normal(size=(3, 8, 8, 3)), jnp.float32)
    mask = jnp.array([True, True, False])
    one, _ = apply(variables, films, mask)
    other, _ = apply(variables, films.at[2].set(1e3), mask)
    np.testing.assert_array_equal(one[:2], other[:2])
    counted, _ = apply(variables, films.at[2].set(1e3), jnp.ones(3, bool))
    assert (counted[:2] != one[:2]).any()


def test_pages_show_hits_misses_and_false_alarms() -> None:
    scores = np.array([0.9, 0.1, 0.5, 1.0, 0.0, 0.7, 0.3])
    positive = np.array([True, True, True, False, False, True, True])
    assert choose_films(scores, positive, 4).tolist() == [0, 2, 1, 4]
    assert choose_films(scores, None, 3).tolist() == [3, 0, 5]
    assert sorted(choose_films(scores, positive, 20)) == list(range(7))
    assert choose_films(scores, ~positive & positive, 3).tolist() == [4, 1, 6]
    film, mask = np.zeros((8, 8, 1), np.uint8), np.eye(8) > 0
    overlays = [MaskOverlay(film, mask, mask, 1.0), MaskOverlay(film, mask)]
    first, second = mask_page(overlays, "title").get_axes()
    assert first.get_title() == "Dice 1.00\npresent" and second.get_title().endswith("not known")
    assert len(first.collections) == 1 and not second.collections


def test_a_decoder_that_does_not_end_at_pixels_is_refused() -> None:
    wrong = {"segment_siim_1.model.setr_features": "8,8"}
    with pytest.raises(UsageError, match="setr_features has 2 numbers"):
        load_config(CONFIG, ("smoke", "segment_siim"), wrong)
    wrong = {"segment_rsna_1.model.unet_features": "8,8"}
    with pytest.raises(UsageError, match="resnet10 needs 5"):
        load_config(CONFIG, ("smoke", "segment_rsna", "resnet50"), wrong)


def test_the_published_masks_are_padded() -> None:
    assert load_config(CONFIG, ("smoke", "segment_siim")).data.mask_geometry == "as_image"
    told = load_config(CONFIG, ("smoke", "segment_siim"), {"compat": "published"})
    assert told.data.mask_geometry == "padded"
