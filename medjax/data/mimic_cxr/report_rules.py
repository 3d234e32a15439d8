"""Reports of MIMIC-CXR whose text stands elsewhere than under a head of findings or impression.

The section parser published with MIMIC-CXR lists such studies: some by the section that holds their
text, some by the place of its first and last character. A file of such rules is given by the user:

    {"section": {"s50000001": "recommendations"}, "indices": {"s50000002": [201, 349]}}
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from medjax.data.reports import STORED, report_fields, split_sections
from medjax.errors import UserError

KINDS = ("section", "indices")
LISTED = ("kept", "skipped")


class ReportRules(NamedTuple):
    """How reports are cut; the defaults are ours."""

    truncated_indication: str = "indication"
    """The section to which the head "ndication" belongs; published "impression"."""
    section: Mapping[int, str] = {}
    """Study -> name of the section that holds its text."""
    indices: Mapping[int, tuple[int, int]] = {}
    """Study -> the stretch of its report that does."""
    listed: str = "kept"
    """Whether these texts become impressions, or, as published, the studies have no sections."""

    def fields(self, study: int, text: str) -> dict[str, str]:
        """Return the fields of a study's report, as `report_fields` does."""
        if study not in self.section and study not in self.indices:
            return report_fields(text, self.truncated_indication)
        fields = dict.fromkeys(STORED, "") | {"text": text.strip()}
        if self.listed == "kept":
            fields["impression"] = self._listed_text(study, text).strip()
        return fields

    def _listed_text(self, study: int, text: str) -> str:
        if study in self.indices:
            start, end = self.indices[study]
            return text[start:end]
        sections = split_sections(text, self.truncated_indication)
        of_name = [s.text for s in sections if s.name == self.section[study]]
        return of_name[-1] if of_name else ""


def read_rules(path: Path | None, published: bool = False) -> ReportRules:
    """Read a file of rules, if there is one.

    Raises:
        UserError: no such file, no JSON of that form, or a rule of another one.
    """
    rules = ReportRules("impression", listed="skipped") if published else ReportRules()
    if path is None:
        return rules
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise UserError(f"{path}: no readable JSON ({str(e)[:80]})") from e
    if not isinstance(given, dict) or not all(isinstance(given.get(k, {}), dict) for k in KINDS):
        raise UserError(f'{path}: expects {{"section": {{...}}, "indices": {{...}}}}')
    unknown = sorted(set(given) - set(KINDS))
    if unknown:
        raise UserError(f"{path}: {unknown[0]!r} is none of {', '.join(KINDS)}")
    section = {
        _study(study, path): _checked(study, name, isinstance(name, str), "a name", path)
        for study, name in given.get("section", {}).items()
    }
    indices = {
        _study(study, path): tuple(
            _checked(study, pair, _is_stretch(pair), "two places such as [201, 349]", path)
        )
        for study, pair in given.get("indices", {}).items()
    }
    return rules._replace(section=section, indices=indices)


def _study(text: str, path: Path) -> int:
    number = text.strip().removeprefix("s")
    if not (number.isascii() and number.isdecimal() and len(number) <= 18):
        raise UserError(f"{path}: {text!r} is no study such as s50000001")
    return int(number)


def _is_stretch(pair: Any) -> bool:
    whole = isinstance(pair, list) and len(pair) == 2 and all(type(i) is int for i in pair)
    return whole and 0 <= pair[0] <= pair[1]


def _checked(study: str, value: Any, right: bool, expected: str, path: Path) -> Any:
    if not right:
        raise UserError(f"{path}: the rule of {study} expects {expected}, not {value!r}")
    return value
