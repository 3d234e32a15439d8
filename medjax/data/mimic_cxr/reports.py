"""The free-text reports of MIMIC-CXR: a folder of text files, its zip, or a table of sections."""

import functools
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from medjax.data.mimic_cxr.report_rules import ReportRules
from medjax.data.paths import resolve_under
from medjax.data.reports import STORED, has_heads
from medjax.data.tables import integers, read_table
from medjax.data.xray.film import Film
from medjax.errors import UserError

MAX_BYTES = 1 << 18
"""Of a longer report the beginning is read; the longest ones published have 10 KB."""
LOOKED_AT = 200
"""Films whose report is looked for to tell whether the raw folder holds reports."""
_LETTER = re.compile(r"[^\W_]")
"""A letter or digit of any script."""
Fields = Mapping[str, str]


class Reports:
    """The report of each film's study, and what was wrong with those that were read."""

    def __init__(
        self, read: Callable[[Film], bytes | Fields | None], rules: ReportRules | None = None
    ) -> None:
        self._read, self._rules = read, rules or ReportRules()
        self._seen: set[int] = set()
        self._found: set[int] = set()
        self.faults: dict[str, set[int]] = {
            "not_utf8": set(),
            "cut": set(),
            "empty": set(),
            "without_sections": set(),
        }
        """Kind -> studies."""

    def of(self, film: Film) -> Fields:
        """Return the fields of the film's report, {} where it has none."""
        self._seen.add(film.study_id)
        report = self._read(film)
        if isinstance(report, bytes):
            report = self._fields(film.study_id, report)
        if report:
            self._found.add(film.study_id)
        return report or {}

    def _fields(self, study: int, data: bytes) -> Fields:
        """Decode and split a report; one without a word counts as absent."""
        if len(data) > MAX_BYTES:
            self.faults["cut"].add(study)
        text = data[:MAX_BYTES].decode("utf-8", "replace").replace("\r\n", "\n").replace("\0", "")
        if "\ufffd" in text.rstrip("\ufffd"):
            self.faults["not_utf8"].add(study)
        if _LETTER.search(text) is None:
            self.faults["empty"].add(study)
            return {}
        if not has_heads(text):
            self.faults["without_sections"].add(study)
        return self._rules.fields(study, text)

    def describe(self) -> dict[str, Any]:
        """The manifest's entry: studies, those with a report, and the kinds of faults."""
        faults = {kind: len(studies) for kind, studies in self.faults.items()}
        return {"studies": len(self._seen), "with_report": len(self._found), **faults}


def report_path(film: Film) -> str:
    """Path of a film's report, relative to the folder of the release."""
    subject = str(film.subject_id)
    return f"files/p{subject[:2]}/p{subject}/s{film.study_id}.txt"


def open_reports(path: Path | None, rules: ReportRules | None = None) -> Reports:
    """Return the reader of a folder, a zip or a CSV table; None: no film has a report.

    rules: how texts are cut; a table holds sections that are cut already.

    Raises:
        UserError: a damaged zip or table.
    """
    if path is None:
        return Reports(lambda film: None)
    if path.is_dir():
        return Reports(functools.partial(_from_folder, path), rules)
    if ".csv" in path.name:
        sections = read_sections(path)
        return Reports(lambda film: sections.get(film.study_id))
    return Reports(functools.partial(_from_zip, *_open_zip(path)), rules)


def find_reports(
    given: Path | None, raw: Path, table: Path | None, films: Iterable[Film]
) -> Path | None:
    """Return where the reports are: at `given`, else in `raw` by their usual names, else None.

    Raises:
        UserError: `given` does not exist.
    """
    if given is not None:
        if not given.exists():
            raise UserError(f"--reports={given}: no such folder, zip or table")
        return given
    for name in ("mimic-cxr-reports", "mimic-cxr-reports.zip"):
        if (raw / name).exists():
            return raw / name
    first = [film for _, film in zip(range(LOOKED_AT), films)]
    if any((raw / report_path(film)).is_file() for film in first):
        return raw
    return table


def read_sections(path: Path) -> dict[int, Fields]:
    """Read `mimic_cxr_sectioned.csv`: study ("s" + id) and sections -> study -> fields."""
    names = [name for name in STORED if name not in ("findings", "impression")]
    table = read_table(path, ("study", "findings", "impression"), names)
    study = table["study"].str.strip().str.removeprefix("s").rename("study")
    columns = {name: table[name].str.strip() for name in table.columns if name != "study"}
    rows = zip(integers(study, path).tolist(), *columns.values())
    return {number: dict(zip(columns, texts)) for number, *texts in reversed(list(rows))}


def _from_folder(folder: Path, film: Film) -> bytes | None:
    """Read one report of a folder that holds `files/` or is that folder."""
    relative = report_path(film)
    if folder.name == "files":
        relative = relative.removeprefix("files/")
    try:
        with open(resolve_under(folder, relative), "rb") as f:
            return f.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None


def _open_zip(path: Path) -> tuple[zipfile.ZipFile, dict[str, str]]:
    """Open a zip; also return report path -> name of the member, whatever folder it lies in."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as e:
        raise UserError(f"{path}: not a readable zip file ({e}); fetch it again") from e
    names = [name for name in archive.namelist() if name.endswith(".txt") and "files/" in name]
    return archive, {name[name.index("files/") :]: name for name in names}


def _from_zip(archive: zipfile.ZipFile, names: Mapping[str, str], film: Film) -> bytes | None:
    """Read one report of a zip, never more than its limit, whatever the member claims."""
    name = names.get(report_path(film))
    if name is None:
        return None
    try:
        with archive.open(name) as f:
            return f.read(MAX_BYTES + 1)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as e:
        raise UserError(f"{archive.filename}: {name} is damaged ({e}); fetch it again") from e
