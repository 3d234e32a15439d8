"""Folders of BERT: both formats, older names, heads; a folder that is none is refused."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from medjax.errors import UserError
from medjax.nn.bert import Bert
from medjax.nn.torch_names import bert_layers
from medjax.weights.bert import bert_shapes, encoder_weights, read_bert
from medjax.weights.converter import shapes_of
from medjax.weights.files import read_weights, write_weights

FOLDER = Path(__file__).parent / "recorded" / "tiny_bert"
TENSORS = read_weights(FOLDER / "model.safetensors").tensors
VARIABLES = read_bert(FOLDER).variables


@pytest.fixture
def folder(tmp_path):
    """A folder that holds the config alone."""
    shutil.copy(FOLDER / "config.json", tmp_path)
    return tmp_path


def edit(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def old_name(name):
    renamed = name.replace("LayerNorm.weight", "LayerNorm.gamma")
    return "bert." + renamed.replace("LayerNorm.bias", "LayerNorm.beta")


def test_a_model_with_a_head_and_names_of_2019_is_the_same_encoder(folder):
    tensors = {old_name(name): array for name, array in TENSORS.items()}
    extra = {
        "cls.predictions.bias": np.zeros(40, np.float32),
        "bert.embeddings.position_ids": np.arange(20)[None],
    }
    write_weights(folder / "pytorch_model.bin", {**tensors, **extra})
    jax.tree.map(np.testing.assert_array_equal, read_bert(folder).variables, VARIABLES)


def test_without_pooler(folder):
    encoder = {n: a for n, a in TENSORS.items() if not n.startswith("pooler")}
    write_weights(folder / "model.safetensors", encoder)
    found = read_bert(folder)
    assert not found.config.pooler and "pooler" not in found.variables["params"]


def test_half_precision_is_widened(folder):
    halves = {name: array.astype(np.float16) for name, array in TENSORS.items()}
    write_weights(folder / "model.safetensors", halves)
    leaves = jax.tree.leaves(read_bert(folder).variables)
    assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32)}


@pytest.mark.parametrize("pooler, types", [(True, 2), (False, 0)])
def test_shapes_are_those_of_the_network(pooler, types):
    config = read_bert(FOLDER).config._replace(pooler=pooler, type_vocab_size=types)
    ids = np.zeros((1, 1), int)
    variables = jax.eval_shape(lambda: Bert(config).init(jax.random.key(0), ids))
    assert bert_shapes(config) == shapes_of(bert_layers(config.num_hidden_layers), variables)


def test_other_parts_are_left_out():
    names = {"bert.embeddings.word_embeddings.weight": 0, "classifier.weight": 0, "bert.x.y": 0}
    assert set(encoder_weights(names)) == {"embeddings.word_embeddings.weight"}


@pytest.mark.parametrize(
    "values, message",
    [
        ({"model_type": "roberta"}, "no BERT but 'roberta'"),
        ({"hidden_act": "geglu"}, "hidden_act 'geglu' is none of"),
        ({"hidden_size": "16"}, "hidden_size is '16', not a whole number"),
        ({"num_hidden_layers": -1}, "num_hidden_layers is -1"),
        ({"num_hidden_layers": 10**6}, "1000000 layers; medjax takes 1024"),
        ({"vocab_size": 10**6, "hidden_size": 10**6}, r"is a float array \[1000000, 1000000\]"),
        ({"num_hidden_layers": 3}, "'encoder.layer.2.attention.self.query.weight' is missing"),
        ({"num_hidden_layers": 1}, "'encoder.layer.1.*' has no place"),
        ({"vocab_size": 41}, r"word_embeddings.weight' is float32 \[43, 16\]; .* \[41, 16\]"),
        ({"num_attention_heads": 3}, "no multiple of num_attention_heads"),
        ({"position_embedding_type": "relative_key"}, "positions that are not absolute"),
        ({"layer_norm_eps": True}, "layer_norm_eps is True"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(folder, values, message):
    shutil.copy(FOLDER / "model.safetensors", folder)
    edit(folder, **values)
    with pytest.raises(UserError, match=message):
        read_bert(folder)


def test_folders_that_are_none(folder, tmp_path):
    with pytest.raises(UserError, match="neither model.safetensors nor pytorch_model.bin"):
        read_bert(folder)
    with pytest.raises(UserError, match="no such folder"):
        read_bert(tmp_path / "absent")
    shutil.copy(FOLDER / "model.safetensors", folder)
    (folder / "config.json").write_text("[")
    with pytest.raises(UserError, match="no readable JSON"):
        read_bert(folder)
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"config.json: no such file"):
        read_bert(folder)


def test_numbers_that_are_not_finite_are_refused(folder):
    name = "pooler.dense.bias"
    write_weights(folder / "model.safetensors", {**TENSORS, name: np.full(16, np.nan, np.float32)})
    with pytest.raises(UserError, match=f"'{name}' is not finite"):
        read_bert(folder)
