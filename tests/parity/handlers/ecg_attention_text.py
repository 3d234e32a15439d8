"""Parity of the ECG system's text embeddings."""

import jax
import numpy as np

from medjax.data.ecg.statements import (
    Statement,
    StatementVectors,
    embed_records,
    statement_weights,
)
from medjax.nn.bert import BertConfig
from medjax.nn.torch_names import bert_layers, from_torch
from medjax.text.encoder import Reading, embed_texts, make_text_encoder
from medjax.text.wordpiece import make_wordpiece, pad_tokens
from medjax.weights.bert import bert_shapes, encoder_weights
from tests.parity.harness import Case, ParityError, handles

OPTIONS = frozenset({"records", "statements", "vocab", "tokenizer", "bert"}) | {
    "expected_codes_in_order",
    "expected_text",
    "expected_kept",
    "expected_weights",
}
CATEGORY, DESCRIPTION = "Statement Category", "SCP-ECG Statement Description"


@handles("ecg_attention", "scp_text_embedding", config=OPTIONS)
def scp_text_embedding(case: Case) -> dict[str, np.ndarray]:
    """Statements with confidence -> texts, token ids, vectors of statements and of records."""
    config = case.config
    if config["tokenizer"]["padding"] != "max_length":
        raise ParityError("another padding than to the limit")
    weights = [statement_weights(record, "error") for record in config["records"]]
    _check(case, weights)
    codes = config["expected_codes_in_order"]
    rows = {code: config["statements"][code] for code in codes}
    texts = [Statement(row[CATEGORY], row[DESCRIPTION]).text("[SCP]") for row in rows.values()]
    if dict(zip(codes, texts)) != config["expected_text"]:
        raise ParityError("texts of statements differ")
    wordpiece = make_wordpiece(config["vocab"], config["tokenizer"]["lower_case"])
    special, limit = config["tokenizer"]["add_special_tokens"], config["tokenizer"]["max_length"]
    tokens = wordpiece.encode(texts, limit, add_special_tokens=special)
    bert = BertConfig(vocab_size=len(config["vocab"]), **config["bert"])
    given = encoder_weights(case.weights)
    bert = bert._replace(pooler="pooler.dense.weight" in given)
    given = {name: given[name] for name in bert_shapes(bert)}
    variables = from_torch(bert_layers(bert.num_hidden_layers), given)
    encoder = make_text_encoder(bert, variables, wordpiece)
    vectors = embed_texts(encoder, texts, Reading(limit, "mean_with_padding", special))
    table = StatementVectors(tuple(codes), vectors)
    return {
        "input_ids": pad_tokens(tokens, limit, wordpiece.padding),
        "attention_mask": (np.arange(limit) < np.array([[len(row)] for row in tokens])).astype(int),
        "code_embedding": vectors,
        "record_embedding": embed_records(config["records"], table, "error").vectors,
    }


def _check(case: Case, weights: list[dict[str, float]]) -> None:
    """Compare which statements stay, their order and their weights."""
    if [list(given) for given in weights] != [list(kept) for kept in case.config["expected_kept"]]:
        raise ParityError("statements that stay differ")
    found = jax.tree.leaves([list(given.values()) for given in weights])
    np.testing.assert_allclose(found, jax.tree.leaves(case.config["expected_weights"]), rtol=1e-12)
    order = list(dict.fromkeys(code for given in weights for code in given))
    if order != case.config["expected_codes_in_order"]:
        raise ParityError("the order of first use differs")
