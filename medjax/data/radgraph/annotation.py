"""RadGraph annotations: the entities of a report, what each says, and how they relate.

Three forms are read, all one JSON object of report -> {text, entities}: the release 1 (labels
"OBS-DP"), models of RadGraph-XL ("Observation::definitely present") and what the package radgraph
returns (numbers as keys). Labels are brought to those of release 1. Jain et al., arXiv 2106.14463;
Delbrouck et al., Findings of ACL 2024.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from medjax import files
from medjax.errors import UserError

ANATOMY = "ANAT-DP"
PRESENT, UNCERTAIN, ABSENT = "OBS-DP", "OBS-U", "OBS-DA"
MODIFY, LOCATED_AT, SUGGESTIVE_OF = "modify", "located_at", "suggestive_of"
LABELS = (ANATOMY, PRESENT, UNCERTAIN, ABSENT)
_DEGREES = {"definitely present": PRESENT, "uncertain": UNCERTAIN, "definitely absent": ABSENT}
MEASUREMENT = "measurement"


class Entity(NamedTuple):
    """A stretch of words."""

    id: str
    tokens: str
    """The words, joined by blanks, in the case of the report."""
    label: str
    """One of LABELS."""
    start: int
    """Number of its first word in the report, from 0."""
    end: int
    """Number of its last word."""
    relations: tuple[tuple[str, str], ...]
    """(relation, id of the entity that it points at)."""


class Annotation(NamedTuple):
    """An annotated report."""

    key: str
    text: str
    """Words and punctuation parted by blanks."""
    entities: tuple[Entity, ...]


def common_label(label: str) -> str | None:
    """Return the label of release 1 that a label of any release means.

    None for a measured size, which is no observation. Anatomy is a place whatever is said of it.

    Raises:
        KeyError: no label of RadGraph.
    """
    if label in LABELS:
        return label
    kind, _, said = label.partition("::")
    inner, _, degree = said.rpartition("::")
    known = kind in ("Observation", "Anatomy") and inner in ("", MEASUREMENT)
    if not known or degree not in _DEGREES:
        raise KeyError(label)
    if inner:
        return None
    return _DEGREES[degree] if kind == "Observation" else ANATOMY


def read_annotations(path: Path) -> list[Annotation]:
    """Read a JSON file of annotations, in its order.

    Raises:
        UserError: not such a file; names the report that is wrong.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        told = e.strerror if isinstance(e, OSError) else e
        raise UserError(f"{path}: not a readable JSON file ({told})") from e
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object of report -> {{text, entities}}")
    try:
        return [annotation_of(str(key), report) for key, report in content.items()]
    except UserError as e:
        raise UserError(f"{path}: {e}") from None


def annotation_of(key: str, report: Mapping[str, Any]) -> Annotation:
    """Read one report.

    A report with two annotators, as in the test set of release 1, is read as the first.

    Raises:
        UserError: a missing field, an unknown label, a relation to no entity.
    """
    try:
        first = report if "entities" in report else report.get("labeler_1", report)
        listed = first["entities"]
        entities = [_entity(str(number), entity) for number, entity in listed.items()]
        text = str(report["text"])
    except UserError as e:
        raise UserError(f"report {key!r}: {e}") from None
    except KeyError as e:
        raise UserError(f"report {key!r} is no RadGraph annotation: it lacks {e}") from None
    except (TypeError, ValueError, AttributeError):
        raise UserError(
            f"report {key!r} is no RadGraph annotation, an object of text and entities"
        ) from None
    kept = [entity for entity in entities if entity is not None]
    known = {entity.id for entity in entities if entity is not None}
    dropped = {str(number) for number in listed} - known
    for entity in kept:
        strange = [target for _, target in entity.relations if target not in known | dropped]
        if strange:
            raise UserError(f"report {key!r}: entity {entity.id} points at no entity {strange[0]}")
    if dropped:
        kept = [
            entity._replace(relations=tuple(r for r in entity.relations if r[1] in known))
            for entity in kept
        ]
    return Annotation(key, text, tuple(kept))


def _entity(number: str, entity: Mapping[str, Any]) -> Entity | None:
    given_label = str(entity["label"])
    try:
        label = common_label(given_label)
    except KeyError:
        raise UserError(f"entity {number} has {given_label!r}, no label of RadGraph") from None
    if label is None:
        return None
    given = (pair for pair in entity["relations"] if pair and pair[0] is not None)
    relations = tuple((str(relation), str(target)) for relation, target in given)
    return Entity(
        number,
        str(entity["tokens"]),
        label,
        int(entity["start_ix"]),
        int(entity["end_ix"]),
        relations,
    )


def write_annotations(path: Path, annotations: Iterable[Annotation]) -> None:
    """Write annotations in the form of release 1."""
    reports = {
        annotation.key: {
            "text": annotation.text,
            "entities": {
                entity.id: {
                    "tokens": entity.tokens,
                    "label": entity.label,
                    "start_ix": entity.start,
                    "end_ix": entity.end,
                    "relations": [list(relation) for relation in entity.relations],
                }
                for entity in annotation.entities
            },
        }
        for annotation in annotations
    }
    text = json.dumps(reports, ensure_ascii=False)
    files.write_text(path, text + "\n")


def study_of(key: str) -> str:
    """Return the study of a key "<split>/p<subject>/s<study>.txt"; another key as it is."""
    parts = key.split("/")
    if len(parts) == 3 and parts[2].endswith(".txt"):
        return parts[2][1:].partition(".")[0]
    return key
