"""The forest plot shows every number where it belongs, and stays within its page."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from medjax.metrics.forest import Block, Row, forest_plot, written
from medjax.metrics.metric import Metric

MODELS = [
    Row("fusion: of both, a rather long description", [Metric(0.91, 0.88, 0.94), Metric(0.7)]),
    Row("series alone", [Metric(0.8, 0.75, 0.85), Metric(None, reason="one class only")]),
]
GAPS = [Row("1. Both or one?"), Row("fusion - series", [Metric(-0.11, -0.24, -0.02), Metric(0.0)])]


@pytest.fixture
def figure() -> Figure:
    blocks = [Block("Models", MODELS), Block("Differences", GAPS, reference=0.0)]
    return forest_plot("Title", "What the lines are.", ["AUROC", "AUPRC"], blocks)


def test_dots_and_intervals_stand_at_their_numbers(figure):
    models, _, gaps, _ = figure.axes
    dots = [line for line in models.lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots] == [(0.91, 0), (0.8, 1)]
    spans = [tuple(c.get_segments()[0][:, 0]) for c in models.collections]
    assert spans == [(0.88, 0.94), (0.75, 0.85)]
    assert models.get_ylim() == (1.5, -0.5), "the first row is on top"
    (dot,) = [line for line in gaps.lines if line.get_marker() == "o"]
    assert dot.get_ydata()[0] == 1, "a heading takes a line of its own"
    assert list(gaps.lines[0].get_xdata()) == [0, 0], "the line of no difference"


def test_nothing_is_written_outside_the_page_or_over_the_numbers(figure):
    FigureCanvasAgg(figure).draw()
    width, height = figure.bbox.size
    texts = [t for ax in figure.axes for t in (*ax.texts, ax.xaxis.label)] + figure.texts
    boxes = [t.get_window_extent() for t in texts if t.get_text()]
    assert all(b.x0 >= 0 and b.x1 <= width and b.y0 >= 0 and b.y1 <= height for b in boxes)
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])


def test_numbers_are_written_with_their_interval_or_reason():
    assert written(Metric(0.5)) == "0.500"
    assert written(Metric(-0.18, -0.37, -0.06)) == "m0.180 (m0.370 to m0.060)".replace(
        "m", "\N{MINUS SIGN}"
    )
    assert written(Metric(None, reason="one class only")) == "one class only"
