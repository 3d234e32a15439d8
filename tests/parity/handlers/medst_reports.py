"""Parity of the sections of reports."""

import numpy as np

from medjax.data.reports import common_name, split_sections
from tests.parity.harness import Case, handles

SEPARATOR = "\x1f"
PUBLISHED = "impression"


@handles("medst", "section_text", config={"runner"})
def section_text(case: Case) -> dict[str, np.ndarray]:
    """Reports -> names, texts and starts of their sections, each list joined."""
    (reports,) = case.inputs.values()
    split = [split_sections(str(report), PUBLISHED) for report in reports]
    return {
        "section_names": _joined([[s.name for s in sections] for sections in split]),
        "sections": _joined([[s.text for s in sections] for sections in split]),
        "section_starts": _joined([[str(s.start) for s in sections] for sections in split]),
    }


@handles("medst", "normalize_names", config={"runner"})
def normalize_names(case: Case) -> dict[str, np.ndarray]:
    """Heads -> common names."""
    (names,) = case.inputs.values()
    return {"normalized": np.array([common_name(str(name), PUBLISHED) for name in names])}


def _joined(lists: list[list[str]]) -> np.ndarray:
    return np.array([SEPARATOR.join(texts) for texts in lists])
