"""Vision transformers: what a token sees, stochastic depth, timm's names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn.torch_names import from_torch, to_torch, vit_layers
from medjax.nn.vit import VITS, PatchEmbedding, ViT, ViTConfig
from tests.variables import draw_variables

SMALL = ViTConfig(image_size=8, patch_size=4, width=8, layers=2, heads=2)
IMAGES = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)


def init(config: ViTConfig):
    return draw_variables(lambda key: ViT(config).init(key, IMAGES, train=False))


def test_patches_go_row_by_row() -> None:
    model = PatchEmbedding(patch_size=4, features=5)
    variables = draw_variables(lambda key: model.init(key, IMAGES))
    patches = model.apply(variables, IMAGES)
    kernel, bias = variables["params"]["kernel"], variables["params"]["bias"]
    window = IMAGES[1, 0:4, 4:8]
    np.testing.assert_allclose(patches[1, 1], np.tensordot(window, kernel, 3) + bias, atol=1e-5)
    with pytest.raises(ValueError, match="no whole patches of 4"):
        model.apply(variables, IMAGES[:, :6])


@pytest.mark.parametrize("class_token", [True, False])
def test_tokens(class_token) -> None:
    config = SMALL._replace(class_token=class_token)
    tokens = ViT(config).apply(init(config), IMAGES, train=False)
    assert tokens.shape == (2, 4 + class_token, 8)
    larger = jnp.zeros((1, 12, 12, 3))
    with pytest.raises(ValueError, match="12 x 12, but this transformer is for 8 x 8"):
        ViT(config).apply(init(config), larger, train=False)


def test_stochastic_depth_leaves_out_whole_branches() -> None:
    config = SMALL._replace(drop_path=0.9)
    variables = init(config)
    params = {k: v for k, v in variables["params"].items() if k != "blocks_1"}
    first = ViT(config._replace(layers=1))
    only_first = first.apply({"params": params}, IMAGES, train=False)
    seen = set()
    for seed in range(12):
        rngs = {"dropout": jax.random.key(seed)}
        tokens = ViT(config).apply(variables, IMAGES, train=True, rngs=rngs)
        seen |= {bool(np.allclose(tokens[i], only_first[i], atol=1e-5)) for i in range(2)}
    assert seen == {True, False}


def test_published_sizes_and_names() -> None:
    config = VITS["vit_base_patch16_224"]
    shape = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    shapes = jax.eval_shape(lambda x: ViT(config).init(jax.random.key(0), x, train=False), shape)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 85_798_656
    variables = init(SMALL)
    state = to_torch(vit_layers(2), variables)
    assert state["blocks.1.attn.qkv.weight"].shape == (24, 8)
    assert state["pos_embed"].shape == (1, 5, 8)
    back = from_torch(vit_layers(2), state)
    assert jax.tree.structure(back) == jax.tree.structure(variables)
    jax.tree.map(np.testing.assert_array_equal, back, variables)
