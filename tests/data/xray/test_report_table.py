"""Reports of films without their pixels."""

import pytest

from medjax.data.prepared import open_set
from medjax.data.reports import FIELDS
from medjax.data.xray import report_table
from medjax.data.xray.film import Film
from medjax.data.xray.index import read_index
from medjax.data.xray.report_table import REPORTS, read_reports
from medjax.errors import UserError


def film(name: str) -> Film:
    return Film(name, f"{name}.png", "train", 1, 1, "PA", 0, ())


def test_reports_come_in_the_order_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(report_table, "ROWS", 3)
    with report_table.report_table(tmp_path) as reports:
        for i in range(8):
            reports.add(film(f"f{i}"), {"findings": f"Text {i}."} if i % 2 else {})
    found = read_reports(tmp_path, ["f5", "f2", "f7"], ("findings", "impression"))
    assert found["findings"].tolist() == ["Text 5.", "", "Text 7."]
    assert found["impression"].tolist() == ["", "", ""]
    assert read_reports(tmp_path, [], FIELDS).empty
    with pytest.raises(UserError, match="other films"):
        read_reports(tmp_path, ["f9"], ("findings",))


def test_a_table_that_was_not_finished_is_not_there(tmp_path):
    with pytest.raises(ValueError), report_table.report_table(tmp_path) as reports:
        reports.add(film("a"), {})
        raise ValueError
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="prepare the films again"):
        read_reports(tmp_path, ["a"], FIELDS)


def test_the_table_holds_what_the_records_hold(tmp_path, capsys):
    from medjax.data.demo.progression import write_progression
    from medjax.prepare import main

    write_progression(tmp_path / "raw", 6, 0, width=32)
    out = tmp_path / "out"
    arguments = (f"--raw={tmp_path / 'raw'}", f"--out={out}", "--workers=1", "--sizes=long32")
    assert main(["mimic_cxr", *arguments]) == 0
    assert (out / REPORTS).is_file()
    for split, records in open_set(out, "xray", fields=("report",)).splits.items():
        index = read_index(out, split)
        reports = read_reports(out, index.dicom_id.tolist(), FIELDS)
        expected = [records[i]["report"] for i in range(len(records))]
        assert reports.to_dict("records") == expected
