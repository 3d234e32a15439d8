"""Late fusion: the search for weights, the blend, and the stage that applies both."""

import itertools
from pathlib import Path

import jax
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medjax.errors import UserError
from medjax.run.evaluate import EVALUATION
from medjax.run.words import load_config
from medjax.systems.medfuse.data import Data, Films
from medjax.systems.medfuse.late_fusion import GRID, blend, fit_weights
from medjax.systems.medfuse.late_stage import blended, fit_to
from medjax.systems.medfuse.system import build
from tests.systems.medfuse.test_batches import NORMALIZER, make_stays

CONFIG = Path(__file__).parents[3] / "configs" / "medfuse.py"


def example(labels: int = 3, rows: int = 150, seed: int = 0):
    generator = np.random.default_rng(seed)
    truth = (generator.random((rows, labels)) < 0.4).astype(int)
    ehr, cxr = (
        np.clip(generator.random((rows, labels)) * 0.8 + truth * s, 0, 1) for s in (0.1, 0.2)
    )
    return truth, ehr, cxr


def search(truth, ehr, cxr, candidate):
    """The greedy search, written out with scikit-learn."""
    weights, best = np.ones(truth.shape[1]), 0.0
    for i, weight in itertools.product(range(truth.shape[1]), GRID):
        mixed = ehr * weights + cxr * (1 - weights)
        film = cxr[:, i] * (1 - weight) if candidate == "blend" else cxr[:, i] - weight
        mixed[:, i] = ehr[:, i] * weight + film
        mean = np.mean(roc_auc_score(truth, mixed, average=None))
        if mean > best:
            best, weights[i] = mean, weight
    return weights


@pytest.mark.parametrize("candidate", ["blend", "slip"])
@pytest.mark.parametrize("seed", range(3))
def test_weights_are_those_of_the_greedy_search(candidate, seed):
    arrays = example(seed=seed)
    np.testing.assert_array_equal(fit_weights(*arrays, candidate), search(*arrays, candidate))


def test_the_better_modality_weighs_more_and_fusion_ranks_better_than_either():
    truth, ehr, cxr = example(labels=1, rows=3000)
    weight = fit_weights(truth, ehr, cxr)[0]
    assert 0.1 <= weight < 0.5
    scores = [roc_auc_score(truth, x) for x in (ehr, cxr, blend(ehr, cxr, weight))]
    assert scores[2] > max(scores[:2])


def test_a_label_of_one_class_keeps_the_series_alone_and_disturbs_no_other():
    truth, ehr, cxr = example()
    without = fit_weights(truth[:, [0, 2]], ehr[:, [0, 2]], cxr[:, [0, 2]])
    truth[:, 1] = 0
    np.testing.assert_array_equal(fit_weights(truth, ehr, cxr), [without[0], 1, without[1]])


def test_unknown_candidates_and_missing_images_are_named():
    with pytest.raises(UserError, match="did you mean 'blend'"):
        fit_weights(*example(), "blended")
    truth, ehr, cxr = example()
    outputs = {"labels": truth, "uni_ehr": ehr, "uni_cxr": cxr, "has_image": np.zeros(150, bool)}
    with pytest.raises(UserError, match="validation stays that have an image"):
        fit_to(outputs, "blend")


def test_stays_without_an_image_keep_their_series():
    truth, ehr, cxr = example()
    has_image = np.arange(150) % 3 == 0
    outputs = {"labels": truth, "uni_ehr": ehr, "uni_cxr": cxr, "has_image": has_image}
    weights = np.array([0.2, 0.9, 1.0])
    result = blended(outputs, weights)
    np.testing.assert_allclose(result["probability"][~has_image], ehr[~has_image], rtol=1e-6)
    mixed = 0.2 * ehr[has_image, 0] + 0.8 * cxr[has_image, 0]
    np.testing.assert_allclose(result["probability"][has_image, 0], mixed, rtol=1e-6)
    average = (ehr[has_image] + cxr[has_image]) / 2
    np.testing.assert_allclose(result["average.probability"][has_image], average, rtol=1e-6)
    alone = blended(outputs, None)
    np.testing.assert_array_equal(alone["probability"], result["average.probability"])
    assert "average.probability" not in alone and np.isfinite(result["loss"]).all()


def test_the_stage_predicts_each_modality_as_alone():
    """It has no update, reads no other part, and gives the outputs of both single networks."""
    films = Films(
        [{"image": np.full((40, 40), 20 * i, np.uint8)} for i in range(4)],
        np.arange(4).astype(str),
        np.arange(4),
        np.zeros((4, 2), np.float32),
    )
    splits = ("train", "validation")
    stays = {split: make_stays(6, 4, seed) for seed, split in enumerate(splits)}
    data = Data(stays, dict.fromkeys(splits, films), ("a", "b", "c"), ("x", "y"), NORMALIZER)
    config = load_config(CONFIG, ("smoke", "late"))
    stage = build(config, "fusion", data, None)
    plan = stage.plan("validation", EVALUATION)[0]
    batch = stage.collate("validation", EVALUATION, plan, slice(0, plan.size))
    variables = jax.jit(stage.init)(jax.random.key(0), batch)
    assert set(variables["params"]) == {"ehr", "ehr_head", "cxr", "cxr_head"}
    assert stage.updates == () and stage.fit is not None
    systems = {"late": stage}
    for fusion in ("uni_ehr", "uni_cxr"):
        with config.unlocked():
            config.fusion.model.fusion = fusion
        systems[fusion] = build(config, "fusion", data, None)

    @jax.jit
    def predict(variables):
        key = jax.random.key(1)
        return {name: system.predict(variables, batch, key) for name, system in systems.items()}

    outputs = predict(variables)
    for fusion in ("uni_ehr", "uni_cxr"):
        alone = outputs[fusion]["probability"]
        np.testing.assert_allclose(outputs["late"][fusion], alone, rtol=1e-5)
