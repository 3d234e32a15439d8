"""Pictures of survival: nothing overlaps, counts are right, edges are drawn."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from medjax.metrics.survival.figures import calibration_figure, kaplan_meier_figure, risk_groups

TITLE = "heart failure after myocardial infarction by predicted risk, invented patients, test split"


def outcomes(n: int, seed: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    time, censored = generator.exponential(scale, n), generator.uniform(0, 80, n)
    return (time <= censored).astype(float), np.minimum(time, censored)


def check_layout(figure: Figure) -> str:
    """Nothing leaves the page, no text overlaps another; returns all texts."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts]
    page = figure.bbox
    for text, box in boxes:
        assert box.x0 >= page.x0 and box.x1 <= page.x1, text
        assert box.y0 >= page.y0 and box.y1 <= page.y1, text
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        apart = a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1
        assert apart, (one, two)
    return " ".join(text for text, _ in boxes).replace("\n", " ")


@pytest.mark.parametrize("names", [["all"], ["low risk", "middle risk", "high risk"]])
def test_kaplan_meier_has_numbers_at_risk(names):
    groups = {name: outcomes(3000, i, 60 / (i + 1)) for i, name in enumerate(names)}
    written = check_layout(kaplan_meier_figure(groups, title=TITLE, unit="months"))
    for name, (event, _) in groups.items():
        assert f"{name}: event in {int(event.sum()):,} of 3,000" in written
    assert "3,000" in written and TITLE in written


def test_kaplan_meier_of_nobody():
    empty = (np.zeros(0), np.zeros(0))
    one = (np.array([np.nan, 1.0]), np.array([3.0, 5.0]))
    check_layout(kaplan_meier_figure({"none": empty, "one": one}, title=TITLE, unit="months"))
    check_layout(kaplan_meier_figure({"none": empty}, title=TITLE, unit="months"))


def test_calibration_of_the_truth_lies_on_the_diagonal():
    generator = np.random.default_rng(0)
    rate = np.exp(generator.normal(size=4000)) / 40
    time, censored = generator.exponential(1 / rate), generator.uniform(0, 80, 4000)
    event = (time <= censored).astype(float)
    risk = 1 - np.exp(-rate * 30)
    figure = calibration_figure(
        event, np.minimum(time, censored), risk, horizon=30, title=TITLE, unit="months"
    )
    assert "30 months" in check_layout(figure)
    predicted, observed = figure.axes[0].lines[-1].get_xydata().T
    assert len(predicted) == 10
    np.testing.assert_allclose(observed, predicted, atol=0.08)


def test_groups_are_cut_at_quantiles():
    groups = risk_groups(np.arange(30.0), (1 / 3, 2 / 3))
    np.testing.assert_array_equal(np.bincount(groups), [10, 10, 10])
    assert set(risk_groups(np.zeros(4), (0.5,))) == {0}
