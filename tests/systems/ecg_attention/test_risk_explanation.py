"""What a risk stage shows of its network: maps of the right groups, scores to compare with."""

import numpy as np
import pytest

from medjax.errors import UsageError, UserError
from medjax.systems.ecg_attention.lead_maps import group_maps
from medjax.systems.ecg_attention.risk import check_stored
from medjax.systems.ecg_attention.risk_explanation import (
    explanation_figures,
    fitted_scores,
    reference_of,
)

LEADS = ("I", "II", "V1")
RNG = np.random.default_rng(0)
OUTPUTS = {
    "log_risk": np.array([3.0, 0.0, 1.0, 2.0, 4.0], np.float32),
    "hidden": RNG.normal(size=(5, 3)),
    "event": np.array([1, 0, 0, np.nan, 1]),
    "time": np.array([5, 9, np.nan, 3, 2]),
    "lead_attention": RNG.dirichlet(np.ones(3), (5, 3)),
}


def test_maps_are_of_those_above_and_below_the_percentile():
    figures = explanation_figures(OUTPUTS, LEADS, 60, "test split")
    assert set(figures) == {"lead_attention", "hidden_units"}
    high = np.array([True, False, False, False, True])  # above 2.4
    expected = group_maps(OUTPUTS["lead_attention"], high)
    low, above, difference = figures["lead_attention"].axes[:3]
    for ax, name in ((low, "low"), (above, "high"), (difference, "difference")):
        np.testing.assert_allclose(ax.images[0].get_array(), expected[name].mean)


def test_networks_without_lead_attention_have_no_maps():
    without = {name: value for name, value in OUTPUTS.items() if name != "lead_attention"}
    assert set(explanation_figures(without, LEADS, 60, "test split")) == {"hidden_units"}
    wide = {**without, "hidden": np.zeros((5, 7))}
    assert explanation_figures(wide, LEADS, 60, "test split") == {}


def test_pages_compare_with_the_scores_of_the_training_split_alone():
    validation = {name: value[:2] + 10 for name, value in OUTPUTS.items()}
    fitted = fitted_scores({"train": OUTPUTS, "validation": validation})
    reference = reference_of(fitted, None)
    np.testing.assert_array_equal(reference.scores, [0, 1, 2, 3, 4])
    assert reference.last == 19
    assert len(reference_of({}, None).scores) == 0


def test_weights_read_the_units_that_they_were_trained_on():
    stored = {"time_unit": "month", "sampling_rate": 250.0}
    check_stored("risk", stored, "month", 250.0)
    with pytest.raises(UsageError, match="--config.data.time_unit=month"):
        check_stored("risk", stored, "year", 250.0)
    with pytest.raises(UserError, match="--sampling_rate=250"):
        check_stored("risk", stored, "month", 500.0)
