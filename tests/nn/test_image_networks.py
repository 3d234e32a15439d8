"""ResNet and DenseNet: shapes, padding rows, names of published weights in both directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import UserError
from medjax.nn.densenet import DenseNet
from medjax.nn.resnet import RESNETS, ResNet
from medjax.nn.torch_names import densenet_layers, from_torch, resnet_layers, to_torch
from tests.variables import draw_variables

NETWORKS = {
    "basic": (ResNet((1, 2), width=4), resnet_layers((1, 2))),
    "bottleneck": (ResNet((1, 2), bottleneck=True, width=4), resnet_layers((1, 2), True)),
    "dense": (DenseNet((1, 2), growth=4, width=8), densenet_layers((1, 2))),
}
IMAGES = np.random.default_rng(2).normal(size=(3, 32, 32, 3)).astype(np.float32)
MASK = np.array([True, True, False])


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]


def init(model):
    return draw_variables(lambda key: model.init(key, IMAGES, train=False))


def test_features_and_padding_rows(network) -> None:
    model, _ = network
    variables = init(model)

    @jax.jit
    def train(images, mask):
        return model.apply(variables, images, mask, train=True, mutable=["batch_stats"])

    features, moved = train(IMAGES, MASK)
    assert features.shape == (3, model.features)
    alone, alone_moved = train(IMAGES[:2], MASK[:2])
    np.testing.assert_allclose(features[:2], alone, atol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), moved, alone_moved)


def test_published_names_round_trip(network) -> None:
    model, layers = network
    variables = init(model)
    state = to_torch(layers, variables)
    assert len(state) == len(set(state))
    back = from_torch(layers, state)
    assert jax.tree.structure(back) == jax.tree.structure(variables)
    jax.tree.map(np.testing.assert_array_equal, back, variables)
    with pytest.raises(UserError, match=r"layer9\.conv1\.weight"):
        from_torch(layers, {**state, "layer9.conv1.weight": np.zeros(1)})
    with pytest.raises(UserError, match="no published name"):
        to_torch(layers[1:], variables)


@pytest.mark.parametrize(
    ("name", "millions", "features"),
    [("resnet18", 11.18, 512), ("resnet34", 21.28, 512), ("resnet50", 23.51, 2048)],
)
def test_published_sizes(name: str, millions: float, features: int) -> None:
    model = ResNet(*RESNETS[name])
    shapes = jax.eval_shape(lambda key: model.init(key, IMAGES, train=False), jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    assert round(count / 1e6, 2) == millions
    assert model.features == features


def test_densenet121_has_its_published_size() -> None:
    model = DenseNet()
    shapes = jax.eval_shape(lambda key: model.init(key, IMAGES, train=False), jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 6_953_856
    assert model.features == 1024


def test_parts_compose_to_the_network() -> None:
    model = ResNet((1, 1), width=4)
    variables = init(model)
    maps = model.apply(variables, IMAGES, train=False, method="maps")
    assert [m.shape[1:] for m in maps] == [(8, 8, 4), (8, 8, 4), (4, 4, 8)]
    features = model.apply(variables, IMAGES, train=False)
    np.testing.assert_allclose(maps[-1].mean((1, 2)), features, atol=1e-6)


def test_bf16_keeps_float32_parameters() -> None:
    model = ResNet((1, 1), width=4, dtype=jnp.bfloat16)
    variables = init(model)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))
    features, moved = model.apply(variables, IMAGES, train=True, mutable=["batch_stats"])
    assert features.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(moved))
