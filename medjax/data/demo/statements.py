"""The SCP statements and the report that follow from the properties of an invented heart."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from medjax.data.demo.heart import Hearts, delayed


class Statement(NamedTuple):
    """One SCP code, the words of a report for it, and where it holds."""

    code: str
    english: str
    german: str
    diagnostic: bool
    """Diagnostic statements carry a likelihood; those of rhythm and form carry 0, unknown."""
    margin: Callable[[Hearts], np.ndarray]
    """Above 0 where the statement holds; 1 and more where nobody doubts it."""


def _if(condition: np.ndarray) -> np.ndarray:
    return np.where(condition, 1.0, -1.0)


def _sinus(hearts: Hearts, condition: np.ndarray) -> np.ndarray:
    return _if(condition & ~hearts.fibrillating)


def _block(hearts: Hearts, right: bool, low: float, high: float) -> np.ndarray:
    side = (hearts.right_block == right) & (hearts.qrs_ms >= low) & (hearts.qrs_ms < high)
    return np.where(side, (hearts.qrs_ms - low) / 8, -1)


# In the order in which a report names them; thresholds in ms, mV, degrees, beats a minute.
ABNORMAL = (
    Statement("IMI", "inferior infarct, old", "inferiorer infarkt alt", True,
              lambda h: _if(h.inferior_scar)),
    Statement("ASMI", "anteroseptal infarct, old", "anteroseptaler infarkt alt", True,
              lambda h: _if(h.anterior_scar)),
    Statement("CLBBB", "left bundle branch block", "linksschenkelblock", True,
              lambda h: _block(h, False, 120, np.inf)),
    Statement("CRBBB", "right bundle branch block", "rechtsschenkelblock", True,
              lambda h: _block(h, True, 120, np.inf)),
    Statement("IRBBB", "incomplete right bundle branch block",
              "inkompletter rechtsschenkelblock", True, lambda h: _block(h, True, 106, 120)),
    Statement("IVCD", "intraventricular conduction delay", "intraventrikulaere stoerung", True,
              lambda h: _block(h, False, 106, 120)),
    Statement("LAFB", "left anterior fascicular block", "linksanteriorer hemiblock", True,
              lambda h: (-30 - h.axis) / 15),
    Statement("1AVB", "first degree av block", "av-block i. grades", True,
              lambda h: np.where(h.fibrillating, -1, (h.pr_ms - 200) / 20)),
    Statement("LVH", "left ventricular hypertrophy", "linkshypertrophie", True,
              lambda h: (h.voltage - 1.7) / 0.3),
    Statement("ISCAL", "anterolateral ischaemia", "anterolaterale ischaemie", True,
              lambda h: (-0.15 - h.st_level) / 0.04),
    Statement("NST_", "non-specific st changes", "unspezifische st-veraenderung", True,
              lambda h: np.where(h.st_level < -0.15, -1, (-0.10 - h.st_level) / 0.04)),
    Statement("NDT", "t abnormalities", "t-wellen abnormal", True,
              lambda h: _if(h.t_wave < 0.08)),
)  # fmt: skip
FORM = (
    Statement("STD_", "st depression", "st-senkung", False, lambda h: -0.10 - h.st_level),
    Statement("INVT", "inverted t waves", "t-negativierung", False, lambda h: -h.t_wave),
    Statement("LVOLT", "low voltage", "niederspannung", False, lambda h: 0.72 - h.voltage),
    Statement("ABQRS", "abnormal qrs", "qrs abnormal", False, lambda h: _if(delayed(h))),
)
RHYTHM = (
    Statement("AFIB", "atrial fibrillation", "vorhofflimmern", False,
              lambda h: _if(h.fibrillating)),
    Statement("SBRAD", "sinus bradycardia", "sinusbradykardie", False,
              lambda h: _sinus(h, h.rate < 55)),
    Statement("STACH", "sinus tachycardia", "sinustachykardie", False,
              lambda h: _sinus(h, h.rate > 100)),
    Statement("SR", "sinus rhythm", "sinusrhythmus", False,
              lambda h: _sinus(h, (h.rate >= 55) & (h.rate <= 100))),
)  # fmt: skip
NORMAL = Statement("NORM", "normal ecg", "normales ekg", True,
                   lambda h: _if(np.all([s.margin(h) <= 0 for s in ABNORMAL], axis=0)))  # fmt: skip


def scp_statements(hearts: Hearts) -> list[dict[str, float]]:
    """SCP code -> likelihood in percent for every heart; every heart has at least two codes.

    The likelihood of a diagnostic statement grows with how clear it is; that of a statement about
    rhythm or form is 0, as in PTB-XL.
    """
    found: list[dict[str, float]] = [{} for _ in hearts.axis]
    for statement in (NORMAL, *ABNORMAL, *FORM, *RHYTHM):
        margin = statement.margin(hearts)
        likelihood = np.select([margin >= 1, margin >= 0.5, margin >= 0.25], [100.0, 80.0, 50.0],
                               35.0)  # fmt: skip
        for row in np.flatnonzero(margin > 0):
            found[row][statement.code] = float(likelihood[row]) if statement.diagnostic else 0.0
    return found


def report(codes: dict[str, float], german: bool) -> str:
    """The text of a report: rhythm first, then findings, then the verdict."""
    parts = [s for s in (*RHYTHM, *FORM, *ABNORMAL, NORMAL) if s.code in codes]
    if german:
        return " ".join(s.german for s in parts)
    return ". ".join(s.english for s in parts) + "."
