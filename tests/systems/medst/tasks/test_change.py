"""Change between two films: how decisions are scored, and the encoder of pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from medjax.metrics.comparison import difference
from medjax.nn.vit import ViTConfig
from medjax.run.compilation import compile_quickly
from medjax.systems.medst.networks.pairwise import Pairwise, swap_some
from medjax.systems.medst.tasks.change_metrics import (
    MEAN,
    change_estimates,
    change_metrics,
    confusion_of,
)
from medjax.systems.medst.tasks.temporal_images import (
    FindingPairs,
    can_be_folded,
    held_out_decisions,
)

RNG = np.random.default_rng(0)
VIT = ViTConfig(image_size=8, patch_size=4, width=8, layers=1, heads=2)
ROWS = pd.DataFrame(
    {
        "subject_id": [1, 1, 2, 3, 3, 4],
        "finding": ["edema", "edema", "edema", "edema", "pneumonia", "pneumonia"],
        "label": [0, 2, 2, 1, 1, 0],
        "decided": [0, 2, 0, -1, 1, 2],
    }
)


def test_decisions_are_scored_by_finding_and_label():
    found = change_metrics(ROWS, 0, 0)
    assert found["accuracy/edema"].value == pytest.approx(2 / 3)  # the undecided one is left out
    assert found["balanced_accuracy/edema"].value == pytest.approx((1 + 0.5) / 2)
    assert found["accuracy/pneumonia"].value == 0.5
    assert found[f"accuracy/{MEAN}"].value == pytest.approx((2 / 3 + 0.5) / 2)
    assert (found["accuracy/edema"].n, found[f"accuracy/{MEAN}"].n) == (3, 5)
    assert change_metrics(ROWS.assign(decided=-1), 10, 0)[f"accuracy/{MEAN}"].reason
    counts = confusion_of([0, 0, 2], [0, 1, 1])
    assert counts.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]


def test_both_ways_are_resampled_alike():
    """Equal decisions never differ; a way that is better on every patient is so in all draws."""
    rows = pd.concat([ROWS.assign(subject_id=ROWS.subject_id + 10 * i) for i in range(20)])
    rows["decided"] = rows["label"]
    worse = rows.assign(decided=(rows["label"] + 1) % 3)
    one, same, other = (change_estimates(r, 50, 1)["accuracy"][MEAN] for r in (rows, rows, worse))
    assert not difference(one, same).resampled.any()
    assert (difference(one, other).resampled == 1).all()


def test_intervals_draw_patients():
    """Many rows of one patient tell no more than one."""
    rows = pd.DataFrame({"subject_id": np.arange(40), "finding": "edema", "label": 1})
    rows["decided"] = rows["subject_id"] % 2
    alone = change_metrics(rows, 300, 0)["accuracy/edema"]
    often = change_metrics(pd.concat([rows] * 25), 300, 0)["accuracy/edema"]
    assert often.high - often.low == pytest.approx(alone.high - alone.low, rel=0.2)


def pairs_of(count: int, patients: int) -> FindingPairs:
    label = np.arange(count) % 3
    ids = np.array([f"film{i}" for i in range(count)])
    return FindingPairs(ids, np.roll(ids, 1), np.arange(count) % patients, label)


def test_machines_decide_pairs_of_patients_that_they_have_not_seen():
    """Features that only name the patient help within a patient alone."""
    pairs = pairs_of(60, 20)._replace(label=(np.arange(60) % 20) % 3)
    of_patient = np.eye(20)[pairs.subject]
    seen = dict(zip(pairs.current, of_patient))
    by_row = held_out_decisions(pairs, seen, 3, 0, "row")
    by_patient = held_out_decisions(pairs, seen, 3, 0, "patient")
    assert (by_row == pairs.label).mean() > 0.9 > 0.6 > (by_patient == pairs.label).mean()


def test_too_few_pairs_are_said_to_be_so():
    assert can_be_folded(pairs_of(30, 10), 5, 0)
    assert not can_be_folded(pairs_of(4, 4), 5, 0)
    assert not can_be_folded(pairs_of(30, 3), 5, 0)
    assert not can_be_folded(pairs_of(30, 10)._replace(label=np.zeros(30, int)), 5, 0)


@pytest.fixture(scope="module")
def network():
    with compile_quickly(True):
        model = Pairwise(VIT, findings=2, blocks=1, dropout=0.0)
        films = jnp.asarray(RNG.normal(size=(2, 3, 8, 8, 3)), jnp.float32)
        has = jnp.array([True, True, False])
        variables = jax.jit(lambda k: model.init({"params": k}, *films, has, train=False))(
            jax.random.key(0)
        )
        run = jax.jit(lambda *inputs: model.apply(variables, *inputs, train=False))
        yield run, films, has, (model, variables)


def test_a_missing_former_film_is_not_looked_at(network):
    run, (current, prior), has, _ = network
    before = run(current, prior, has)
    after = run(current, prior + 1, has)
    assert before.shape == (3, 2, 3)
    np.testing.assert_array_equal(before[2], after[2])
    assert np.abs(before[:2] - after[:2]).max() > 1e-5


def test_the_order_of_both_films_counts(network):
    run, (current, prior), _, _ = network
    there = jnp.ones(3, bool)
    assert np.abs(run(current, prior, there) - run(prior, current, there)).max() > 1e-5


def test_every_parameter_learns(network):
    _, films, has, (model, variables) = network

    def loss(params):
        return jnp.square(model.apply({"params": params}, *films, has, train=False) - 1).sum()

    grads = jax.jit(jax.grad(loss))(variables["params"])
    idle = [jax.tree_util.keystr(p) for p, g in jax.tree.leaves_with_path(grads) if not g.any()]
    assert idle == []


def test_time_turned_round_turns_labels_round():
    current, prior = jnp.zeros((64, 2, 2, 1)), jnp.ones((64, 2, 2, 1))
    labels = jnp.tile(jnp.array([[0, 1, 2]]), (64, 1))
    may = jnp.arange(64) < 48
    now, before, told = swap_some(jax.random.key(0), current, prior, labels, may)
    turned = np.asarray(now[:, 0, 0, 0] == 1)
    assert 0 < turned[:48].sum() < 48 and not turned[48:].any()
    np.testing.assert_array_equal(before[:, 0, 0, 0], 1 - turned)
    expected = np.where(turned[:, None], [[2, 1, 0]], [[0, 1, 2]])
    np.testing.assert_array_equal(told, expected)
