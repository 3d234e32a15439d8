"""Sections of a radiology report, by the rules with which MedST and MGCA read MIMIC-CXR.

The rules are those of the section parser published with MIMIC-CXR: a head stands on a line of its
own after one blank, in capitals, and ends in a colon; its name is brought to a common one.
"""

import re
from typing import NamedTuple

HEAD = re.compile(r"\n ([A-Z ()/,-]+):\s")
WHOLE = "full report"
STORED = (
    *("examination", "indication", "history", "technique", "comparison"),
    *("findings", "impression", "last_paragraph"),
)
"""Sections that are stored by name; all others stand in the whole text."""
FIELDS = (*STORED, "text")
KEPT_NAMES = (
    *("preamble", "impression", "comparison", "indication", "findings", "examination", "technique"),
    *("history", "notification", "addendum", "date", "comment", "wet read", "recommendations"),
)
SYNONYMS = {
    "comparison": (
        *("comparisons", "reference exam", "comparison exam", "comparison film"),
        *("comparision", "comparsion", "comparrison", "comparisions"),
    ),
    "history": ("clinical history", "clinical information", "patient history", "pfi"),
    "indication": (
        *("reason for examination", "reason for exam", "clinical indication", "idication"),
    ),
    "examination": ("exam", "type of examination"),
    "impression": (
        *("conclusion", "findings and impression", "findings/impression", "findings/ impression"),
        *("impresson", "imprression", "imoression", "impressoin", "imprssion", "impresion"),
        *("imperssion", "mpression", "impession"),
    ),
    "findings": (
        *("chest, two views", "finding", "findins", "findindgs", "findgings", "findngs"),
        *("findnings", "finidngs", "reference findings"),
    ),
    "recommendations": ("recommendation(s)", "recommendation"),
    "wet read": ("wetread",),
}
TRUNCATED = "ndication"
"""A head that lost its first letter; the published parser takes it for an impression."""
CONTAINED = ("impression", "findings", "history", "comparison", "addendum")
VIEWS = (
    *("chest", "portable", "pa and lateral", "lateral and pa", "ap and lateral", "lateral and ap"),
    *("frontal and", "two views", "frontal view", "pa view", "ap view", "one view", "lateral view"),
    *("bone window", "frontal upright", "frontal semi-upright", "ribs", "pa and lat"),
)
"""A head that names views holds the findings."""
_NAME_OF = {name: name for name in KEPT_NAMES} | {
    synonym: name for name, synonyms in SYNONYMS.items() for synonym in synonyms
}


class Section(NamedTuple):
    """A part of a report."""

    name: str
    text: str
    start: int
    """Place of its first character in the report."""


def common_name(head: str, truncated_indication: str = "indication") -> str:
    """Return the common name of a section head, the head in small letters where it has none.

    `truncated_indication` is the section to which the head "ndication" belongs ("impression" in the
    published parser).
    """
    name = head.lower().strip()
    if name == TRUNCATED:
        return truncated_indication
    if name in _NAME_OF:
        return _NAME_OF[name]
    contained = next((word for word in CONTAINED if word in name), None)
    if contained is not None:
        return contained
    return "findings" if any(view in name for view in VIEWS) else name


def has_heads(text: str) -> bool:
    """Tell whether a report has sections; one without is a single section, "full report"."""
    return HEAD.search(text) is not None


def split_sections(text: str, truncated_indication: str = "indication") -> list[Section]:
    """Cut a report into its sections, in order.

    Text before the first head is the section "preamble"; a report without heads is one section,
    "full report". Empty findings and impressions are dropped. Without either, what follows the
    first empty line of the last section becomes the section "last_paragraph".
    """
    sections = _cut(text, truncated_indication)
    kept = [s for s in sections if s.name not in ("findings", "impression") or s.text.strip()]
    if not {"findings", "impression"} & {s.name for s in kept} and kept:
        before, gap, after = kept[-1].text.partition("\n \n")
        if gap:
            last = kept.pop()
            kept.append(last._replace(text=before))
            kept.append(Section("last_paragraph", after, last.start + len(before)))
    return kept


def _cut(text: str, truncated_indication: str) -> list[Section]:
    """Cut at the heads alone. The rest of a head's own line never holds the next head."""
    head = HEAD.search(text)
    if head is None:
        return [Section(WHOLE, text, 0)]
    sections = [Section("preamble", text[: head.start(1)], 0)]
    while head is not None:
        name, start = common_name(head[1], truncated_indication), head.end()
        head = HEAD.search(text, max(text.find("\n", start), start))
        end = len(text) if head is None else head.start()
        sections.append(Section(name, text[start:end], start))
    return sections


def report_fields(text: str, truncated_indication: str = "indication") -> dict[str, str]:
    """Return the FIELDS of a report: its stored sections, stripped, and the whole text.

    Of sections with one name the last counts, as published; an absent one is "".
    """
    sections = split_sections(text, truncated_indication)
    last = {section.name: section.text.strip() for section in sections}
    return {name: last.get(name, "") for name in STORED} | {"text": text.strip()}
