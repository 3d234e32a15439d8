"""Pre-training of MedST and MGCA: what padding, order and absent films may not change."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn.bert import BertConfig
from medjax.nn.torch_names import from_torch, to_torch
from medjax.nn.vit import ViTConfig
from medjax.run.compilation import compile_quickly
from medjax.systems.medst.names import network_layers
from medjax.systems.medst.networks.local_alignment import clipped_share
from medjax.systems.medst.networks.model import MGCA, Films, MedST
from medjax.systems.medst.networks.prototypes import Prototypes, normalised, sinkhorn
from medjax.systems.medst.networks.text_encoder import Tokens
from medjax.systems.medst.pretraining.loss import (
    PretrainingOptions,
    Rows,
    global_loss,
    medst_losses,
    mgca_losses,
    retrieval_accuracy,
)
from medjax.systems.medst.pretraining.temporal_loss import cycle_loss, sequence_loss
from tests.variables import draw_variables

RNG = np.random.default_rng(0)
VIT = ViTConfig(image_size=8, patch_size=4, width=8, layers=1, heads=2)
BERT = BertConfig(20, 8, 1, 2, 8, 16, 0, 1e-12, "gelu", 0.0, 0.0)
SIZES = {"backbone": VIT, "bert_config": BERT, "hidden": 6, "dim": 4}
OPTIONS = PretrainingOptions()


def batch_of(rows: int = 5, length: int = 8):
    """Films of which some have a lateral one, and texts of different lengths."""
    frontal, lateral = RNG.normal(size=(2, rows, 8, 8, 3)).astype(np.float32)
    has = np.arange(rows) % 2 == 0
    words = RNG.integers(3, length, rows)
    ids = np.where(np.arange(length) < words[:, None], RNG.integers(4, 20, (rows, length)), 0)
    study = np.arange(rows)
    sequence, step = np.where(study < 3, 0, -1), np.where(study < 3, study, 0)
    return (frontal, lateral, has), ids.astype(np.int32), (study, sequence, step)


BATCH = batch_of()


def tokens_of(ids: np.ndarray) -> Tokens:
    words = np.where(ids > 0, np.arange(ids.shape[1]), -1).astype(np.int32)
    return Tokens(ids, ids > 0, words)


@pytest.fixture(scope="module", autouse=True)
def compiled_quickly():
    with compile_quickly(True):
        yield


class Made(NamedTuple):
    """A network, its variables, and what gives losses and running statistics of one pass."""

    model: MedST | MGCA
    variables: dict
    apply: Callable


def make(network, **options) -> Made:
    model = network(**SIZES, **options)
    (frontal, lateral, has), ids, _ = BATCH
    films = Films(frontal) if network is MGCA else Films(frontal, lateral, has)
    init = partial(model.init, films=films, tokens=tokens_of(ids), train=False)

    @jax.jit
    def apply(variables, films, tokens, rows):
        run = partial(model.apply, train=True, mutable=["batch_stats"])
        out, moved = run(variables, films, tokens, rows.mask)
        of = mgca_losses if network is MGCA else medst_losses
        return of(out, rows, OPTIONS), moved

    return Made(model, draw_variables(lambda key: init(key)), apply)


@pytest.fixture(scope="module")
def medst() -> Made:
    return make(MedST)


@pytest.fixture(scope="module")
def mgca() -> Made:
    return make(MGCA, prototypes=7)


def run(made: Made, films, ids, rows, mask=None):
    if isinstance(made.model, MGCA):
        films = films[:1]
    study, sequence, step = rows
    given = Rows(study, mask, sequence, step)
    return made.apply(made.variables, Films(*films), tokens_of(ids), given)


def assert_equal(found, expected):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), found, expected)


@pytest.fixture(scope="module")
def expected(medst, mgca):
    return {"medst": run(medst, *BATCH), "mgca": run(mgca, *BATCH)}


@pytest.mark.parametrize("name", ["medst", "mgca"])
def test_padding_rows_and_tokens_change_nothing(name, expected, request) -> None:
    films, ids, rows = BATCH
    garbage = [np.concatenate([x, x[:2]]) for x in films]
    longer = np.pad(ids, ((0, 2), (0, 3)), constant_values=0)
    more = [np.concatenate([x, x[:2]]) for x in rows]
    mask = np.arange(len(longer)) < len(ids)
    found = run(request.getfixturevalue(name), garbage, longer, more, mask)
    assert_equal(found, expected[name])


def test_pixels_of_absent_lateral_films_change_nothing(medst, expected) -> None:
    (frontal, lateral, has), ids, rows = BATCH
    other = np.where(has[:, None, None, None], lateral, 5.0).astype(np.float32)
    assert_equal(run(medst, (frontal, other, has), ids, rows), expected["medst"])


def test_absent_lateral_films_need_no_place(medst, expected) -> None:
    (frontal, lateral, has), ids, rows = BATCH
    order = np.argsort(~has, kind="stable")
    films = frontal[order], lateral[order][: has.sum()], np.ones(has.sum(), bool)
    study, sequence, step = (x[order] for x in rows)
    found = run(medst, films, ids[order], (study, sequence, step))
    assert_equal(found, expected["medst"])


def test_published_options_read_padding_and_absent_films(expected) -> None:
    published = {"mask_padding_words": False, "mask_missing_lateral": False}
    made = make(MedST, **published)
    (frontal, lateral, has), ids, rows = BATCH
    other = lateral + 5 * ~has[:, None, None, None]
    longer = np.pad(ids, ((0, 0), (0, 3)))
    local = [
        float(run(made, (frontal, x, has), i, rows)[0]["local"])
        for x, i in ((lateral, ids), (other, ids), (lateral, longer))
    ]
    local.append(float(expected["medst"][0]["local"]))
    assert min(abs(local[0] - value) for value in local[1:]) > 1e-3


def test_rows_of_a_study_are_no_negatives_of_each_other() -> None:
    loss = jax.jit(global_loss, static_argnums=4)
    image, text = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in RNG.normal(size=(2, 3, 4)))
    one = loss(image, text, Rows(np.array([0, 0, 0])), 0.07)
    assert float(one) == pytest.approx(0, abs=1e-5)
    assert float(loss(image, text, Rows(), 0.07)) > 0.1
    halves = [float(loss(image[i : i + 1], text[i : i + 1], Rows(), 0.07)) for i in (0, 1)]
    grouped = loss(image[:2], text[:2], Rows(), 0.07, 2)
    assert float(grouped) == pytest.approx(np.mean(halves), abs=1e-5)


def test_accuracy_counts_the_nearest() -> None:
    image = np.eye(6, dtype=np.float32)
    text = image[[0, 2, 1, 3, 4, 5]]
    assert float(retrieval_accuracy(image, text, Rows(), 1.0, 1)) == pytest.approx(100 * 4 / 6)
    assert float(retrieval_accuracy(image, text, Rows(), 1.0, 5)) == 100
    few = Rows(mask=np.arange(6) < 1)
    assert float(retrieval_accuracy(image, text, few, 1.0, 1)) == 100


def test_the_loss_of_time() -> None:
    both_ways, one_way = jax.jit(sequence_loss), jax.jit(cycle_loss)
    x, y = RNG.normal(size=(2, 7, 4)).astype(np.float32)
    sequence, step = np.array([0, 0, 0, 0, 1, 1, -1]), np.array([0, 1, 2, 3, 0, 1, 0])
    both = both_ways(x, y, sequence, step)
    np.testing.assert_allclose(both, both_ways(y, x, sequence, step), rtol=1e-5)
    order = RNG.permutation(7)
    moved = both_ways(x[order], y[order], sequence[order], step[order])
    np.testing.assert_allclose(both, moved, rtol=1e-4)
    assert float(both_ways(x, y, np.full(7, -1), step)) == 0
    whole = float(one_way(x, y, sequence, step))
    four, two = (float(one_way(x, y, np.where(sequence == i, sequence, -1), step)) for i in (0, 1))
    assert whole == pytest.approx((4 * four + 2 * two) / 6, rel=1e-4)
    gradient = jax.grad(lambda x: sequence_loss(x, y, sequence, step))(x)
    assert np.isfinite(gradient).all() and not gradient[6].any()
    with pytest.raises(ValueError, match="regression 'huber' is none of mse_var, mse"):
        cycle_loss(x, y, sequence, step, regression="huber")
    with pytest.raises(ValueError, match="similarity 'dot' is none of l2, cosine"):
        cycle_loss(x, y, sequence, step, similarity="dot")


def outputs_of(jaxpr: jax.extend.core.Jaxpr) -> Iterator[tuple[str, np.dtype]]:
    """Yield (operation, type) of everything that a program works out, its inner ones too."""
    for equation in jaxpr.eqns:
        for variable in equation.outvars:
            yield equation.primitive.name, variable.aval.dtype
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from outputs_of(inner)


def test_the_loss_of_time_is_single_in_a_half_precision_run(medst) -> None:
    x, y = RNG.normal(size=(2, 7, 4)).astype(jnp.bfloat16)
    sequence, step = np.array([0, 0, 0, 0, 1, 1, -1]), np.array([0, 1, 2, 3, 0, 1, 0])
    made = list(outputs_of(jax.make_jaxpr(sequence_loss)(x, y, sequence, step).jaxpr))
    assert ("dot_general", jnp.float32) in made
    assert not [entry for entry in made if entry[1] in (jnp.bfloat16, jnp.float16)]
    wide = (x.astype(np.float32), y.astype(np.float32))
    assert sequence_loss(x, y, sequence, step) == sequence_loss(*wide, sequence, step)

    model = MedST(**SIZES, dtype=jnp.bfloat16)
    (frontal, lateral, has), ids, rows = BATCH
    films, (study, sequence, step) = Films(frontal, lateral, has), rows
    out = jax.jit(partial(model.apply, train=False))(medst.variables, films, tokens_of(ids))
    assert out.text_features.text.dtype == jnp.bfloat16  # so the run is one
    assert {out.image.dtype, out.text.dtype} == {np.dtype(np.float32)}
    loss = medst_losses(out, Rows(study, None, sequence, step), OPTIONS)["temporal"]
    assert loss.dtype == jnp.float32
    with jax.enable_x64(True):
        exact = sequence_loss(*(np.float64(v) for v in (out.image, out.text)), sequence, step)
    assert exact.dtype == jnp.float64
    assert float(loss) == pytest.approx(float(exact), rel=1e-4)


def test_codes_use_prototypes_equally_and_ignore_padding() -> None:
    scores = RNG.uniform(-1, 1, (6, 4)).astype(np.float32)
    code = np.asarray(sinkhorn(scores, 0.05, 50))
    np.testing.assert_allclose(code.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(code.sum(0), 6 / 4, rtol=1e-2)
    mask = np.arange(6) < 4
    padded = np.where(mask[:, None], scores, 9.0)
    np.testing.assert_allclose(sinkhorn(padded, mask=mask)[:4], sinkhorn(scores[:4]), atol=1e-5)


def test_prototypes_are_of_length_one(mgca) -> None:
    params = mgca.variables["params"]["prototype_layer"]
    kernel = np.asarray(normalised(params["kernel"]))
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, rtol=1e-5)
    x = RNG.normal(size=(3, 4)).astype(np.float32)
    scores = Prototypes(7).apply({"params": params}, x)
    np.testing.assert_allclose(scores, x @ kernel, atol=1e-5)


def test_weights_are_clipped_to_quantiles_of_those_there_are() -> None:
    weights = np.array([[0.5, 0.0, 0.1, 0.2, 0.4, 0.3], [0, 0, 0, 0, 0, 0]], np.float32)
    share = np.asarray(clipped_share(weights))
    kept = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    clipped = np.clip(weights[0][weights[0] > 0], *np.quantile(kept, [0.1, 0.9]))
    np.testing.assert_allclose(share[0][weights[0] > 0], clipped / clipped.sum(), rtol=1e-5)
    assert share[0, 1] == 0 and not share[1].any()


@pytest.mark.parametrize("name", ["medst", "mgca"])
def test_published_names_and_back(name, request) -> None:
    variables = request.getfixturevalue(name).variables
    layers = network_layers(VIT, 1)
    state = to_torch(layers, variables)
    wanted = "word_element_wise_multi_head.in_proj_weight"
    assert (wanted in state) == (name == "medst")
    jax.tree.map(np.testing.assert_array_equal, from_torch(layers, state), variables)
