"""Encoders: absent lateral films and padding reach nothing; word order matters with positions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn.bert import BertConfig
from medjax.nn.torch_names import from_torch, to_torch
from medjax.nn.vit import ViTConfig
from medjax.systems.medst.names import image_encoder_layers, text_encoder_layers
from medjax.systems.medst.networks.heads import ProjectionHead, project_tokens
from medjax.systems.medst.networks.image_encoder import ImageEncoder
from medjax.systems.medst.networks.text_encoder import TextEncoder, Tokens
from medjax.systems.medst.networks.vit import join_rows, split_rows
from tests.variables import draw_variables

RNG = np.random.default_rng(0)
VIT = ViTConfig(image_size=8, patch_size=4, width=8, layers=2, heads=2)
BERT = BertConfig(20, 8, 2, 2, 16, 16, type_vocab_size=0)


def films(rows: int) -> np.ndarray:
    return RNG.normal(size=(rows, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def image():
    model = ImageEncoder(VIT, hidden=6, dim=4)
    has = np.ones(2, bool)
    variables = draw_variables(lambda key: model.init(key, films(2), films(2), has, train=False))
    return model, variables


def features(image, *args, **options):
    model, variables = image
    run = partial(model.apply, method="features", train=False, **options)
    return jax.jit(run)(variables, *args)


def test_a_film_without_a_lateral_one_is_read_as_if_alone(image) -> None:
    frontal, lateral = films(3), films(3)
    alone = features(image, frontal)
    both = features(image, frontal, lateral, np.array([False, True, False]))
    np.testing.assert_allclose(both.image[::2], alone.image[::2], atol=1e-5)
    np.testing.assert_allclose(both.patches[::2], alone.patches[::2], atol=1e-5)
    assert np.abs(both.image[1] - alone.image[1]).max() > 1e-3


@pytest.mark.parametrize("parts", [1, 2])
def test_rows_without_lateral_films_need_no_place_for_them(image, parts) -> None:
    frontal, lateral = films(6), films(6)
    places = np.array([0, 1]) if parts == 1 else np.array([0, 3])
    has = np.isin(np.arange(6), places)
    whole = features(image, frontal, lateral, has)
    few = features(image, frontal, lateral[places], np.ones(2, bool), parts=parts)
    np.testing.assert_allclose(few.image, whole.image, atol=1e-5)
    np.testing.assert_allclose(few.patches, whole.patches, atol=1e-5)
    np.testing.assert_allclose(few.lateral, whole.lateral[places], atol=1e-5)


def test_rows_are_split_and_joined_part_by_part() -> None:
    x = jnp.arange(6)
    first, rest = split_rows(x, 2, 2)
    assert (first.tolist(), rest.tolist()) == ([0, 3], [1, 2, 4, 5])
    assert join_rows(first, rest, 2).tolist() == x.tolist()


def test_lateral_tokens_have_their_own_expert(image) -> None:
    model, variables = image
    frontal = films(2)
    run = partial(model.apply, variables, frontal, train=False)

    def of_view(view: str):
        return run(method=lambda m, x, train: m.network.one_view(x, view, train=train)[0])

    assert np.abs(of_view("lateral") - of_view("frontal")).max() > 1e-2
    plain = ImageEncoder(VIT, hidden=6, dim=4, experts=False)
    with pytest.raises(ValueError, match="frontal films alone"):
        plain.apply(variables, frontal, frontal, np.ones(2, bool), train=False)


def test_heads_leave_masked_tokens_out_of_their_statistics() -> None:
    head = ProjectionHead(5, 4)
    x, more = (RNG.normal(size=(3, n, 6)).astype(np.float32) for n in (4, 2))
    variables = draw_variables(lambda key: head.init(key, x[:, 0], train=False))

    def run(sets, valid):
        def call(head, sets, valid):
            return project_tokens(head, sets, valid, train=True)

        return head.apply(variables, sets, valid, method=call, mutable=["batch_stats"])

    (alone,), stats = run([x], [None])
    (first, _), both_stats = run([x, more * 1e3], [None, np.zeros((3, 2), bool)])
    np.testing.assert_allclose(first, alone, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), stats, both_stats)
    together, _ = run([x, more], [None, None])
    np.testing.assert_allclose(np.concatenate(together, 1).mean((0, 1)), 0, atol=1e-5)


def make_text(positions: str, aggregation: str = "complete"):
    model = TextEncoder(BERT, positions, aggregation, hidden=6, dim=4)
    tokens = texts([[2, 5, 6, 7, 3]])
    return model, draw_variables(lambda key: model.init(key, tokens, train=False))


def texts(rows: list[list[int]], length: int = 7) -> Tokens:
    """Texts whose every token is a word."""
    ids = np.array([row + [0] * (length - len(row)) for row in rows], np.int32)
    return Tokens(ids, ids > 0, np.where(ids > 0, np.arange(length), -1))


@pytest.mark.parametrize("positions", ["zero", "sequential"])
def test_word_order_counts_only_with_positions(positions) -> None:
    model, variables = make_text(positions)
    swapped = texts([[2, 5, 6, 7, 3], [2, 7, 6, 5, 3]])
    _, out = model.apply(variables, swapped, train=False)
    distance = np.abs(out.text[0] - out.text[1]).max()
    assert distance < 1e-5 if positions == "zero" else distance > 1e-3


def test_a_longer_row_of_tokens_changes_nothing() -> None:
    model, variables = make_text("sequential")
    short, long = (texts([[2, 5, 6, 3]], n) for n in (5, 9))
    a, b = (model.apply(variables, t, method="features", train=False) for t in (short, long))
    np.testing.assert_allclose(a.text, b.text, atol=1e-5)
    np.testing.assert_allclose(a.words, b.words[:, :4], atol=1e-5)
    np.testing.assert_allclose(a.attention, b.attention[:, :4], atol=1e-6)
    assert not b.words[:, 4:].any() and b.is_word.tolist() == [[True] * 3 + [False] * 5]


def test_words_get_their_own_attention_or_that_to_the_next_token() -> None:
    tokens = texts([[2, 5, 6, 3]], 5)
    model, variables = make_text("sequential")
    own = model.apply(variables, tokens, method="features", train=False)
    np.testing.assert_allclose(own.attention, own.token_attention[:, 1:] * own.is_word, atol=1e-6)
    model, variables = make_text("sequential", "truncated")
    next_one = model.apply(variables, tokens, method="features", train=False)
    np.testing.assert_allclose(next_one.attention[:, :2], own.token_attention[:, 2:4], atol=1e-6)


def test_published_names_and_back(image) -> None:
    _, variables = image
    state = to_torch(image_encoder_layers(VIT), variables)
    assert state["model.blocks.1.mlp_l.fc1.weight"].shape == (32, 8)
    assert state["local_embed.head.3.weight"].shape == (4, 6, 1)
    back = from_torch(image_encoder_layers(VIT), state)
    jax.tree.map(np.testing.assert_array_equal, back, variables)
    _, variables = make_text("zero")
    back = from_torch(text_encoder_layers(2), to_torch(text_encoder_layers(2), variables))
    jax.tree.map(np.testing.assert_array_equal, back, variables)
