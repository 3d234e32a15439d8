"""The published table of whole texts, which nothing reads: `all_text.csv` of every report.

It joins sections that are long enough. As published, what a report too short to be listed left
behind is put before the next report's text.
"""

from collections.abc import Iterable, Mapping

MORE_THAN = {"impression": 2, "findings": 3, "last_paragraph": 6, "comparison": 6}
"""Words that a section must exceed."""
LEAST_WORDS = 3


def all_texts(
    reports: Iterable[tuple[str, Mapping[str, str]]], clear_short_reports: bool = True
) -> list[tuple[str, str]]:
    """Return (study, text) of the reports that are long enough.

    Args:
        reports: study and its sections, "" where there is none.
        clear_short_reports: whether a report that is not listed leaves nothing behind.
    """
    listed: list[tuple[str, str]] = []
    text = ""
    for study, sections in reports:
        for name, words in MORE_THAN.items():
            section = sections.get(name) or "nan"
            long = len(section.split()) > words
            text += section if long else ""
            if name == "impression" or (long and name != "comparison"):
                text += " "
        enough = len(text.split()) >= LEAST_WORDS
        if enough:
            listed.append((study, text))
        if enough or clear_short_reports:
            text = ""
    return listed
