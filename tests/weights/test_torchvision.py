"""Torchvision's files are told apart and sized by their names; classifiers are left out."""

import re

import numpy as np
import pytest

from medjax.errors import UserError
from medjax.weights.converter import convert, convert_back
from medjax.weights.files import Weights
from medjax.weights.torchvision import CONVERTER


def file_of(backbone: str, head: str, width: int) -> Weights:
    """A file of torchvision's, its classifier last; its numbers take no memory."""
    model = {"backbone": backbone, "stage_sizes": [], "width": 64}
    shapes = {**CONVERTER.shapes(model), f"{head}.weight": (1000, width), f"{head}.bias": (1000,)}
    one = {True: np.int64(1), False: np.float32(1)}
    return Weights(
        {
            name: np.broadcast_to(one[name.endswith("num_batches_tracked")], shape)
            for name, shape in shapes.items()
        }
    )


@pytest.mark.parametrize("backbone, width", [("resnet18", 512), ("resnet50", 2048)])
def test_a_resnet_is_told_by_its_names(backbone, width):
    weights = file_of(backbone, "fc", width)
    found = convert(weights, CONVERTER, "file")
    assert found.model["backbone"] == backbone
    assert found.left_out == ["fc.weight", "fc.bias"] and not found.missing
    assert found.variables["params"]["stem"]["Convolution_0"]["kernel"].shape == (7, 7, 3, 64)
    back = convert_back(found.variables, CONVERTER, found.model, found.names, found.counters)
    assert list(back) == [name for name in weights.tensors if not name.startswith("fc.")]


def test_the_published_densenet_has_older_names():
    """Its file was written before names like "norm.1" were forbidden."""
    today = file_of("densenet121", "classifier", 1024)
    older = {
        re.sub(r"(layer\d+\.(norm|conv))(\d)", r"\1.\3", n): a for n, a in today.tensors.items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in older
    assert "features.denseblock4.denselayer16.conv.2.weight" in older
    found = convert(Weights(older), CONVERTER, "file")
    assert found.left_out == ["classifier.weight", "classifier.bias"] and not found.missing
    back = convert_back(found.variables, CONVERTER, found.model, found.names, found.counters)
    assert list(back) == [name for name in older if not name.startswith("classifier.")]


def test_a_network_cut_short_or_of_another_width_is_refused():
    weights = file_of("resnet18", "fc", 512)
    cut = {n: a for n, a in weights.tensors.items() if not n.startswith("layer4.")}
    with pytest.raises(UserError, match=r"\(2, 2, 2\) blocks and width 64 is none of torchvision"):
        convert(Weights(cut), CONVERTER, "file")
    lacking = {n: a for n, a in weights.tensors.items() if n != "layer2.0.downsample.0.weight"}
    with pytest.raises(UserError, match=r"1 is missing \(layer2\.0\.downsample\.0\.weight\)"):
        convert(Weights(lacking), CONVERTER, "file")
    with pytest.raises(UserError, match="neither those of a ResNet nor of DenseNet-121"):
        convert(Weights({"fc.weight": np.ones((2, 2), np.float32)}), CONVERTER, "file")


def test_timms_transformers_are_told_by_width_and_depth():
    weights = file_of("vit_small_patch16_224", "head", 384)
    assert weights.tensors["pos_embed"].shape == (1, 197, 384)
    found = convert(weights, CONVERTER, "file")
    assert found.model["backbone"] == "vit_small_patch16_224"
    assert found.left_out == ["head.weight", "head.bias"] and not found.missing
    back = convert_back(found.variables, CONVERTER, found.model, found.names, found.counters)
    assert list(back) == [name for name in weights.tensors if not name.startswith("head.")]
    cut = {n: a for n, a in weights.tensors.items() if not n.startswith("blocks.11.")}
    with pytest.raises(UserError, match="11 layers, width 384 and patches of 16 pixels is none"):
        convert(Weights(cut), CONVERTER, "file")
