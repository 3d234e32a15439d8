"""Published names and values survive the way to our tree and back."""

import functools

import jax
import numpy as np
import pytest

from medjax.errors import UserError
from medjax.systems.medfuse.convert import from_published, to_published
from medjax.systems.medfuse.daft import DAFT
from medjax.systems.medfuse.mmtm import MMTM
from medjax.systems.medfuse.model import MedFuse
from tests.variables import draw_variables

SIZES = {"backbone": "resnet", "stage_sizes": (1, 1)}
MODEL = {"width": 4, "dim": 6, "layers": 1, **SIZES}
FUSIONS = ("lstm", "uni_ehr", "uni_cxr", "joint", "lstm_with_token")
BATCH = {
    "series": np.zeros((2, 3, 76), np.float32),
    "length": np.array([3, 1]),
    "image": np.zeros((2, 32, 32, 3), np.float32),
    "has_image": np.ones(2, bool),
    "mask": np.ones(2, bool),
}


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    """A full published state dict: the parts of every fusion."""

    def init(key):
        models = [MedFuse(fusion=fusion, missing_token="learnable", **MODEL) for fusion in FUSIONS]
        trees = [model.init(key, **BATCH, train=False) for model in models]
        params = {name: part for tree in trees for name, part in tree["params"].items()}
        return {"params": params, "batch_stats": trees[0]["batch_stats"]}

    return to_published(draw_variables(init), layers=1, **SIZES)


def test_names_are_the_published_ones(published) -> None:
    for name, shape in {
        "ehr_model.layer0.weight_ih_l0": (24, 76),
        "ehr_model.dense_layer.bias": (25,),
        "cxr_model.vision_backbone.conv1.weight": (4, 3, 7, 7),
        "cxr_model.vision_backbone.layer2.0.downsample.1.running_var": (8,),
        "cxr_model.vision_backbone.bn1.num_batches_tracked": (),
        "cxr_model.classifier.0.weight": (14, 8),
        "projection.weight": (6, 8),
        "fused_cls.0.weight": (25, 12),
        "lstm_fusion_layer.weight_hh_l0": (32, 8),
        "lstm_fused_cls.0.weight": (25, 8),
        "missing_token": (6,),
        "sep_token": (6,),
        "cls_token": (6,),
    }.items():
        assert published[name].shape == shape, name


@pytest.mark.parametrize(
    ("network", "names"),
    [
        (
            MMTM(layer_after=-1, **MODEL),
            {
                "mmtm0.fc_squeeze.weight": (5, 10),
                "mmtm2.fc_visual.bias": (8,),
                "mmtm2.fc_skeleton.weight": (6, 7),
                "joint_cls.0.weight": (25, 16),
                "projection.weight": (8, 6),
                "ehr_model.dense_layer.weight": (25, 6),
                "cxr_model.classifier.0.weight": (14, 8),
            },
        ),
        (
            DAFT(layer_after=1, **MODEL),
            {
                "daft_layer_1.aux.aux_base.weight": (2, 10),
                "daft_layer_1.aux.aux_out.weight": (12, 2),
            },
        ),
    ],
)
def test_networks_with_blocks_keep_their_published_names(network, names) -> None:
    variables = draw_variables(lambda key: network.init(key, **BATCH, train=False))
    state_dict = to_published(variables, layers=1, **SIZES)
    for name, shape in names.items():
        assert state_dict[name].shape == shape, name
    assert "daft_layer_1.aux.aux_base.bias" not in state_dict
    back = from_published(state_dict, layers=1, **SIZES)
    jax.tree.map(np.testing.assert_array_equal, back, variables)


def test_round_trip_changes_no_value(published) -> None:
    back = to_published(from_published(published, layers=1, **SIZES), layers=1, **SIZES)
    assert set(back) == set(published)
    for name, value in published.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)


def test_a_full_state_dict_serves_every_fusion(published) -> None:
    variables = from_published(published, layers=1, **SIZES)
    for fusion in ("lstm", "uni_ehr", "uni_cxr", "early", "uni_ehr_lstm"):
        model = MedFuse(fusion=fusion, **MODEL)
        apply = functools.partial(model.apply, **BATCH, train=False)
        assert jax.eval_shape(apply, variables).logits.shape[0] == 2


def test_a_foreign_name_is_named(published) -> None:
    with pytest.raises(UserError, match=r"mmtm5\.fc_squeeze\.weight"):
        from_published(
            {**published, "mmtm5.fc_squeeze.weight": np.zeros((1, 1))}, layers=1, **SIZES
        )
