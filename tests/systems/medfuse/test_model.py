"""MedFuse: padding, missing images, parts in use, precision."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import UsageError
from medjax.systems.medfuse.model import MedFuse
from tests.variables import draw_variables

SMALL = {
    "backbone": "resnet",
    "stage_sizes": (1, 1),
    "width": 4,
    "dim": 6,
    "num_classes": 3,
    "vision_num_classes": 2,
    "dropout": 0.0,
}
BRANCHES = ("lstm", "uni_ehr", "uni_cxr", "uni_ehr_lstm", "joint", "lstm_with_token")
RNG = np.random.default_rng(3)
BATCH = {
    "series": RNG.normal(size=(4, 5, 76)).astype(np.float32),
    "length": np.array([5, 2, 1, 3]),
    "image": RNG.normal(size=(4, 16, 16, 3)).astype(np.float32),
    "has_image": np.array([True, False, True, True]),
    "mask": np.array([True, True, True, False]),
}
FIRST_THREE = {name: value[:3] for name, value in BATCH.items()}


@functools.cache
def every_part():
    """Variables with the parts of every fusion; none of them minds the others' parts."""

    def init(key):
        trees = [
            MedFuse(fusion=fusion, **SMALL, missing_token="learnable").init(
                key, **BATCH, train=False
            )
            for fusion in ("lstm", "uni_ehr", "uni_cxr", "joint", "lstm_with_token")
        ]
        params = {name: part for tree in trees for name, part in tree["params"].items()}
        return {"params": params, "batch_stats": trees[0]["batch_stats"]}

    return draw_variables(init)


def make(fusion: str, **options):
    """Return (model, variables)."""
    return MedFuse(fusion=fusion, **{**SMALL, **options}), every_part()


def run(model, variables, batch, **modes):
    """Return (prediction, running statistics) of one pass, in training unless told."""
    modes = {"train": True, **modes}
    apply = jax.jit(lambda v, b: model.apply(v, **b, **modes, mutable=["batch_stats"]))
    return apply(variables, batch)


def close(a, b) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), a, b)


@pytest.mark.parametrize("fusion", BRANCHES)
def test_padding_rows_and_padded_time_touch_nothing(fusion: str) -> None:
    model, variables = make(fusion)
    padded = dict(BATCH)
    padded["series"] = np.concatenate([BATCH["series"], np.full((4, 3, 76), 9, np.float32)], 1)
    padded["image"] = BATCH["image"] * np.array([1, 1e3, 1, 1e3], np.float32)[:, None, None, None]
    with_padding, moved = run(model, variables, padded)
    alone, alone_moved = run(model, variables, FIRST_THREE)
    close(jax.tree.map(lambda x: x[:3] if x.ndim else x, with_padding), alone)
    close(moved, alone_moved)


@pytest.mark.parametrize("fusion", ["lstm", "joint"])
def test_an_absent_image_stays_out(fusion: str) -> None:
    """Its row has zero image features and the statistics are those of the other rows."""
    model, variables = make(fusion)
    prediction, moved = run(model, variables, FIRST_THREE)
    assert not np.any(prediction.cxr[1]) and np.any(prediction.cxr[0])
    paired = {name: value[[0, 2]] for name, value in FIRST_THREE.items()}
    alone, alone_moved = run(model, variables, paired)
    np.testing.assert_allclose(np.asarray(prediction.logits)[[0, 2]], alone.logits, atol=1e-5)
    close(moved, alone_moved)


def test_zeros_lets_absent_images_into_the_statistics() -> None:
    model, variables = make("lstm", absent_images="zeros")
    _, moved = run(model, variables, FIRST_THREE)
    zeroed = dict(FIRST_THREE, has_image=np.ones(3, bool))
    zeroed["image"] = FIRST_THREE["image"].copy()
    zeroed["image"][1] = 0
    close(moved, run(model, variables, zeroed)[1])
    masked = run(*make("lstm"), FIRST_THREE)[1]
    assert not np.allclose(
        moved["batch_stats"]["cxr"]["stem"]["BatchNorm_0"]["mean"],
        masked["batch_stats"]["cxr"]["stem"]["BatchNorm_0"]["mean"],
    )


def test_without_an_image_the_fusion_reads_the_series_alone() -> None:
    model, variables = make("lstm")
    single, _ = make("uni_ehr_lstm")
    none = dict(FIRST_THREE, has_image=np.zeros(3, bool))
    fused, _ = run(model, variables, none, train=False)
    alone, _ = run(single, variables, none, train=False)
    np.testing.assert_allclose(fused.logits, alone.logits, atol=1e-6)


def logits_of(batch: dict, **options) -> np.ndarray:
    model, variables = make(**options)
    return np.asarray(run(model, variables, batch, train=False)[0].logits)


def test_a_missing_token_stands_for_an_absent_image_alone() -> None:
    """Learned or zero, in place of the projected features; rows with an image do not change."""
    plain = logits_of(FIRST_THREE, fusion="joint")
    zeros = logits_of(FIRST_THREE, fusion="joint", missing_token="zeros", absent_images="zeros")
    learned = logits_of(FIRST_THREE, fusion="joint", missing_token="learnable")
    np.testing.assert_allclose(zeros, plain, atol=1e-6)
    np.testing.assert_allclose(learned[[0, 2]], plain[[0, 2]], atol=1e-6)
    _, variables = make("joint")
    head = variables["params"]["fused_head"]["linear"]["kernel"][SMALL["dim"] :]
    token = variables["params"]["missing_token"]
    np.testing.assert_allclose(learned[1] - plain[1], token @ head, atol=1e-5)


def test_the_film_first_is_read_first_and_dropped_where_absent() -> None:
    ours = logits_of(FIRST_THREE, fusion="lstm", modality_order="image_first")
    alone = logits_of(FIRST_THREE, fusion="uni_ehr_lstm")
    np.testing.assert_allclose(ours[1], alone[1], atol=1e-6)
    assert not np.allclose(ours[0], logits_of(FIRST_THREE, fusion="lstm")[0], atol=1e-3)


def test_published_film_first_gives_every_row_without_a_film_one_prediction() -> None:
    options = {"modality_order": "image_first", "image_first_unpaired": "zero_image"}
    none = dict(FIRST_THREE, has_image=np.zeros(3, bool))
    logits = logits_of(none, fusion="lstm", **options)
    np.testing.assert_array_equal(logits, np.broadcast_to(logits[:1], logits.shape))


def test_a_row_without_a_film_reads_series_separator_and_end() -> None:
    """The published one never reads the end: another end token changes nothing."""
    _, variables = make("lstm_with_token")
    other = {**variables["params"], "cls_token": variables["params"]["cls_token"] + 1}
    for unpaired, reads in (("ehr_sep_cls", True), ("ehr_sep", False)):
        model, _ = make("lstm_with_token", token_unpaired=unpaired)
        before, after = (
            np.asarray(run(model, {**variables, "params": p}, FIRST_THREE, train=False)[0].logits)
            for p in (variables["params"], other)
        )
        assert (not np.allclose(before[1], after[1], atol=1e-5)) == reads
        assert not np.allclose(before[0], after[0], atol=1e-5)


@pytest.mark.parametrize("fusion", ["lstm", "joint", "lstm_with_token"])
def test_the_alignment_is_the_cosine_of_paired_rows(fusion: str) -> None:
    model, variables = make(fusion)
    prediction, _ = run(model, variables, FIRST_THREE, train=False)
    ehr, cxr = (np.asarray(x)[[0, 2]] for x in (prediction.ehr, prediction.cxr))
    norms = np.linalg.norm(ehr, axis=1) * np.linalg.norm(cxr, axis=1)
    expected = 1 - np.mean((ehr * cxr).sum(1) / norms)
    np.testing.assert_allclose(prediction.alignment, expected, rtol=1e-5)


@pytest.mark.parametrize("fusion", BRANCHES)
def test_a_batch_of_one_keeps_its_axes(fusion: str) -> None:
    model, variables = make(fusion)
    one = {name: value[:1] for name, value in BATCH.items()}
    logits = run(model, variables, one, train=False)[0].logits
    assert logits.shape == (1, 2 if fusion == "uni_cxr" else 3)
    full = run(model, variables, BATCH, train=False)[0].logits
    np.testing.assert_allclose(logits, full[:1], atol=1e-5)


def test_only_parts_in_use_have_parameters_and_more_are_ignored() -> None:
    model, more = make("uni_ehr")
    variables = draw_variables(lambda key: model.init(key, **BATCH, train=False))
    assert set(variables["params"]) == {"ehr", "ehr_head"}
    assert "batch_stats" not in variables
    fewer = {"params": {name: more["params"][name] for name in variables["params"]}}
    close(run(model, more, BATCH, train=False)[0], run(model, fewer, BATCH, train=False)[0])


def test_radiology_reads_the_series_second_and_only_where_there_is_one() -> None:
    model = MedFuse(fusion="lstm", labels="radiology", **SMALL)
    variables = draw_variables(lambda key: model.init(key, **BATCH, train=False))
    batch = dict(FIRST_THREE, has_image=np.ones(3, bool), length=np.array([5, 0, 1]))
    prediction, _ = run(model, variables, batch, train=False)
    assert prediction.logits.shape == (3, 2)
    assert not np.any(prediction.ehr[1]) and np.any(prediction.ehr[0])


def test_frozen_encoders_stand_still_in_evaluation_mode() -> None:
    model, variables = make("early")
    _, moved = run(model, variables, FIRST_THREE, ehr_train=False, cxr_train=False)
    close(moved["batch_stats"], variables["batch_stats"])
    _, moved = run(model, variables, FIRST_THREE)
    before = variables["batch_stats"]["cxr"]["stem"]["BatchNorm_0"]["mean"]
    assert not np.allclose(moved["batch_stats"]["cxr"]["stem"]["BatchNorm_0"]["mean"], before)


def test_dropout_acts_in_training_only() -> None:
    model, variables = make("uni_ehr", dropout=0.5)
    rngs = {"dropout": jax.random.key(1)}
    train = model.apply(variables, **BATCH, train=True, rngs=rngs).ehr
    frozen = model.apply(variables, **BATCH, train=True, ehr_train=False).ehr
    still = model.apply(variables, **BATCH, train=False).ehr
    assert (np.asarray(train) == 0).any()
    np.testing.assert_array_equal(frozen, still)


def test_bf16_keeps_float32_parameters_and_logits() -> None:
    model, variables = make("lstm", dtype=jnp.bfloat16)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))
    prediction, moved = run(model, variables, FIRST_THREE)
    assert prediction.logits.dtype == jnp.float32
    assert prediction.ehr.dtype == prediction.cxr.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(moved))
    exact, _ = run(make("lstm")[0], variables, FIRST_THREE)
    np.testing.assert_allclose(prediction.logits, exact.logits, atol=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "lsmt"}, "did you mean 'lstm'"),
        ({"fusion": "lstm", "backbone": "resnet43"}, "resnet43"),
        ({"fusion": "lstm", "absent_images": "skip"}, "absent_images"),
        ({"fusion": "lstm", "labels": "cxr"}, "labels"),
        ({"fusion": "joint", "labels": "radiology"}, "radiology"),
        ({"fusion": "lstm_with_token", "labels": "radiology"}, "radiology"),
        ({"fusion": "joint", "missing_token": "zero"}, "missing_token"),
        ({"fusion": "lstm", "modality_order": "cxr_first"}, "modality_order"),
    ],
)
def test_unknown_options_are_refused(options: dict, message: str) -> None:
    model = MedFuse(**{**SMALL, **options})
    with pytest.raises(UsageError, match=message):
        jax.eval_shape(lambda: model.init(jax.random.key(0), **BATCH, train=False))
