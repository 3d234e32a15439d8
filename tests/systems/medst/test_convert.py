"""Checkpoints of MedST and MGCA, there and back, with what nothing reads."""

import jax
import numpy as np
import pytest

from medjax.errors import UserError
from medjax.systems.medst import published
from medjax.systems.medst.convert import CONVERTER, idle, shapes
from medjax.systems.medst.recognise import RECIPE, describe
from medjax.weights.converter import convert, convert_back
from medjax.weights.files import Weights

SMALL = RECIPE | {
    "backbone": "vit_pico_patch8",
    "image_size": 16,
    "dim": 4,
    "head_hidden": 6,
    "prototypes": 5,
    "text_layers": 2,
    "text_width": 8,
    "text_feedforward": 12,
    "max_positions": 10,
    "vocabulary": 20,
}
RNG = np.random.default_rng(0)


def checkpoint(method: str) -> dict[str, np.ndarray]:
    """A file of drawn weights, as the original writes it."""
    model = SMALL | {"method": method}
    drawn = {n: RNG.normal(size=s).astype(np.float32) for n, s in shapes(model).items()}
    for name in drawn:
        if name.endswith("num_batches_tracked"):
            drawn[name] = np.array(7, np.int64)
    return drawn | {n: x + 1 for n, x in idle(model).items()}


def weights_of(tensors: dict[str, np.ndarray]) -> Weights:
    return Weights(tensors, "state_dict")


@pytest.mark.parametrize("method", ["medst", "mgca"])
def test_a_checkpoint_comes_back_as_it_was(method: str) -> None:
    tensors = checkpoint(method)
    model = describe({name: x.shape for name, x in tensors.items()})
    wanted = {n: v for n, v in SMALL.items() if method == "mgca" or n != "prototypes"}
    assert {n: model[n] for n in wanted} == wanted and model["method"] == method
    found = convert(weights_of(tensors), CONVERTER, "file")
    assert not found.missing and not found.left_out
    back = convert_back(found.variables, CONVERTER, model, found.names, found.counters)
    assert back.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(back[name], array, err_msg=name)


def test_weights_bring_sizes_and_the_published_column() -> None:
    model = SMALL | {"method": "mgca"}
    assert CONVERTER.settings(model)["model.text.width"] == 8
    expected = {f"model.{name}": value for name, value in published.MODEL.items()}
    assert dict(CONVERTER.fields(model).model) == expected


def test_other_files_are_refused() -> None:
    with pytest.raises(UserError, match="no file of MedST"):
        describe({"conv1.weight": (64, 3, 7, 7)})
    with pytest.raises(UserError, match="transformer of 0 layers and width 31"):
        describe({"img_encoder_q.model.patch_embed.proj.weight": (31, 3, 8, 8)})
    with pytest.raises(UserError, match="kind pairwise"):
        CONVERTER.of_stage({"kind": "pairwise", "model": {}})


def test_what_nothing_reads_is_not_in_our_network() -> None:
    model = SMALL | {"method": "medst"}
    assert not set(idle(model)) & set(shapes(model))
    assert jax.tree.leaves(dict(shapes(model)))
