"""Maps of risk groups are of the right records, and their pictures name every lead."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from medjax.systems.ecg_attention.lead_maps import (
    around_even,
    draw_one_map,
    group_figure,
    group_maps,
)

LEADS = ("I", "II", "III")
MAPS = np.random.default_rng(0).dirichlet(np.ones(3), (6, 3))
HIGH = np.array([False, True, False, False, True, False])


def test_each_group_has_the_maps_of_its_own_records():
    groups = group_maps(MAPS, HIGH)
    low, high = MAPS[[0, 2, 3, 5]], MAPS[[1, 4]]
    np.testing.assert_allclose(groups["low"].mean, low.mean(0))
    np.testing.assert_allclose(groups["low"].std, low.std(0))
    np.testing.assert_allclose(groups["high"].mean, high.mean(0))
    np.testing.assert_allclose(groups["difference"].mean, high.mean(0) - low.mean(0))
    np.testing.assert_allclose(groups["difference"].std, high.std(0) - low.std(0))
    assert [groups[name].n for name in ("low", "high", "difference")] == [4, 2, 6]


def test_a_group_without_records_is_drawn_empty_and_said_so():
    groups = group_maps(MAPS, np.zeros(6, bool))
    assert np.isnan(groups["high"].mean).all()
    assert np.isnan(groups["difference"].mean).all()
    figure = group_figure(groups, LEADS, "nobody at risk")
    FigureCanvasAgg(figure).draw()
    assert "High risk: no records" in [ax.get_title() for ax in figure.axes]


def test_rows_are_queries_columns_are_keys_and_groups_share_their_colours():
    figure = group_figure(group_maps(MAPS, HIGH), LEADS, "Lead attention")
    low, high = figure.axes[0], figure.axes[1]
    assert [tick.get_text() for tick in low.get_yticklabels()] == list(LEADS)
    assert (low.get_xlabel(), low.get_ylabel()) == ("key lead", "query lead")
    np.testing.assert_allclose(low.images[0].get_array()[0], group_maps(MAPS, HIGH)["low"].mean[0])
    assert low.images[0].get_clim() == high.images[0].get_clim()


def test_even_attention_has_the_middle_colour():
    norm = around_even(MAPS[0])["norm"]
    assert norm(1 / 3) == 0.5
    assert norm(0) == 0
    figure = Figure()
    draw_one_map(figure, figure.subplots(), np.full((3, 3), 1 / 3), LEADS)
    FigureCanvasAgg(figure).draw()
