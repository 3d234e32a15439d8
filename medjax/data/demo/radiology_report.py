"""The report of an invented film, in sentences such as are dictated."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

HEDGED = 0.06
"""Share of the findings of which the report is not sure."""
MENTIONED = 0.6
"""Share of the absent findings that are said to be absent."""
UPPER, LOWER = 0.44, 0.55
"""Shares of a film's height above and below which a finding is in the upper or lower lung."""

SENTENCES = {
    "Consolidation": (
        "There is consolidation in the {side} {zone} lung.",
        "{Side} {zone} lung consolidation is seen.",
        "Dense consolidation in the {side} {zone} lung.",
    ),
    "Effusion": (
        "There is a moderate {side} pleural effusion.",
        "{Side} pleural effusion.",
        "A large {side} pleural effusion is present.",
    ),
    "Pneumothorax": (
        "There is a {side} apical pneumothorax.",
        "{Side} apical pneumothorax is noted.",
        "A pneumothorax is seen at the {side} apex.",
    ),
    "Mass": (
        "There is a mass in the {side} {zone} lung.",
        "A {side} {zone} lung mass is seen.",
        "{Side} {zone} lung mass.",
    ),
    "Cardiomegaly": (
        "There is cardiomegaly. The heart is enlarged.",
        "Cardiomegaly with an enlarged heart.",
    ),
    "Atelectasis": ("Bibasilar atelectasis.", "There is atelectasis at the lung bases."),
    "Edema": ("There is pulmonary edema.", "Diffuse pulmonary edema is seen."),
    "Pacemaker": ("A pacemaker is in place.", "Pacemaker device is seen."),
}
HEDGES = ("Possible {what}.", "{What} cannot be excluded.")
ABSENT = {
    "Consolidation": ("No focal consolidation.", "There is no consolidation."),
    "Effusion": ("No pleural effusion.", "Pleural effusion is not seen."),
    "Pneumothorax": ("No pneumothorax.", "There is no evidence of pneumothorax."),
    "Mass": ("No mass.", "There is no lung mass."),
    "Cardiomegaly": ("Heart size is normal. No cardiomegaly.", "There is no cardiomegaly."),
    "Atelectasis": ("No atelectasis.",),
    "Edema": ("No pulmonary edema.", "There is no edema."),
    "Pacemaker": ("No pacemaker.",),
}
LUNG_FINDINGS = {"Consolidation", "Effusion", "Pneumothorax", "Mass", "Atelectasis", "Edema"}
WORDS = {"Effusion": "pleural effusion", "Edema": "pulmonary edema"}


class Seen(NamedTuple):
    """A finding of a film."""

    finding: str
    side: str
    """"left" or "right" of the patient, "" where the place tells."""
    place: tuple[float, float]
    """Its middle, as shares of the film's width and height."""

    @property
    def words(self) -> dict[str, str]:
        """The words that a sentence takes."""
        x, y = self.place
        side = self.side or ("right" if x < 0.5 else "left")
        zone = "upper" if y < UPPER else "lower" if y > LOWER else "mid"
        return {"side": side, "Side": side.capitalize(), "zone": zone}


class Report(NamedTuple):
    """Its two sections."""

    findings: str
    impression: str


def write_report(seen: Sequence[Seen], rng: np.random.Generator) -> Report:
    """Write the report of a film."""
    sure = [found for found in seen if rng.random() >= HEDGED]
    sentences = [
        _sentence(SENTENCES[found.finding] if found in sure else HEDGES, found, rng)
        for found in seen
    ]
    there = {found.finding for found in seen}
    for finding, choices in ABSENT.items():
        mentioned, choice = rng.random(), rng.integers(len(choices))
        if finding not in there and mentioned < MENTIONED:
            sentences.append(choices[choice])
    if not there & LUNG_FINDINGS:
        sentences.append("The lungs are clear.")
    order = rng.permutation(len(sentences))
    findings = " ".join(sentences[i] for i in order)
    again = [_sentence(SENTENCES[found.finding], found, rng) for found in sure[:2]]
    return Report(findings, " ".join(again) if again else "" if seen else "No acute disease.")


def _sentence(choices: Sequence[str], found: Seen, rng: np.random.Generator) -> str:
    name = WORDS.get(found.finding, found.finding.lower())
    what = {"what": name, "What": name.capitalize()}
    return choices[int(rng.integers(len(choices)))].format(**found.words, **what)
