"""Learning curves and writing pictures."""

import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from medjax.run.plots import learning_curves, metric_label, save_figure

ROWS = [
    *({"step": s, "split": "train", "loss": 1 / s} for s in range(1, 11)),
    {"step": 5, "split": "validation", "loss": 0.4, "auroc/macro": None},
    {"step": 8, "split": "validation", "loss": 0.5, "auroc/macro": 0.8},
    {"step": 10, "split": "validation", "loss": 0.3, "auroc/macro": 0.7},
]


def best(figure) -> str:
    labels = [t.get_text() for ax in figure.axes for t in ax.get_legend().get_texts()]
    return next(label for label in labels if label.startswith("best")).replace("\n", " ")


def test_one_panel_for_the_loss_and_one_for_the_monitor_with_the_best_marked():
    figure = learning_curves(ROWS, "auroc/macro", "fusion")
    assert [ax.get_ylabel() for ax in figure.axes] == ["Loss", "AUROC (macro)"]
    assert figure.axes[-1].get_xlabel() == "Training step"
    assert best(figure) == "best: 0.800 at step 8"
    undefined = figure.axes[1].lines[0].get_xydata()[0]
    assert undefined[0] == 5
    assert math.isnan(undefined[1])


def test_the_best_of_a_loss_is_its_lowest():
    figure = learning_curves(ROWS, "loss", "encoder", monitor_mode="min")
    assert len(figure.axes) == 1
    assert best(figure) == "best: 0.300 at step 10"


def test_long_traces_are_drawn_under_their_running_mean():
    rows = [{"step": s, "split": "train", "loss": float(s % 2)} for s in range(500)]
    raw, mean = (line.get_ydata() for line in learning_curves(rows, "auroc", "x").axes[0].lines)
    assert len(raw) == 500
    np.testing.assert_allclose(mean, 0.5)


@pytest.mark.parametrize("long", [False, True])
def test_the_legend_covers_nothing_and_lies_on_the_page(long):
    steps = range(1, 600 if long else 10)
    rows = [{"step": s, "split": "train", "loss": 1 / s} for s in steps]
    figure = learning_curves([*rows, *ROWS], "auroc/macro", "fusion")
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    for ax in figure.axes:
        legend = ax.get_legend().get_window_extent(renderer)
        assert legend.x0 >= ax.get_window_extent(renderer).x1
        assert legend.x1 <= figure.bbox.x1


def test_a_metric_that_was_never_defined_is_a_note_not_an_empty_panel():
    rows = [
        {"step": 1, "split": "train", "loss": 0.5},
        {"step": 1, "split": "validation", "loss": 0.4, "auroc/macro": None},
    ]
    figure = learning_curves(rows, "auroc/macro", "fusion")
    assert [ax.get_ylabel() for ax in figure.axes] == ["Loss"]
    assert "AUROC (macro): undefined in every evaluation" in figure.get_suptitle()


@pytest.mark.parametrize("level", [0.0, 0.3, 0.7512, 1.0])
def test_flat_rates_stay_flat(level):
    values = np.clip(level + np.array([0, 0.001, -0.001]), 0, 1)
    rows = [{"step": i, "split": "validation", "auroc": v} for i, v in enumerate(values)]
    low, high = learning_curves(rows, "auroc", "x").axes[0].get_ylim()
    assert high - low == pytest.approx(0.1)
    assert low < values.min()
    assert values.max() < high
    assert low >= -0.02
    assert high <= 1.02


def test_losses_and_wide_curves_keep_the_axis_of_their_values():
    flat = [{"step": i, "split": "train", "loss": 0.5 + 0.001 * i} for i in range(3)]
    wide = [{"step": i, "split": "validation", "auroc": 0.5 + 0.2 * i} for i in range(3)]
    loss, auroc = learning_curves([*flat, *wide], "auroc", "x").axes
    assert np.ptp(loss.get_ylim()) < 0.01
    assert np.ptp(auroc.get_ylim()) > 0.4


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("loss", "Loss"),
        ("auroc/macro", "AUROC (macro)"),
        ("auprc/Pleural_Thickening", "AUPRC (Pleural Thickening)"),
        ("auroc/type=acute", "AUROC (acute)"),
        ("calibration_error/micro", "Calibration error (micro)"),
    ],
)
def test_metric_labels_are_readable(name, label):
    assert metric_label(name) == label


def test_nothing_to_show_is_a_heading_not_an_error(tmp_path):
    figure = learning_curves([{"step": 1, "split": "train", "skipped": 1}], "auroc", "x")
    assert figure.axes == []
    assert "neither a loss nor AUROC was logged" in figure.get_suptitle()
    save_figure(figure, tmp_path / "empty.png")


def test_equal_figures_give_equal_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        save_figure(learning_curves(ROWS, "auroc/macro", "fusion"), tmp_path / name)
    first = (tmp_path / "a.png").read_bytes()
    assert first == (tmp_path / "b.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert b"Matplotlib" not in first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]
