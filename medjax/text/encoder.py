"""Sentences as vectors: a BERT over word pieces, pooled to one vector a text.

Texts of like length go through together, in few shapes, so that little padding is computed and
little is compiled.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from medjax.errors import UserError
from medjax.nn.bert import BertConfig, Embeddings, Layer, pool_tokens
from medjax.text.poolings import POOLINGS as POOLINGS
from medjax.text.wordpiece import WordPiece, pad_tokens, read_wordpiece
from medjax.weights.bert import read_bert

LENGTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""To which texts are filled up."""
TOKENS_A_BATCH = 512


class Reading(NamedTuple):
    """How a text becomes tokens and tokens one vector."""

    max_tokens: int = 128
    """A longer text loses its end."""
    pooling: str = "masked_mean"
    """A name of POOLINGS; "mean_with_padding" fills every text up to `max_tokens`."""
    add_special_tokens: bool = True
    """Put [CLS] before and [SEP] behind a text that does not hold them itself."""


class TextEncoder(NamedTuple):
    """A BERT with its tokeniser; the weights lie on the device."""

    config: BertConfig
    embeddings: Any
    layers: Any
    """Weights of all layers, each array [layer, ...]."""
    wordpiece: WordPiece
    weights: Path | None
    """The file they were read from."""


def load_text_encoder(folder: Path, lower_case: bool | None = None) -> TextEncoder:
    """Read a folder of a BERT: config.json, weights and vocabulary.

    Raises:
        UserError: a file is missing or damaged, or the vocabulary is larger than the model's.
    """
    bert = read_bert(folder)
    return make_text_encoder(
        bert.config, bert.variables, read_wordpiece(folder, lower_case), bert.path
    )


def make_text_encoder(
    config: BertConfig, variables: Any, wordpiece: WordPiece, weights: Path | None = None
) -> TextEncoder:
    """Put a BERT's variables and a tokeniser together.

    Raises:
        UserError: the tokeniser knows more tokens than the model.
    """
    if len(wordpiece.ids) > config.vocab_size:
        raise UserError(
            f"{weights.parent if weights else 'the model'}: the vocabulary has "
            f"{len(wordpiece.ids)} tokens, the weights {config.vocab_size}; are they of one model?"
        )
    params = variables["params"]
    layers = [params[f"layers_{index}"] for index in range(config.num_hidden_layers)]
    stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *layers)
    return TextEncoder(
        config, jax.device_put(params["embeddings"]), jax.device_put(stacked), wordpiece, weights
    )


def embed_texts(encoder: TextEncoder, texts: Sequence[str], reading: Reading) -> np.ndarray:
    """Return one vector a text, float32 [text, width]; each text is computed once.

    Raises:
        UserError: `reading` asks for more tokens than the model has positions, or an unknown
            pooling.
    """
    _check(encoder, reading)
    unique = list(dict.fromkeys(texts))
    rows = encoder.wordpiece.encode(
        unique, reading.max_tokens, add_special_tokens=reading.add_special_tokens
    )
    vectors = np.zeros((len(unique), encoder.config.hidden_size), np.float32)
    with tqdm(total=len(unique), unit=" texts", desc="texts", leave=False, disable=None) as shown:
        for places, ids, mask in _batches(rows, encoder.wordpiece.padding, _lengths(reading)):
            found = _encode(
                encoder.config, reading.pooling, encoder.embeddings, encoder.layers, ids, mask
            )
            vectors[places] = np.asarray(found)[: len(places)]
            shown.update(len(places))
    place_of = {text: place for place, text in enumerate(unique)}
    return vectors[[place_of[text] for text in texts]]


def _check(encoder: TextEncoder, reading: Reading) -> None:
    if reading.pooling not in POOLINGS:
        raise UserError(f"pooling {reading.pooling!r} is none of {', '.join(POOLINGS)}")
    most = encoder.config.max_position_embeddings
    if not 2 < reading.max_tokens <= most:
        raise UserError(
            f"{reading.max_tokens} tokens a text: name a number from 3 to {most}, the positions of "
            "this model"
        )


def _lengths(reading: Reading) -> tuple[int, ...]:
    """Return the lengths to which texts are filled up, the largest last."""
    if reading.pooling == "mean_with_padding":
        return (reading.max_tokens,)
    return (*(n for n in LENGTHS if n < reading.max_tokens), reading.max_tokens)


def _batches(
    rows: Sequence[Sequence[int]], padding: int, lengths: Sequence[int]
) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
    """Yield (places of the texts, ids int32 [row, token], mask bool [row, token]).

    All batches of a length have one shape; rows behind the last text are padding.
    """
    of_length = defaultdict(list)
    for place, row in enumerate(rows):
        of_length[next(length for length in lengths if len(row) <= length)].append(place)
    for length in sorted(of_length):
        places, size = of_length[length], max(TOKENS_A_BATCH // length, 1)
        size = min(size, 1 << (len(places) - 1).bit_length())
        for start in range(0, len(places), size):
            chosen = places[start : start + size]
            filled = [rows[place] for place in chosen] + [[]] * (size - len(chosen))
            counts = np.array([len(row) for row in filled])
            mask = np.arange(length) < counts[:, None]
            yield chosen, pad_tokens(filled, length, padding), mask


@partial(jax.jit, static_argnums=(0, 1))
def _encode(
    config: BertConfig, pooling: str, embeddings: Any, layers: Any, ids: jax.Array, mask: jax.Array
) -> jax.Array:
    """Return pooled vectors [row, width]; one layer is compiled and scanned over."""
    x: Any = Embeddings(config, jnp.float32).apply(
        {"params": embeddings}, ids, None, None, train=False
    )

    def step(x: Any, params: Any) -> tuple[Any, None]:
        layer = Layer(config, jnp.float32)
        return layer.apply({"params": params}, x, mask, train=False)[0], None

    x, _ = jax.lax.scan(step, x, layers)
    return pool_tokens(x, mask, pooling)
