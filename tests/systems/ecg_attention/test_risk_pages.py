"""Pages of a split: the right records, each with its own numbers."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from ml_collections import ConfigDict

from medjax.metrics.survival.baseline import breslow
from medjax.systems.ecg_attention.explaining import Explanation
from medjax.systems.ecg_attention.risk_pages import (
    Reference,
    Shown,
    Words,
    chosen_rows,
    draw_pages,
    one_page,
)

LEADS, TIME, SAMPLES = ("I", "II"), 40, 31
WORDS = Words(LEADS, 100.0, "month", (12.0, 99.0), "heart failure", "dual_attention, seed 1")
SCORES = np.linspace(-1, 1, 50)
BASELINE = breslow(np.arange(50) % 2, np.arange(1, 51), SCORES)
REFERENCE = Reference(SCORES, BASELINE, 50.0)


def read(split: str, positions: np.ndarray) -> Shown:
    signal = np.zeros((len(positions), 2, TIME))
    signal[:, :, 4 : 4 + SAMPLES] = np.sin(np.arange(SAMPLES)) + positions[:, None, None]
    return Shown(signal, signal != 0, np.full(len(positions), SAMPLES))


def explain(variables, signal, visible) -> Explanation:
    paint = np.broadcast_to(np.linspace(5, 0, TIME), signal.shape)
    return Explanation(np.full((1, 2, 2), 0.5), paint, signal + variables)


def test_rows_are_taken_from_the_highest_risk_to_the_lowest():
    score = [0.0, 4.0, 2.0, 1.0, 3.0]
    assert chosen_rows(score, 3).tolist() == [1, 2, 0]
    assert chosen_rows(score, 1).tolist() == [1]
    assert chosen_rows(score, 0).tolist() == []
    assert sorted(chosen_rows(score, 100)) == [0, 1, 2, 3, 4]


def test_a_single_ecg_has_its_page():
    pages = draw_pages(ConfigDict({"pages": 3}), explain, read, REFERENCE, WORDS)
    outputs = {"log_risk": np.array([0.5]), "position": np.array([7])}
    ((stem, figure),) = pages(0.1, "all", outputs)
    assert stem == "row00000"
    assert "row 0 of predictions-all.parquet" in figure.get_suptitle()
    FigureCanvasAgg(figure).draw()


def test_a_page_holds_the_record_without_padding_and_its_risk():
    shown = read("test", np.array([3]))
    page = one_page(shown, explain(0.1, *shown[:2]), 0.5, REFERENCE, WORDS, "title")
    np.testing.assert_allclose(page.record.signal[0], np.sin(np.arange(SAMPLES)) + 3)
    np.testing.assert_allclose(page.record.paint[0], np.linspace(1, 0, SAMPLES))
    np.testing.assert_allclose(page.record.reconstruction, page.record.signal + 0.1)
    assert page.percentile == 100 * np.mean(SCORES < 0.5)
    assert page.curve.at(12.0) == BASELINE.survival([0.5], [12.0])[0, 0]
    assert page.curve.at(99.0) is None
    assert "seed 1" in page.footnote


def test_without_training_subjects_there_is_neither_percentile_nor_curve():
    nobody = Reference(np.zeros(0), None, 0.0)
    shown = read("test", np.array([0]))
    page = one_page(shown, explain(0.0, *shown[:2]), 0.5, nobody, WORDS, "title")
    assert page.percentile is None
    assert page.curve is None
    assert "Percentile" not in page.footnote
