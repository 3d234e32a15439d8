"""BERT from a Hugging Face folder: config.json, and model.safetensors or pytorch_model.bin."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medjax.errors import UserError, nearest
from medjax.nn.bert import ACTIVATIONS, BertConfig
from medjax.nn.torch_names import bert_layers, from_torch
from medjax.weights.converter import Shapes
from medjax.weights.files import read_weights

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
CONFIG_FILE = "config.json"
MODEL_TYPES = ("bert", "cxr-bert")
SIZES = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("intermediate_size", "max_position_embeddings"),
)
"""Fields of config.json that must be there."""
NUMBERS = (
    *("layer_norm_eps", "hidden_dropout_prob", "attention_probs_dropout_prob"),
    "initializer_range",
)
LARGEST_SIZE = 2**22
MOST_LAYERS = 1024
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
"""Of files converted from TensorFlow in 2019; Bio_ClinicalBERT is one."""
PARTS = ("embeddings.", "encoder.", "pooler.")
POSITION_COUNTER = "embeddings.position_ids"
"""0, 1, 2, ... among the weights of some years."""


class LoadedBert(NamedTuple):
    """A BERT with its weights."""

    config: BertConfig
    variables: dict[str, Any]
    path: Path
    """The file of weights."""


def read_bert(folder: Path) -> LoadedBert:
    """Read a folder as `save_pretrained` writes it.

    Names may stand under `bert.`, as in models with a head; weights of heads are left out.

    Raises:
        UserError: a file is missing or damaged, the model is no BERT, or weights are missing or of
            another shape.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    path = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if path is None:
        raise UserError(
            f"{folder}: neither {' nor '.join(WEIGHT_FILES)} is there; name the folder of a BERT "
            "(config.json, vocab.txt and one of them)"
        )
    config = read_config(folder / CONFIG_FILE)
    weights = encoder_weights(read_weights(path).tensors)
    config = config._replace(pooler="pooler.dense.weight" in weights)
    expected = bert_shapes(config)
    _check(path, weights, expected)
    table = bert_layers(config.num_hidden_layers)
    given = {name: weights[name].astype(np.float32) for name in expected}
    return LoadedBert(config, from_torch(table, given), path)


def read_config(path: Path) -> BertConfig:
    """Read the sizes of a BERT; `pooler` stays False, since no file tells of it.

    Raises:
        UserError: the file is missing or no JSON, is of another model, or a value is none.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it comes with the model's weights") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: no readable JSON ({str(error)[:80]})") from error
    kind = values.get("model_type", "bert") if isinstance(values, dict) else None
    if kind not in MODEL_TYPES:
        raise UserError(f"{path}: the model is no BERT but {kind!r}; medjax reads BERT only")
    if values.get("position_embedding_type", "absolute") != "absolute":
        raise UserError(f"{path}: positions that are not absolute are not supported")
    activation = values.get("hidden_act", "gelu")
    if activation not in ACTIVATIONS:
        raise UserError(
            f"{path}: hidden_act {activation!r} is none of {', '.join(ACTIVATIONS)}"
            f"{nearest(str(activation), ACTIVATIONS)}"
        )
    given: dict[str, Any] = {name: _size(path, name, values.get(name), 1) for name in SIZES}
    if "type_vocab_size" in values:
        given["type_vocab_size"] = _size(path, "type_vocab_size", values["type_vocab_size"], 0)
    given |= {name: _number(path, name, values[name]) for name in NUMBERS if name in values}
    config = BertConfig(**given, hidden_act=activation)
    if config.num_hidden_layers > MOST_LAYERS:
        raise UserError(f"{path}: {config.num_hidden_layers} layers; medjax takes {MOST_LAYERS}")
    if config.hidden_size % config.num_attention_heads:
        raise UserError(f"{path}: hidden_size is no multiple of num_attention_heads")
    return config


def encoder_weights(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the weights of the encoder alone, by today's names without a prefix."""
    named = {}
    for name, array in tensors.items():
        for old, new in OLD_NAMES.items():
            name = name.replace(old, new)
        named[name] = array
    prefix = "bert." if any(name.startswith("bert.embeddings.") for name in named) else ""
    found = {n.removeprefix(prefix): a for n, a in named.items() if n.startswith(prefix)}
    return {n: a for n, a in found.items() if n.startswith(PARTS) and n != POSITION_COUNTER}


def bert_shapes(config: BertConfig) -> Shapes:
    """Return every published name of a BERT with its shape."""
    width, inner = config.hidden_size, config.intermediate_size
    tables = {
        "word_embeddings": config.vocab_size,
        "position_embeddings": config.max_position_embeddings,
        "token_type_embeddings": config.type_vocab_size,
    }
    dense = {
        **{f"attention.self.{name}": (width, width) for name in ("query", "key", "value")},
        "attention.output.dense": (width, width),
        "intermediate.dense": (inner, width),
        "output.dense": (width, inner),
    }
    linear = {
        f"encoder.layer.{index}.{name}": shape
        for index in range(config.num_hidden_layers)
        for name, shape in dense.items()
    }
    if config.pooler:
        linear["pooler.dense"] = (width, width)
    norms = ["embeddings.LayerNorm"] + [
        f"encoder.layer.{index}.{name}.LayerNorm"
        for index in range(config.num_hidden_layers)
        for name in ("attention.output", "output")
    ]
    return {
        **{f"embeddings.{name}.weight": (rows, width) for name, rows in tables.items() if rows},
        **{f"{name}.weight": shape for name, shape in linear.items()},
        **{f"{name}.bias": shape[:1] for name, shape in linear.items()},
        **{f"{name}.{part}": (width,) for name in norms for part in ("weight", "bias")},
    }


def _check(path: Path, weights: Mapping[str, np.ndarray], expected: Shapes) -> None:
    """Refuse weights that are not those that config.json promises."""
    for name, shape in expected.items():
        if name not in weights:
            raise UserError(f"{path}: weight {name!r} is missing, which config.json promises")
        found = weights[name]
        if found.shape != tuple(shape) or found.dtype.kind not in "fV":  # V: ml_dtypes' floats
            raise UserError(
                f"{path}: weight {name!r} is {found.dtype} {list(found.shape)}; by config.json it "
                f"is a float array {list(shape)}"
            )
        if not np.isfinite(found.astype(np.float32)).all():
            raise UserError(f"{path}: weight {name!r} is not finite; fetch the file again")
    others = sorted(set(weights) - set(expected))
    if others:
        raise UserError(
            f"{path}: weight {others[0]!r} has no place in the network of config.json; are the two "
            "of one model?"
        )


def _size(path: Path, name: str, value: object, low: int) -> int:
    if type(value) is not int or not low <= value <= LARGEST_SIZE:
        raise UserError(f"{path}: {name} is {value!r}, not a whole number from {low}")
    return value


def _number(path: Path, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise UserError(f"{path}: {name} is {value!r}, not a number from 0 to 1")
    return float(value)
