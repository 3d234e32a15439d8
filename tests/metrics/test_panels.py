"""Texts of a page of panels are broken by their measured width, and lose nothing."""

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from medjax.metrics.panels import shorten, shown, wrap

TITLE = "Precision and recall: in-hospital mortality from time series and film, validation split"


def drawn_inches(line: str, size: float) -> float:
    figure = Figure(figsize=(5, 1), dpi=600)  # at few dots an inch glyphs snap to whole dots
    text = figure.text(0, 0, line, fontsize=size, parse_math=False)
    return text.get_window_extent(FigureCanvasAgg(figure).get_renderer()).width / figure.dpi


@pytest.mark.parametrize("text", [TITLE, TITLE.upper(), "W" * 80, "a $b$ " + "i" * 300, ""])
@pytest.mark.parametrize("inches", [0.9, 4.7])
def test_no_line_is_wider_than_asked_and_no_character_is_lost(text, inches):
    lines = wrap(text, inches, 9).split("\n")
    assert all(drawn_inches(line, 9) <= 1.05 * inches for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_lines_break_between_words_and_no_earlier_than_needed():
    lines = wrap(TITLE, 3, 9).split("\n")
    assert " ".join(lines) == TITLE
    for line, following in itertools.pairwise(lines):
        assert drawn_inches(f"{line} {following.split()[0]}", 9) > 0.95 * 3


def test_only_what_does_not_fit_is_shortened():
    assert shorten("Shock", 3, 7.5) == "Shock"
    cut = shorten(TITLE, 3, 7.5)
    assert cut.endswith(" \N{HORIZONTAL ELLIPSIS}")
    assert TITLE.startswith(cut[:-2])
    assert drawn_inches(cut, 7.5) <= 1.05 * 3


def test_names_are_shown_as_words():
    assert shown("Pleural_Thickening") == "Pleural Thickening"
    assert shown("type=acute") == "acute"
    assert shown("FEV1 <= 0.7") == "FEV1 <= 0.7"
