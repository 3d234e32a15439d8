"""What a report says of findings that grow, shrink or stay, and pairs of such sentences."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CHANGES = {-1: "improving", 0: "stable", 1: "worsening"}
SIZES = ("", "small", "large")
"""By level."""
NAMES = {
    "consolidation": "consolidation",
    "edema": "pulmonary edema",
    "effusion": "pleural effusion",
    "pneumonia": "pneumonia",
    "pneumothorax": "pneumothorax",
}
FIRST = ("There is a {size} {what}.", "A {size} {what} is seen.", "{Size} {what}.")
NEW = ("There is a new {size} {what}.", "New {size} {what}.", "A {size} {what} is new.")
RESOLVED = (
    "The {what} has resolved.",
    "Resolved {what}.",
    "The {what} seen before is no longer visible.",
)
BY_CHANGE = {
    "improving": (
        "The {what} has decreased, now {size}.",
        "Improving {what}, now {size}.",
        "The {what} has improved and is {size}.",
        "The {what} is smaller, now {size}.",
    ),
    "stable": (
        "Unchanged {size} {what}.",
        "The {size} {what} is stable.",
        "The {size} {what} has not changed.",
        "Stable {size} {what}.",
    ),
    "worsening": (
        "The {what} has increased, now {size}.",
        "Worsening {what}, now {size}.",
        "The {what} has worsened and is {size}.",
        "The {what} is larger, now {size}.",
    ),
}
"""The sentences of a change; those of one row say the same."""
VERBS = {
    "improving": ("has decreased", "has improved"),
    "stable": ("is stable", "is unchanged"),
    "worsening": ("has increased", "has worsened"),
}
JOINED = (
    "The {a} {change_a} and the {b} {change_b}.",
    "The {a} {change_a} while the {b} {change_b}.",
)
ABSENT = ("No {what}.", "There is no {what}.", "No evidence of {what}.")
MENTIONED = 0.35
"""Share of the absent findings that are said to be absent."""
MEASURED = 0.15
"""Share of the first sentences on a pneumothorax that give its width."""
WITHOUT_IMPRESSION, WITHOUT_FINDINGS, WITHOUT_BOTH = 0.1, 0.08, 0.02
REASONS = ("cough", "dyspnea", "fever", "chest pain")


class Told(NamedTuple):
    """A finding at a visit."""

    kind: str
    """Key of NAMES."""
    side: str
    """"left", "right" or ""."""
    zone: str
    """"upper", "lower" or ""."""
    level: int
    """Of SIZES; 0: absent."""
    before: int | None
    """At the visit before; None: there was none."""

    @property
    def what(self) -> str:
        """Its name with side and place."""
        words = (self.side, self.zone, "lung" if self.zone else "", NAMES[self.kind])
        return " ".join(word for word in words if word)

    @property
    def change(self) -> str:
        """improving, stable or worsening; "" at a first visit or where it was never there."""
        if self.before is None or not (self.level or self.before):
            return ""
        return CHANGES[int(np.sign(self.level - self.before))]


def write_report(
    told: Sequence[Told], views: Sequence[str], first: bool, rng: np.random.Generator
) -> str:
    """Return the text of a report as MIMIC-CXR has them, one blank before every line.

    Args:
        told: the patient's findings.
        views: of the study.
        first: whether there is nothing to compare with.
        rng: draws the words.
    """
    portable = views[0] == "AP"
    u = rng.random(3)
    findings, impression = _findings(told, rng), _impression(told, rng)
    reason = REASONS[int(rng.integers(len(REASONS)))]
    sections = [
        ("EXAMINATION", "CHEST (PORTABLE AP)" if portable else "CHEST (PA AND LAT)"),
        ("INDICATION", f"___ year old with {reason}."),
        ("COMPARISON", "None." if first else "Chest radiograph from ___."),
    ]
    if u[0] < WITHOUT_BOTH:
        sections.append(("NOTIFICATION", "Please see the report of the CT of the same day."))
    else:
        if u[1] >= WITHOUT_FINDINGS:
            sections.append(("FINDINGS", findings))
        if u[1] < WITHOUT_FINDINGS or u[2] >= WITHOUT_IMPRESSION:
            sections.append(("IMPRESSION", impression))
    body = "".join(f" \n {head}:  {text}\n" for head, text in sections)
    return f"{' ' * 33}FINAL REPORT\n{body}"


def _findings(told: Sequence[Told], rng: np.random.Generator) -> str:
    """A sentence on each finding, and on some absent ones."""
    sentences = [sentence for found in told if (sentence := describe(found, rng))]
    there = {found.kind for found in told if found.level or found.before}
    lungs = {"consolidation", "pneumonia"}
    for kind, name in NAMES.items():
        related = lungs if kind in lungs else {kind}
        if not related & there and rng.random() < MENTIONED:
            sentences.append(_pick(ABSENT, rng).format(what=name))
    if not there:
        sentences.append("The lungs are clear.")
    return " ".join(sentences[i] for i in rng.permutation(len(sentences)))


def _impression(told: Sequence[Told], rng: np.random.Generator) -> str:
    """The changes again, of two findings in one sentence; or what there is."""
    changed = [found for found in told if found.change]
    if len(changed) == 2:
        a, b = (changed[i] for i in rng.permutation(2))
        return join(a.what, a.change, b.what, b.change, rng)
    there = [found for found in told if found.level or found.change]
    if not there:
        return "No acute cardiopulmonary process."
    return " ".join(describe(found, rng) for found in there)


def describe(found: Told, rng: np.random.Generator) -> str:
    """Return a sentence on a finding, "" where it never was."""
    size = SIZES[found.level]
    words = {"what": found.what, "size": size, "Size": size.capitalize()}
    if not found.level:
        return _pick(RESOLVED, rng).format(**words) if found.before else ""
    if found.before is None:
        sentence = _pick(FIRST, rng).format(**words)
        if found.kind == "pneumothorax" and rng.random() < MEASURED:
            sentence += f" It measures {found.level + 0.5:.1f} cm."
        return sentence
    if not found.before:
        return _pick(NEW, rng).format(**words)
    return _pick(BY_CHANGE[found.change], rng).format(**words)


def join(a: str, change_a: str, b: str, change_b: str, rng: np.random.Generator) -> str:
    """Return one sentence on the changes of two findings."""
    return _pick(JOINED, rng).format(
        a=a, change_a=_pick(VERBS[change_a], rng), b=b, change_b=_pick(VERBS[change_b], rng)
    )


def sentence_pairs(rng: np.random.Generator) -> list[tuple[str, str, str, str]]:
    """Return (sentence, sentence, category, subset) of paraphrases and contradictions.

    In the subset "RadGraph" other words tell the same change, or the opposite one. In "swaps" both
    sentences of every pair have the same words: only their order tells what has grown.
    """
    things = [
        Told(kind, side, zone, level, 1)
        for kind, zones in (("consolidation", ("lower",)), ("pneumonia", ("lower",)),
                            ("effusion", ("",)), ("pneumothorax", ("",)))
        for side in ("left", "right")
        for zone in zones
        for level in (1, 2)
    ] + [Told("edema", "", "", level, 1) for level in (1, 2)]  # fmt: skip
    pairs = []
    for thing in things:
        words = {"what": thing.what, "size": SIZES[thing.level]}
        for change, other in (("improving", "worsening"), ("worsening", "improving")):
            a, b = rng.permutation(len(BY_CHANGE[change]))[:2]
            first = BY_CHANGE[change][a].format(**words)
            pairs.append((first, BY_CHANGE[change][b].format(**words), "paraphrase", "RadGraph"))
            opposite = _pick(BY_CHANGE[other], rng).format(**words)
            pairs.append((first, opposite, "contradiction", "RadGraph"))
    names = list(dict.fromkeys(thing.what for thing in things))
    for a, b in itertools.combinations(names, 2):
        better, worse = _pick(VERBS["improving"], rng), _pick(VERBS["worsening"], rng)
        form = _pick(JOINED, rng)
        said = form.format(a=a, change_a=better, b=b, change_b=worse)
        turned = form.format(a=b, change_a=worse, b=a, change_b=better)
        swapped = form.format(a=b, change_a=better, b=a, change_b=worse)
        pairs += [(said, turned, "paraphrase", "swaps"), (said, swapped, "contradiction", "swaps")]
    return [pairs[i] for i in rng.permutation(len(pairs))]


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
