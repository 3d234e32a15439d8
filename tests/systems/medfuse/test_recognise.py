"""A file of MedFuse's weights tells its sizes by names and shapes alone."""

import itertools

import pytest

from medjax.errors import UserError
from medjax.systems.medfuse.recognise import describe, published_shapes

BACKBONES = [
    {"backbone": "resnet18", "stage_sizes": [], "width": 64},
    {"backbone": "resnet34", "stage_sizes": [], "width": 64},
    {"backbone": "resnet50", "stage_sizes": [], "width": 64},
    {"backbone": "resnet", "stage_sizes": [1, 1, 1, 1], "width": 16},
]
SIZES = [
    {"dim": 256, "layers": 2, "channels": 76, "num_classes": 25, "vision_num_classes": 14},
    {"dim": 96, "layers": 3, "channels": 20, "num_classes": 1, "vision_num_classes": 7},
]
KINDS = [
    {"kind": "fusion", "labels": "task", "mmtm_ratio": 4},
    {"kind": "fusion", "labels": "radiology", "mmtm_ratio": 4},
    {"kind": "tokens", "labels": "task", "mmtm_ratio": 4},
    {"kind": "mmtm", "labels": "task", "mmtm_ratio": 4},
    {"kind": "mmtm", "labels": "task", "mmtm_ratio": 16},
    {"kind": "mmtm", "labels": "task", "mmtm_ratio": 3},
    {"kind": "daft", "labels": "task", "mmtm_ratio": 4},
]


MODELS = [
    *({**backbone, **SIZES[0], **KINDS[0]} for backbone in BACKBONES[:-1]),
    *({**BACKBONES[-1], **sizes, **kind} for sizes, kind in itertools.product(SIZES, KINDS)),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: f"{m['backbone']}-{m['dim']}-{m['kind']}")
def test_every_network_is_told_by_its_shapes(model):
    assert describe(published_shapes(model)) == model


def test_parts_tell_what_they_can():
    model = {**BACKBONES[1], **SIZES[1], **KINDS[0]}
    shapes = published_shapes(model)
    series = {name: shape for name, shape in shapes.items() if name.startswith("ehr_model.")}
    told = describe(series)
    assert (told["dim"], told["layers"], told["num_classes"]) == (96, 3, 1)
    block = {"cxr_model.vision_backbone.layer1.99999999.conv1.weight": (1, 1, 3, 3)}
    with pytest.raises(UserError, match="none that medjax knows"):
        describe(block)
    with pytest.raises(UserError, match="no file of MedFuse"):
        describe({"encoder.weight": (1, 1)})
