"""MedKLIP's networks: shapes, padding rows, recomputed gradients, published names and ours."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn.torch_names import from_torch, to_torch
from medjax.systems.medklip import names
from medjax.systems.medklip.classifier import Classifier
from medjax.systems.medklip.clip import ClipHead
from medjax.systems.medklip.decoder import Decoder
from medjax.systems.medklip.encoder import ImageEncoder, standardise
from medjax.systems.medklip.fusion import Fusion
from medjax.systems.medklip.model import MedKLIP, position_code
from medjax.systems.medklip.segmentation import ResUNet
from tests.variables import draw_variables

GENERATOR = np.random.default_rng(4)
IMAGES = GENERATOR.normal(size=(3, 16, 16, 3)).astype(np.float32)
BOOK = GENERATOR.normal(size=(5, 6)).astype(np.float32)
MASK = np.array([True, True, False])


def small_encoder(**options) -> ImageEncoder:
    return ImageEncoder(**{"backbone": "resnet4", "width": 4, "dim": 8, **options})


def medklip(**options) -> MedKLIP:
    decoder = Decoder(width=8, layers=2, heads=2, feedforward=16, dropout=0.0)
    return MedKLIP(small_encoder(**options), decoder, text_dim=6, dropout=0.0)


def fusion(**options) -> Fusion:
    decoder = Decoder(8, 2, 2, 16, 0.0, norm="post", final_norm=False)
    return Fusion(small_encoder(projection="linear"), decoder, text_dim=6, **options)


def init(model, *arguments):
    return draw_variables(lambda key: model.init(key, IMAGES, *arguments, train=False))


def apply(model, variables):
    """Read the images in evaluation."""
    return jax.jit(partial(model.apply, train=False))(variables, IMAGES, BOOK)


def test_a_reading_of_films() -> None:
    model = medklip()
    reading = apply(model, init(model, BOOK))
    assert reading.logits.shape == (3, 5, 2) and reading.position.shape == (3, 5, 6)
    assert reading.attention.shape == (2, 3, 5, 16)
    np.testing.assert_allclose(reading.attention.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("backbone", ["resnet4", "vit_nano_patch16"])
def test_padding_rows_change_nothing(backbone) -> None:
    model = medklip(backbone=backbone, image_size=16)
    variables = init(model, BOOK)

    @jax.jit
    def run(images, mask):
        return model.apply(variables, images, BOOK, mask, train=True, mutable=["batch_stats"])

    whole, moved = run(IMAGES, MASK)
    alone, moved_alone = run(IMAGES[:2], MASK[:2])
    np.testing.assert_allclose(whole.logits[:2], alone.logits, atol=1e-4)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), moved, moved_alone)


def test_recomputed_gradients_are_the_same() -> None:
    variables = init(medklip(), BOOK)

    def gradient(model):
        def loss(params):
            reading, _ = model.apply(
                {**variables, "params": params},
                IMAGES,
                BOOK,
                train=True,
                mutable=["batch_stats"],
            )
            return (reading.logits**2).mean()

        return jax.jit(jax.grad(loss))(variables["params"])

    plain, recomputed = gradient(medklip()), gradient(medklip(checkpoint=True))
    assert jax.tree.structure(plain) == jax.tree.structure(recomputed)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4), plain, recomputed)


def test_attention_of_the_replication() -> None:
    variables = init(fusion(), BOOK)
    ours = apply(fusion(), variables)
    theirs = apply(fusion(attention_map="output_dot_patches"), variables)
    assert ours.attention.shape == theirs.attention.shape == (3, 5, 16)
    assert ours.semantic.shape == (3, 6) and ours.position.shape == (3, 5, 6)
    np.testing.assert_allclose(ours.logits, theirs.logits, rtol=1e-5)


def test_segmentation_needs_whole_patches() -> None:
    model = ResUNet("resnet10", width=4)
    variables = init(model)
    shape = jax.eval_shape(partial(model.apply, train=False), variables, IMAGES).shape
    assert shape == (3, 16, 16, 1)
    with pytest.raises(ValueError, match="16 x 8: both must be multiples of 16"):
        model.apply(variables, IMAGES[:, :, :8], train=False)


def test_bytes_are_standardised_and_grey_becomes_three_channels() -> None:
    grey = np.full((1, 2, 2, 1), 255, np.uint8)
    expected = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(standardise(jnp.asarray(grey))[0, 1, 1], expected, rtol=1e-5)


TABLES = {
    "medklip": (medklip(), (BOOK,), names.medklip_layers("resnet4", layers=2)),
    "vit": (
        medklip(backbone="vit_nano_patch16", image_size=16),
        (BOOK,),
        names.medklip_layers("vit_nano_patch16", layers=2),
    ),
    "classifier": (Classifier("resnet10", width=4), (), names.classifier_layers("resnet10")),
    "segmentation": (ResUNet("resnet10", width=4), (), names.segmentation_layers("resnet10")),
    "fusion": (fusion(), (BOOK,), names.fusion_layers(2, "resnet4")),
}


@pytest.mark.parametrize("name", TABLES)
def test_published_names_round_trip(name) -> None:
    model, arguments, table = TABLES[name]
    variables = init(model, *arguments)
    state = to_torch(table, variables)
    back = from_torch(table, state)
    assert jax.tree.structure(back) == jax.tree.structure(variables)
    jax.tree.map(np.testing.assert_array_equal, back, variables)


def test_clip_head_gives_unit_vectors() -> None:
    head = ClipHead(dim=4)
    image, text = GENERATOR.normal(size=(2, 3, 7)).astype(np.float32)
    variables = draw_variables(lambda key: head.init(key, image, text))
    first, second, scale = head.apply(variables, image, text)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(second, axis=1), 1, rtol=1e-5)
    assert scale == pytest.approx(np.exp(variables["params"]["log_scale"]))


def test_codes_of_rows_and_columns_tell_patches_apart() -> None:
    code = position_code(16, 8)
    assert len({tuple(row) for row in code.round(6)}) == 16
    np.testing.assert_array_equal(code[1, :4], code[2, :4])  # one row
    np.testing.assert_array_equal(code[1, 4:], code[5, 4:])  # one column
    with pytest.raises(ValueError, match="15 patches of width 8"):
        position_code(15, 8)
