"""Where pre-training starts from."""

from functools import partial

import jax
import numpy as np
from flax import traverse_util

from medjax.nn.bert import BertConfig
from medjax.nn.vit import ViTConfig
from medjax.systems.medst.networks.model import Films, MedST
from medjax.systems.medst.networks.text_encoder import Tokens
from medjax.systems.medst.pretraining.initialise import frontal_twin, wipe
from medjax.systems.medst.published import network_fields
from tests.variables import draw_variables

VIT = ViTConfig(image_size=8, patch_size=4, width=8, layers=2, heads=2)
BERT = BertConfig(20, 8, 1, 2, 8, 16, 0)


def params_of_network() -> dict:
    model = MedST(VIT, bert_config=BERT, hidden=6, dim=4)
    image = np.zeros((2, 8, 8, 3), np.float32)
    ids = np.ones((2, 4), np.int32)
    films, tokens = Films(image, image, np.ones(2, bool)), Tokens(ids, ids, ids)
    init = partial(model.init, films=films, tokens=tokens, train=False)
    return draw_variables(lambda key: init(key))["params"]


def test_every_parameter_of_a_lateral_expert_has_a_frontal_twin_of_its_shape() -> None:
    params = traverse_util.flatten_dict(params_of_network())
    twins = {path: frontal_twin(path) for path in params}
    lateral = {path for path in params if "lateral" in "/".join(path)}
    assert len(lateral) == VIT.layers * 6
    assert lateral == {path for path, twin in twins.items() if twin is not None}
    for path in lateral:
        assert params[path].shape == params[twins[path]].shape
        assert twins[path] not in lateral


def test_a_wiped_network_keeps_convolutions_and_attention_between_words_and_patches() -> None:
    params = params_of_network()
    before = traverse_util.flatten_dict(params, sep="/")
    after = traverse_util.flatten_dict(wipe(jax.random.key(0), params), sep="/")
    kept = {path for path in before if np.array_equal(before[path], after[path])}
    network = "image_encoder/network"
    for path in (
        f"{network}/embedding/kernel",
        f"{network}/positions",
        "text_encoder/local_head/hidden/kernel",
        "text_encoder/global_head/hidden_norm/scale",
        "local_alignment/word_weights/input/kernel",
    ):
        assert path in kept, path
    for path in (
        f"{network}/blocks_0/attention/input/kernel",
        "text_encoder/bert/embeddings/word/embedding",
        "text_encoder/global_head/hidden/kernel",
        "local_alignment/word_weights/output/kernel",
    ):
        assert path not in kept, path
        assert np.std(after[path]) < 0.04, path
    assert (np.asarray(after[f"{network}/norm/scale"]) == 1).all()
    assert not np.any(after["text_encoder/bert/layers_0/query/bias"])


def test_published_networks_have_the_fields_that_ours_have() -> None:
    for is_vit in (True, False):
        fields = network_fields(is_vit)
        model = MedST(**fields)
        assert all(getattr(MedST(), name) != value for name, value in fields.items()
                   if name != "normalize_patch_context")  # fmt: skip
        assert model.normalize_patch_context == (not is_vit)
