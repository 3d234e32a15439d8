"""Sections of reports: nothing is lost, odd texts do no harm."""

import pytest

from medjax.data.reports import FIELDS, common_name, has_heads, report_fields, split_sections

REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___F with cough.

 COMPARISON:  None.

 FINDINGS:

 Lungs are clear. Ratio 3:1. Note: heart normal.

 IMPRESSION:

 No acute process.
"""


def test_sections_of_a_report():
    fields = report_fields(REPORT)
    assert set(fields) == set(FIELDS)
    assert fields["findings"] == "Lungs are clear. Ratio 3:1. Note: heart normal."
    assert fields["impression"] == "No acute process."
    assert fields["indication"] == "___F with cough."
    assert fields["last_paragraph"] == "" and fields["text"] == REPORT.strip()


@pytest.mark.parametrize("text", [REPORT, "", "no heads at all", "\n FINDINGS: ", "\n A: b\n B: c"])
def test_sections_lie_where_they_start(text):
    for section in split_sections(text):
        assert text[section.start :].startswith(section.text)


@pytest.mark.parametrize(
    ("text", "has"),
    [
        (REPORT, True),
        ("\n IMPRESSION: \n", True),
        ("\n A: b\n \n c", True),
        ("", False),
        (" FINDINGS: on the first line", False),
        ("\nFINDINGS: without a blank", False),
        ("one\n \n two: paragraphs", False),
    ],
)
def test_a_report_without_heads_is_one_section(text, has):
    assert has_heads(text) is has
    assert (split_sections(text)[0].name != "full report") is has


def test_the_last_paragraph_stands_in_for_findings():
    text = (
        REPORT[: REPORT.index(" FINDINGS")].rstrip("\n") + " A tube ends high.\n \n Lungs clear.\n"
    )
    fields = report_fields(text)
    assert fields["last_paragraph"] == "Lungs clear."
    assert fields["comparison"] == "None. A tube ends high."


def test_of_equal_sections_the_last_counts():
    assert report_fields("\n FINDINGS: one\n FINDINGS: two")["findings"] == "two"
    assert report_fields("\n FINDINGS: one\n FINDINGS: \n")["findings"] == "one"


def test_a_truncated_indication_is_no_impression():
    assert common_name("NDICATION") == "indication"
    assert common_name("NDICATION", "impression") == "impression"
