"""The scatter of the risk head's hidden units: every record once in every panel."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from medjax.systems.ecg_attention.risk_features import hidden_units_figure


@pytest.mark.parametrize(("units", "panels"), [(3, 4), (2, 1)])
def test_every_two_units_have_a_plane_and_three_a_space(units, panels):
    rng = np.random.default_rng(units)
    hidden, score = rng.normal(size=(7, units)), rng.normal(size=7)
    event = np.array([1, 0, np.nan, 1, 0, 0, 0])
    figure = hidden_units_figure(hidden, score, event, "Hidden units, test split")
    *axes, _ = figure.axes
    assert len(axes) == panels
    points = axes[-1].collections[0]
    first = np.argsort(score)
    np.testing.assert_allclose(points.get_offsets(), hidden[first][:, -2:])
    np.testing.assert_allclose(points.get_array(), score[first])
    ringed = (points.get_edgecolor()[:, :3] == 0).all(1)
    np.testing.assert_array_equal(ringed, (event == 1)[first])
    FigureCanvasAgg(figure).draw()
