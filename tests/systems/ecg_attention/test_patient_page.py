"""A page holds the whole story of one ECG, on the page and without overlaps."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from medjax.systems.ecg_attention.painted_beat import (
    PaintedRecord,
    grid,
    upsample,
)
from medjax.systems.ecg_attention.patient_page import (
    PatientPage,
    SurvivalCurve,
    patient_page,
    percentile_among,
    risk_lines,
)

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
CURVE = SurvivalCurve(
    np.array([10.0, 20.0, 70.0]), np.array([0.98, 0.97, 0.9]), (12, 36, 60, 96), "months", "death"
)


def page(leads: int = 12, samples: int = 60, rate: float = 50.0) -> PatientPage:
    rng = np.random.default_rng(leads)
    record = PaintedRecord(
        rng.normal(size=(leads, samples)), rng.random((leads, samples)), LEADS[:leads], rate
    )
    return PatientPage(
        record=record,
        lead_map=rng.dirichlet(np.ones(leads), leads),
        score=0.83,
        percentile=91.2,
        curve=CURVE,
        title="Risk of death from the median beat, row 3 of the test split's predictions",
        footnote="Stage risk, seed 42, step 100. " * 8,
    )


PAGES = {
    "twelve leads": page(),
    "one": page(1),
    "strip, no baseline": page(12, 500)._replace(lead_map=None, curve=None, percentile=None),
    "eight, no attention": page(8)._replace(
        record=page(8).record._replace(paint=None), lead_map=None
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_nothing_leaves_the_page_or_lies_on_another_text(name):
    figure = patient_page(PAGES[name])
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts]
    boxes = [(text, box) for text, box in boxes if np.isfinite(box.extents).all()]  # ticks outside
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        width = min(a.x1, b.x1) - max(a.x0, b.x0)
        height = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert width < 1 or height < 1, (one, other)


def test_the_page_says_score_percentile_and_the_chance_at_each_horizon():
    text = "\n".join(risk_lines(page()))
    assert "Risk score 0.83" in text
    assert "91 % of the training subjects" in text
    assert "at 12 months: 98.0 %" in text
    assert "at 60 months: 97.0 %" in text
    assert "at 96 months: beyond the follow-up" in text


def test_survival_is_a_step_function_from_one():
    assert CURVE.at(0) == 1.0
    assert CURVE.at(9.9) == 1.0
    assert CURVE.at(10) == 0.98
    assert CURVE.at(71) is None


def test_a_percentile_counts_who_is_below_and_half_of_who_is_equal():
    assert percentile_among(2.0, [1.0, 2.0, 3.0, np.nan]) == pytest.approx(50)
    assert percentile_among(9.0, [1.0, 2.0]) == 100
    assert percentile_among(1.0, []) is None


def test_points_lie_on_the_straight_lines_between_samples():
    points = upsample([0.0, 2.0, 0.0], 5)
    np.testing.assert_allclose(points, [0, 1, 2, 1, 0])


def test_the_samples_have_the_colours_of_the_curve():
    record = page(1, 40).record
    figure = patient_page(page(1, 40))
    points = figure.axes[0].collections[0]
    assert len(points.get_offsets()) == 20 * 40
    np.testing.assert_allclose(points.get_array(), upsample(record.paint[0], 20 * 40))
    np.testing.assert_allclose(points.get_offsets()[:, 1], upsample(record.signal[0], 20 * 40))


@pytest.mark.parametrize(
    ("leads", "seconds", "shape"),
    [(12, 1.2, (3, 4)), (8, 1.2, (2, 4)), (12, 10, (6, 2)), (1, 10, (1, 1))],
)
def test_leads_stand_as_on_ecg_paper(leads, seconds, shape):
    assert grid(leads, seconds) == shape
