"""Reports whose text stands elsewhere, by the user's rules."""

import json

import pytest

from medjax.data.mimic_cxr.report_rules import read_rules
from medjax.data.prepared import open_set, read_manifest
from medjax.errors import UserError
from medjax.prepare import main
from tests.data.mimic_cxr.conftest import make_raw

TEXT = "\n NDICATION: cough.\n FINDINGS: clear.\n RECOMMENDATION(S): CT of the chest.\n"
LISTED = {"section": {"s7": "recommendations", "9": "wet read"}, "indices": {"s8": [1, 10]}}


def written(folder, rules):
    path = folder / "rules.json"
    path.write_text(json.dumps(rules))
    return path


def test_listed_studies_are_kept_with_the_text_of_their_rule(tmp_path):
    rules = read_rules(written(tmp_path, LISTED))
    assert rules.fields(7, TEXT)["impression"] == "CT of the chest."
    assert rules.fields(7, TEXT)["findings"] == "" and rules.fields(7, TEXT)["text"] == TEXT.strip()
    assert rules.fields(8, TEXT)["impression"] == TEXT[1:10].strip()
    assert rules.fields(9, TEXT)["impression"] == ""
    other = rules.fields(10, TEXT)
    assert (other["findings"], other["impression"]) == ("clear.", "")
    assert other["indication"] == "cough."


def test_as_published_they_have_no_sections_and_a_cut_head_is_an_impression(tmp_path):
    rules = read_rules(written(tmp_path, LISTED), published=True)
    for study in (7, 8, 9):
        fields = rules.fields(study, TEXT)
        assert fields.pop("text") == TEXT.strip() and not any(fields.values())
    assert rules.fields(10, TEXT)["impression"] == "cough."


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([], "expects"),
        ({"sections": {}}, "'sections' is none of section, indices"),
        ({"section": {"x": "findings"}}, "no study such as"),
        ({"section": {"s1": 3}}, "the rule of s1 expects a name"),
        ({"indices": {"s1": [5, 2]}}, "two places"),
        ({"indices": {"s1": [0, 1.5]}}, "two places"),
    ],
)
def test_wrong_rules_are_named(tmp_path, rules, says):
    with pytest.raises(UserError, match=says):
        read_rules(written(tmp_path, rules))
    with pytest.raises(UserError, match="JSON"):
        read_rules(tmp_path / "absent.json")


def test_the_command_applies_them(tmp_path):
    raw = tmp_path / "raw"
    row = make_raw(raw)[0]
    subject, study = str(row["subject_id"]), row["study_id"]
    report = raw / f"files/p{subject[:2]}/p{subject}/s{study}.txt"
    report.write_text(TEXT)
    path = written(tmp_path, {"section": {f"s{study}": "recommendations"}})
    for compat, impression, kept in (("default", "CT of the chest.", "kept"),
                                     ("published", "", "skipped")):  # fmt: skip
        out = tmp_path / compat
        options = (f"--raw={raw}", f"--out={out}", "--workers=1", f"--compat={compat}")
        assert main(["mimic_cxr", *options, f"--custom_rules={path}"]) == 0
        films = [film for of in open_set(out, "xray").splits.values() for film in of]
        assert {f["report"]["impression"] for f in films if f["study_id"] == study} == {impression}
        assert read_manifest(out)["fields"]["custom_section_studies"] == kept
        assert "rules.json" in read_manifest(out)["inputs"]
