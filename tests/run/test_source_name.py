"""`SOURCE@which` is taken apart in one way everywhere."""

from pathlib import Path

import pytest

from medjax.run.source_name import SourceName, parse_source


@pytest.mark.parametrize(
    ("text", "name", "which"),
    [
        ("ehr", "ehr", "best"),
        ("ehr@last", "ehr", "last"),
        ("runs/a@120", "runs/a", 120),
        ("runs/me@home@7", "runs/me@home", 7),
        ("runs/me@home", "runs/me@home", "best"),
    ],
)
def test_the_last_at_sign_parts(text: str, name: str, which: str | int) -> None:
    assert parse_source(text) == SourceName(name, which)


def test_a_folder_of_that_very_name_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run@3").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_source("run@3") == SourceName("run@3", "best")
