"""Where pre-training begins: encoders of others, a BERT's folder, weights of MGCA, or nothing.

    init_from = image_encoder/network:DIR    a vision transformer of timm, DeiT's (torchvision's
                                             converter); it knows one view
    text.bert_dir = FOLDER                   the first `text.layers` layers of a BERT
    init_from = DIR                          a checkpoint of MedST or MGCA, ours or converted

The original loads encoders and then draws them anew (`wipe`), so that it needs MGCA's checkpoint;
`keep_pretrained_init = False` does the same.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from ml_collections import ConfigDict

from medjax.errors import UserError
from medjax.run.init_from import Flat
from medjax.run.system import Given, Variables
from medjax.systems.medst.pretraining.initialise import NETWORK, frontal_twin, wipe
from medjax.systems.medst.starts import reads_bert
from medjax.weights.bert import read_bert

BERT = ("text_encoder", "bert")
ENCODERS = (NETWORK, BERT)
"""Parts of the model that weights of others fill, without heads."""
Begin = Callable[[jax.Array, Variables, Given], dict[str, Any]]


def may_lack(path: tuple[str, ...]) -> bool:
    """Whether weights to start from may be without a variable: a lateral expert."""
    return frontal_twin(path[1:]) is not None


def make_begin(config: ConfigDict, stage: ConfigDict) -> Begin:
    """Return (key, fresh variables, what `init_from` gives) -> the variables to begin with."""
    bert_dir = Path(config.text.bert_dir) if reads_bert(config, stage) else None

    def begin(key: jax.Array, fresh: Variables, given: Given) -> dict[str, Any]:
        flat: Flat = traverse_util.flatten_dict(dict(fresh))
        if bert_dir is not None:
            flat |= bert_layers_for(flat, bert_dir)
        flat |= given
        if not stage.keep_pretrained_init:
            params = traverse_util.unflatten_dict(flat)["params"]
            flat |= traverse_util.flatten_dict({"params": wipe(key, params)})
            flat |= {p: x for p, x in given.items() if not is_encoders(p[1:], stage.init_from)}
        if stage.view_expert_init == "copy":
            twins = {p: frontal_twin(p[1:]) for p in flat if p not in given}
            flat |= {p: jnp.array(flat[p[0], *twin]) for p, twin in twins.items() if twin}
        return traverse_util.unflatten_dict(flat)

    return begin


def is_encoders(path: tuple[str, ...], init_from: Any) -> bool:
    """Whether the entry of `init_from` that gave a variable names an encoder without its heads."""
    entries = () if isinstance(init_from, str) else init_from
    parts = [tuple(entry[0].split("/")) for entry in entries]
    giving = [part for part in parts if path[: len(part)] == part]
    return bool(giving) and giving[-1][:2] in ENCODERS


def bert_layers_for(flat: Mapping[tuple[str, ...], Any], folder: Path) -> Flat:
    """Return the weights of a BERT for the text encoder of flat variables, by their paths.

    Of a deeper BERT these are the first layers. Its token types are left out, since the encoder
    has none; of a larger table of words, as of positions, the first rows are taken.

    Raises:
        UserError: the BERT is of another width, or has fewer layers or rows.
    """
    loaded = read_bert(folder)
    given = traverse_util.flatten_dict(loaded.variables["params"])
    found: Flat = {}
    for path, fresh in flat.items():
        if path[1:3] != BERT:
            continue
        name, shape = path[3:], np.shape(fresh)
        array = given.get(name)
        rows = None if array is None or name[0] != "embeddings" else array[: shape[0]]
        taken = array if rows is None else rows
        if taken is None or taken.shape != shape:
            has = "nothing" if array is None else f"an array {list(array.shape)}"
            raise UserError(
                f"{loaded.path}: the text encoder asks for {'/'.join(name)} {list(shape)} and the "
                f"file has {has}: name another text.bert_dir or give the stage's model.text the "
                "sizes of its config.json"
            )
        found[path] = jnp.asarray(taken, dtype=fresh.dtype)
    return found
