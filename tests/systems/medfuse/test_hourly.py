"""Predictions at hours: each is the prediction of the prefix; what is padding changes nothing."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.data.mimic_iv.tasks import DECOMPENSATION, MULTITASK
from medjax.errors import UsageError
from medjax.run.words import load_config
from medjax.systems.medfuse.batches import Batches
from medjax.systems.medfuse.hourly import HourlyMedFuse
from medjax.systems.medfuse.hourly_loss import cross_entropies, make_loss, probabilities
from medjax.systems.medfuse.hourly_outputs import evaluate, joinable, table
from medjax.systems.medfuse.loss import EVALUATION
from medjax.systems.medfuse.model import MedFuse
from medjax.systems.medfuse.parts import fill, parts_of
from tests.systems.medfuse.test_batches import CONFIG, make_data

CLASSES, HOURS, ROWS = 3, 9, 4
FIELDS = {
    "backbone": "resnet",
    "stage_sizes": (1,),
    "width": 4,
    "dim": 6,
    "layers": 1,
    "num_classes": CLASSES,
    "vision_num_classes": CLASSES,
}
LENGTHS = np.array([9, 6, 7, 9])
FILM_HOURS = np.array([3.5, 0.0, np.inf, 6.0], np.float32)
NAMES = ("dies", "decompensates", "stays", "first", "second")


@cache
def inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    series = rng.normal(size=(ROWS, HOURS, 5)).astype(np.float32)
    series *= (np.arange(HOURS) < LENGTHS[:, None])[..., None]
    image = rng.normal(size=(ROWS, 16, 16, 3)).astype(np.float32)
    return {"series": series, "length": LENGTHS, "image": image, "mask": np.ones(ROWS, bool)}


@cache
def variables(fusion: str):
    x = inputs()
    model = HourlyMedFuse(fusion=fusion, **FIELDS)
    init = jax.jit(partial(model.init, train=False))
    drawn = init(jax.random.key(1), x["series"], x["length"], x["image"], FILM_HOURS, x["mask"])
    return jax.jit(partial(model.apply, train=False)), drawn


def predict(fusion: str, **changed) -> np.ndarray:
    x = inputs() | {"film_hour": FILM_HOURS} | changed
    apply, drawn = variables(fusion)
    order = ("series", "length", "image", "film_hour", "mask")
    return np.asarray(apply(drawn, *(x[name] for name in order)).logits)


@pytest.mark.parametrize("fusion", ["lstm", "early"])
def test_the_prediction_at_an_hour_is_that_of_the_prefix(fusion):
    """By `MedFuse` itself, with the same parameters, given the film only once it was taken."""
    x, logits = inputs(), predict(fusion)
    plain, (_, drawn) = MedFuse(fusion=fusion, **FIELDS), variables(fusion)
    apply = jax.jit(lambda *args: plain.apply(drawn, *args, train=False).logits)
    for hour in (1, 4, 6, 9):
        length = np.minimum(LENGTHS, hour)
        known = np.arange(HOURS) < length[:, None]
        series = np.where(known[..., None], x["series"], 0)
        prefix = apply(series, length, x["image"], hour >= FILM_HOURS, x["mask"])
        rows = hour <= LENGTHS
        np.testing.assert_allclose(logits[rows, hour - 1], prefix[rows], atol=2e-6)


def test_hours_after_a_film_know_it_and_those_before_do_not():
    x = inputs()
    other = predict("lstm", image=x["image"] + 1)
    changed = np.abs(other - predict("lstm")).max(axis=-1) > 1e-7
    for row, (first, length) in enumerate(zip(FILM_HOURS, LENGTHS)):
        hours = np.arange(1, length + 1)
        np.testing.assert_array_equal(changed[row, :length], hours >= first)


def batch_of_all() -> dict[str, np.ndarray]:
    """A batch of multitask in which every second hour is asked."""
    parts, rng = parts_of(MULTITASK, NAMES), np.random.default_rng(3)
    wanted = np.zeros((ROWS, HOURS, len(parts)), bool)
    wanted[:, 4::2] = (np.arange(5, HOURS + 1, 2) <= LENGTHS[:, None])[..., None]
    targets = rng.integers(0, 2, (ROWS, HOURS, parts[-1].targets.stop)).astype(np.float32)
    x = inputs()
    image = rng.integers(0, 256, (ROWS, 16, 16)).astype(np.uint8)
    return x | {"image": image, "film_hour": FILM_HOURS, "wanted": wanted, "targets": targets}


def test_padding_changes_neither_loss_nor_gradient():
    parts = parts_of(MULTITASK, NAMES)
    fields = FIELDS | {"num_classes": parts[-1].logits.stop}
    model, batch = HourlyMedFuse(fusion="uni_ehr", **fields), batch_of_all()
    padded = {
        name: np.concatenate([array, np.ones_like(array[:2])]) for name, array in batch.items()
    }
    padded["mask"][-2:] = False
    for name in ("series", "wanted", "targets"):
        more = padded[name][:, :3]
        filler = np.zeros_like(more) if name == "wanted" else np.full_like(more, 5)
        padded[name] = np.concatenate([padded[name], filler], axis=1)
    films = jnp.zeros((ROWS, 16, 16, 3))
    drawn = jax.jit(partial(model.init, train=False))(
        jax.random.key(0), batch["series"], batch["length"], films, FILM_HOURS, batch["mask"]
    )
    loss = make_loss(model, EVALUATION, parts)

    @jax.jit
    def value_and_gradient(params, batch):
        return jax.value_and_grad(
            lambda p: loss({"params": p}, batch, jax.random.key(0), jnp.zeros(()))[0]
        )(params)

    one, other = (value_and_gradient(drawn["params"], b) for b in (batch, padded))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), one, other)


def test_the_loss_is_the_mean_of_the_list_rows():
    """By hand, over the pairs of row and hour that are asked."""
    parts = parts_of(MULTITASK, NAMES, {DECOMPENSATION: 3.0})
    logits = np.random.default_rng(0).normal(size=(ROWS, HOURS, parts[-1].logits.stop))
    targets, wanted = batch_of_all()["targets"], batch_of_all()["wanted"]
    entropies = np.asarray(cross_entropies(jnp.asarray(logits), targets, parts))
    risk = np.asarray(probabilities(jnp.asarray(logits), parts))
    dies = targets[..., 1]
    by_hand = -np.log(np.where(dies == 1, risk[..., 1], 1 - risk[..., 1]))
    np.testing.assert_allclose(entropies[..., 1], by_hand, rtol=1e-5)
    bins = np.take_along_axis(risk[..., 2:12], targets[..., 2:3].astype(int), -1)[..., 0]
    np.testing.assert_allclose(entropies[..., 2], -np.log(bins), rtol=1e-4)
    assert [part.weight for part in parts] == [1, 3, 1, 1]
    rows = joinable({"probability": risk, "wanted": wanted, "targets": targets,
                     "loss": entropies}, parts)  # fmt: skip
    config = load_config(CONFIG, ("smoke", "multitask"))
    metrics = evaluate(rows, parts, config, final=False)
    total = sum(
        part.weight * entropies[..., i][wanted[..., i]].mean() for i, part in enumerate(parts)
    )
    assert metrics["loss"].value == pytest.approx(total, rel=1e-5)
    asked = int(wanted[..., 1].sum())
    assert metrics["decompensation.auroc/decompensates"].n == asked
    assert metrics["length_of_stay.kappa"].n == asked
    ids = {"stay_id": 100 + np.arange(ROWS)}
    columns = table(ids, rows, parts)
    assert {len(column) for column in columns.values()} == {wanted.sum()}
    ours = columns["task"] == DECOMPENSATION
    row, step = np.nonzero(wanted[..., 1])
    assert columns["stay_id"][ours].tolist() == (100 + row).tolist()
    assert columns["hour"][ours].tolist() == (step + 1).tolist()
    assert np.isnan(columns["probability/dies"][ours]).all()


def test_what_is_asked_of_a_stay():
    parts = parts_of(MULTITASK, NAMES)
    record = {
        "series": np.zeros((50, 5)),
        "hours": np.array([5, 6, 50]),
        "remaining": np.array([200.0, 24.0, 0.5]),
        "decompensation": np.array([0, 1, -1], np.int8),
        "mortality": 1,
        "phenotypes": np.array([0, 1], np.int8),
    }
    wanted, targets = np.zeros((60, 4), bool), np.zeros((60, 6), np.float32)
    fill(record, parts, wanted, targets)
    assert [np.flatnonzero(wanted[:, i]).tolist() for i in range(4)] == [
        [47], [4, 5], [4, 5, 49], [49]
    ]  # fmt: skip
    assert targets[47, 0] == 1 and targets[[4, 5], 1].tolist() == [0, 1]
    assert targets[[4, 5, 49], 2:4].tolist() == [[8, 200], [1, 24], [0, 0.5]]
    assert targets[49, 4:].tolist() == [0, 1]
    unknown = record | {"mortality": -1, "phenotypes": np.array([-1, -1], np.int8)}
    wanted[:] = False
    fill(unknown, parts, wanted, targets)
    assert not wanted[:, 0].any() and not wanted[:, 3].any()


def test_without_labels_every_hour_is_predicted():
    parts, wanted = parts_of(DECOMPENSATION, NAMES[:1]), np.zeros((12, 1), bool)
    fill({"series": np.zeros((9, 5))}, parts, wanted, None)
    assert (np.flatnonzero(wanted[:, 0]) + 1).tolist() == [5, 6, 7, 8, 9]


def test_fusions_without_hours_are_refused():
    with pytest.raises(UsageError, match="reads no single hours"):
        load_config(CONFIG, ("smoke", "decompensation", "uni_cxr"))


def test_the_best_step_is_chosen_by_a_metric_of_the_task():
    chosen = {
        word: load_config(CONFIG, ("smoke", word)).fusion.train
        for word in ("decompensation", "length_of_stay", "multitask")
    }
    assert {word: (t.monitor, t.monitor_mode) for word, t in chosen.items()} == {
        "decompensation": ("auroc/macro", "max"),
        "length_of_stay": ("kappa", "max"),
        "multitask": ("loss", "min"),
    }
    named = load_config(CONFIG, ("multitask",), {"fusion.train.monitor": "length_of_stay.kappa"})
    assert named.fusion.train.monitor == "length_of_stay.kappa"


def test_own_outcomes_have_no_demo():
    with pytest.raises(UsageError, match="--labels=CSV"):
        load_config(CONFIG, (), {"data.task": "own"})


def test_a_batch_of_hours_holds_the_labels_and_hours_of_its_stays():
    data = make_data(stays=12, films=5)
    rng = np.random.default_rng(2)
    stays = {}
    for split, known in data.stays.items():
        records = []
        for record in known.records:
            hours = np.arange(5, len(record["series"]) + 1, 3)
            labels = rng.integers(0, 2, len(hours)).astype(np.int8)
            records.append(record | {"hours": hours, "labels": labels})
        stays[split] = known._replace(records=records, labels=None)
    data = data._replace(stays=stays, stay_labels=("Decompensation",))
    config = load_config(CONFIG, ("smoke", "decompensation"))
    batches = Batches(config, config.fusion, data, data.normalizer)
    for plan in batches.plan("train", 0):
        batch = batches.collate("train", 0, plan, slice(0, plan.size))
        assert "labels" not in batch
        for row, position in enumerate(plan.indices):
            record = stays["train"].records[position]
            steps = np.flatnonzero(batch["wanted"][row, :, 0])
            assert (steps + 1).tolist() == record["hours"].tolist()
            assert batch["targets"][row, steps, 0].tolist() == record["labels"].tolist()
            assert batch["film_hour"][row] == stays["train"].film_hour[position]
            assert np.isfinite(batch["film_hour"][row]) == batch["has_image"][row]
