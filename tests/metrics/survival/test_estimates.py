"""Kaplan-Meier, Breslow, AUC and Brier at a horizon: against lifelines and scikit-survival."""

import json
from pathlib import Path

import numpy as np
import pytest

from medjax.metrics.ranking import auroc
from medjax.metrics.survival.baseline import breslow
from medjax.metrics.survival.curve import at_risk, kaplan_meier
from medjax.metrics.survival.time_dependent import (
    Uncensored,
    brier_score,
    dynamic_auc,
    integrated_brier_score,
)

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text())
EVENT, TIME, RISK = (np.array(REFERENCE[k]) for k in ("event", "time", "risk"))
HORIZONS = REFERENCE["horizons"]


def test_kaplan_meier_equals_lifelines():
    curve, expected = kaplan_meier(EVENT, np.ceil(TIME)), REFERENCE["kaplan_meier"]
    np.testing.assert_array_equal(curve.time, expected["time"])
    for name in ("survival", "low", "high"):
        np.testing.assert_allclose(getattr(curve, name), expected[name], rtol=1e-12, err_msg=name)


def test_kaplan_meier_between_steps_and_beyond():
    curve = kaplan_meier([1, 0, 1], [1.0, 2.0, 3.0])
    survival, low, high = curve.at([0.5, 1.0, 2.5, 3.0, 4.0])
    np.testing.assert_allclose(survival, [1, 2 / 3, 2 / 3, 0, 0])
    assert (low[:3] <= survival[:3]).all() and (high[:3] >= survival[:3]).all()
    censored_last = kaplan_meier([1, 0], [1.0, 2.0]).at([2.0, 2.1])[0]
    np.testing.assert_array_equal(censored_last, [0.5, np.nan])
    np.testing.assert_array_equal(kaplan_meier([1, 0], [0.0, 2.0]).survival, [0.5, 0.5])
    np.testing.assert_array_equal(at_risk([1.0, 2.0, 2.0, 3.0], [0, 2, 2.5, 4]), [4, 3, 1, 0])


def test_breslow_equals_scikit_survival():
    expected, covariates = REFERENCE["breslow"], np.array(REFERENCE["covariates"])
    log_risk = covariates @ expected["coefficients"]
    baseline = breslow(EVENT, np.ceil(TIME), log_risk)
    # scikit-survival centres nothing: its hazard is that of a row whose log risk is 0.
    theirs = dict(zip(expected["time"], expected["hazard"], strict=True))
    ours = np.exp(baseline.log_hazard)
    np.testing.assert_allclose(ours, [theirs[t] for t in baseline.time], rtol=1e-9)
    survival = baseline.survival(log_risk[:4], [5, 10])
    np.testing.assert_allclose(survival, expected["survival_at_5_10"], rtol=1e-9)
    np.testing.assert_array_equal(baseline.survival(log_risk[:4], [0.5]), np.ones((4, 1)))


def test_a_shift_of_all_log_risks_changes_no_survival():
    rows = [breslow(EVENT, TIME, RISK + s).survival(RISK + s, HORIZONS) for s in (0, 800, -800)]
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-9)
    np.testing.assert_allclose(rows[2], rows[0], rtol=1e-9)


def test_without_events_everybody_survives():
    baseline = breslow(np.zeros(3), [1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(baseline.survival([0.0, 9.0], [10.0]), [[1], [1]])


def test_auc_and_brier_equal_scikit_survival():
    uncensored = Uncensored(EVENT, TIME)
    survival = np.exp(-np.outer(np.exp(RISK), np.array(HORIZONS) / 12))
    for i, horizon in enumerate(HORIZONS):
        known = uncensored.at(horizon)
        assert dynamic_auc(known, RISK) == pytest.approx(REFERENCE["auc"][i], rel=1e-12)
        brier = brier_score(known, survival[:, i], uncensored.counts)
        assert brier == pytest.approx(REFERENCE["brier"][i], rel=1e-12)
    mean = integrated_brier_score(uncensored, HORIZONS, survival)
    assert mean == pytest.approx(REFERENCE["integrated_brier"], rel=1e-12)


def test_without_censoring_they_are_what_they_are_for_labels():
    known = Uncensored(np.ones_like(EVENT), TIME).at(4.0)
    early = TIME <= 4
    assert dynamic_auc(known, np.round(RISK)) == pytest.approx(auroc(early, np.round(RISK)))
    predicted = np.linspace(0, 1, len(TIME))
    squared = np.mean((predicted - ~early) ** 2)
    assert brier_score(known, predicted, np.ones(len(TIME))) == pytest.approx(squared)


def test_counts_stand_for_repeated_rows():
    counts = np.random.default_rng(1).integers(0, 3, (4, len(TIME)))
    survival = np.exp(-np.outer(np.exp(RISK), np.array(HORIZONS) / 12))
    ties = np.ceil(TIME)
    weighted = Uncensored(EVENT, ties, counts)
    for row, count in enumerate(counts):
        rows = np.repeat(np.arange(len(TIME)), count)
        alone = Uncensored(EVENT[rows], ties[rows])
        for i, horizon in enumerate(HORIZONS):
            known, all_known = alone.at(horizon), weighted.at(horizon)
            auc = dynamic_auc(all_known, RISK)[row]
            assert auc == pytest.approx(dynamic_auc(known, RISK[rows]), rel=1e-12, nan_ok=True)
            brier = brier_score(all_known, survival[:, i], counts)[row]
            expected = brier_score(known, survival[rows, i], alone.counts)
            assert brier == pytest.approx(expected, rel=1e-12)
