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
LIKELY = (
    "Findings consistent with {what}.",
    "Findings suggesting {what}.",
    "This opacity can represent {what}.",
    "Findings are most compatible with {what}.",
)
"""What an impression says of a pneumonia, in the words of RSNA's prompts."""
NAMED = 0.7
"""Share of the impressions on a pneumonia that say so; in half of them without its place."""
BY_CHANGE = {
    "improving": (
        "The {what} has decreased.",
        "Improving {what}.",
        "The {what} has improved.",
        "The {what} is smaller.",
    ),
    "stable": (
        "Unchanged {size} {what}.",
        "The {size} {what} is stable.",
        "The {size} {what} has not changed.",
        "Stable {size} {what}.",
    ),
    "worsening": (
        "The {what} has increased.",
        "Worsening {what}.",
        "The {what} has worsened.",
        "The {what} is larger.",
    ),
}
"""The sentences of a change; those of one row say the same. Only films tell that what has shrunk
is small and what has grown is large."""
VERBS = {
    "improving": ("has decreased", "has improved"),
    "first": ("is {size}",),
    "stable": ("remains {size}", "stays {size}"),
    "worsening": ("has increased", "has worsened"),
    "resolved": ("has resolved", "has cleared"),
    "new": ("has appeared", "has developed"),
}
"""By `Told.course`."""
OPPOSITE = (("improving", "worsening"), ("resolved", "new"))
JOINED = (
    "The {a} {change_a} and the {b} {change_b}.",
    "The {a} {change_a} while the {b} {change_b}.",
)
ABSENT = (
    "No {what}.",
    "There is no {what}.",
    "No evidence of {what}.",
    "No evidence of acute {what}.",
    "No signs of {what}.",
)
CLEAR = (
    "No acute cardiopulmonary process.",
    "There is no pneumonia.",
    "No evidence of pneumonia.",
    "No evidence of acute pneumonia.",
    "No signs of pneumonia.",
)
"""Impressions of films that show nothing."""
MENTIONED = 0.5
"""Share of the absent findings that are said to be absent."""
PLACES = {
    "consolidation": ("upper", "lower"),
    "pneumonia": ("upper", "lower"),
    "effusion": ("",),
    "pneumothorax": ("apical",),
    "edema": ("",),
}
"""Kind of finding -> zones of a lung that it may lie in."""
PARAPHRASES = 2
"""Pairs of sentences on a finding and its change."""
MEASURED = 0.15
"""Share of the first sentences on a pneumothorax that give its width."""
WITHOUT_IMPRESSION, WITHOUT_FINDINGS, WITHOUT_BOTH = 0.1, 0.5, 0.02
REASONS = ("cough", "dyspnea", "fever", "chest pain")


class Told(NamedTuple):
    """A finding at a visit."""

    kind: str
    """Key of NAMES."""
    side: str
    """"left", "right" or "bilateral"."""
    zone: str
    """"upper", "lower", "apical" or ""."""
    level: int
    """Of SIZES; 0: absent."""
    before: int | None
    """At the visit before; None: there was none."""

    @property
    def what(self) -> str:
        """Its name with side and place, three words whatever it is."""
        words = (self.side, self.zone, NAMES[self.kind])
        return " ".join(word for word in words if word)

    @property
    def change(self) -> str:
        """improving, stable or worsening; "" at a first visit or where it was never there."""
        if self.before is None or not (self.level or self.before):
            return ""
        return CHANGES[int(np.sign(self.level - self.before))]

    @property
    def course(self) -> str:
        """The change, or "first", "new" or "resolved"; "" where it was never there."""
        if self.level and not self.before:
            return "first" if self.before is None else "new"
        return self.change if self.level else "resolved" if self.before else ""


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
    """The findings again, two of them in one sentence."""
    there = [found for found in told if found.course]
    if not there:
        return _pick(CLEAR, rng)
    sentences = [describe(found, rng) for found in there]
    if len(there) == 2:
        a, b = (there[i] for i in rng.permutation(2))
        verbs = (_pick(VERBS[f.course], rng).format(size=SIZES[f.level]) for f in (a, b))
        sentences = [join(_pick(JOINED, rng), (a.what, b.what), *verbs)]
    for found in told:
        if found.kind == "pneumonia" and found.level and rng.random() < NAMED:
            what = found.what if rng.random() < 0.5 else NAMES[found.kind]
            sentences.append(_pick(LIKELY, rng).format(what=what))
    return " ".join(sentences)


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


def join(form: str, things: tuple[str, str], first: str, second: str) -> str:
    """Return one sentence, of JOINED, on two findings and what each did."""
    return form.format(a=things[0], change_a=first, b=things[1], change_b=second)


def sentence_pairs(rng: np.random.Generator) -> list[tuple[str, str, str, str]]:
    """Return (sentence, sentence, category, subset) of paraphrases and contradictions.

    In the subset "RadGraph" other words tell the same change, or the opposite one. In "swaps" both
    sentences of every pair have the same words: only their order tells what did which.
    """
    things = [
        Told(kind, side, zone, 1, 1)
        for kind, zones in PLACES.items()
        for side in (("left", "right") if kind != "edema" else ("bilateral",))
        for zone in zones
    ]
    pairs = []
    for thing in things:
        for change, other in (("improving", "worsening"), ("worsening", "improving")):
            told = [form.format(what=thing.what) for form in BY_CHANGE[change]]
            alike = list(itertools.combinations(told, 2))
            for a, b in (alike[i] for i in rng.permutation(len(alike))[:PARAPHRASES]):
                opposite = _pick(BY_CHANGE[other], rng).format(what=thing.what)
                pairs.append((a, b, "paraphrase", "RadGraph"))
                pairs.append((a, opposite, "contradiction", "RadGraph"))
    for first, second in itertools.combinations(things, 2):
        if not may_coexist(first, second):
            continue
        there, back = (first.what, second.what), (second.what, first.what)
        for courses in OPPOSITE:
            one, other = (_pick(VERBS[course], rng) for course in courses)
            form = _pick(JOINED, rng)
            said, turned = join(form, there, one, other), join(form, back, other, one)
            swapped = join(form, back, one, other)
            pairs.append((said, turned, "paraphrase", "swaps"))
            pairs.append((said, swapped, "contradiction", "swaps"))
    return [pairs[i] for i in rng.permutation(len(pairs))]


def may_coexist(first: Told, second: Told) -> bool:
    """Whether a patient may have both: fluid on both sides, else findings of two kinds."""
    kinds = {"consolidation" if t.kind == "pneumonia" else t.kind for t in (first, second)}
    return len(kinds) == 2 or (kinds == {"effusion"} and first.side != second.side)


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
