"""Cox regression: lifelines' coefficients, its edges."""

import json
from pathlib import Path

import numpy as np
import pytest

from medjax.errors import UserError
from medjax.metrics.survival.cox_regression import fit_cox

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text())
COVARIATES, EVENT = (np.array(REFERENCE[k]) for k in ("covariates", "event"))
TIME = np.ceil(np.array(REFERENCE["time"]))


@pytest.mark.parametrize("penalty", ["0.0", "0.1", "10.0"])
def test_equals_lifelines(penalty):
    fitted = fit_cox(COVARIATES, EVENT, TIME, float(penalty))
    expected = REFERENCE["partial_likelihood"][penalty]
    np.testing.assert_allclose(fitted.coefficients, expected["coefficients"], rtol=1e-5)
    np.testing.assert_allclose(fitted.standard_errors, expected["standard_errors"], rtol=1e-4)


def test_finds_the_truth():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(4000, 2)) * [1, 100] + 7
    time = generator.exponential(np.exp(-(x - 7) @ [0.8, -0.005]))
    censored = generator.exponential(1.0, 4000)
    fitted = fit_cox(x, time <= censored, np.minimum(time, censored))
    error = np.abs(fitted.coefficients - [0.8, -0.005]) / fitted.standard_errors
    assert (error < 4).all()
    assert fitted.log_risk(x.mean(0)[None])[0] == pytest.approx(0)


def test_a_constant_covariate_counts_for_nothing():
    constant = np.column_stack([COVARIATES, np.full(len(EVENT), 3.7)])
    fitted, without = (fit_cox(x, EVENT, TIME) for x in (constant, COVARIATES))
    np.testing.assert_allclose(fitted.coefficients, [*without.coefficients, 0])


def test_no_maximum_is_said():
    time = np.arange(1.0, 9.0)
    separating = -time[:, None]
    with pytest.raises(UserError, match="penalty above 0"):
        fit_cox(separating, np.ones(8, bool), time)
    with pytest.raises(UserError, match="penalty above 0"):
        fit_cox(np.column_stack([COVARIATES, COVARIATES[:, 0]]), EVENT, TIME)
    assert fit_cox(separating, np.ones(8, bool), time, 0.1).coefficients[0] > 0
    with pytest.raises(UserError, match="needs events"):
        fit_cox(separating, np.zeros(8, bool), time)


def test_every_penalty_has_its_maximum():
    """Rounding near the maximum must not keep Newton's steps from ending."""
    generator = np.random.default_rng(0)
    for seed in range(6):
        x = np.column_stack([generator.normal(60, 8, 200), generator.random((200, 6)) < 0.3])
        time = np.float32(generator.exponential(np.exp(-0.1 * (x[:, 0] - 60))) * 20)
        event = generator.random(200) < 0.3
        strengths = [fit_cox(x, event, time, 10.0 ** (p / 4)) for p in range(-8, 21)]
        sizes = [np.abs(fitted.coefficients[0]) for fitted in strengths]
        assert (np.diff(sizes) < 0).all(), seed
