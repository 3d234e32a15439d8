"""How the replication's notebook labels reports: by the names of entities as substrings.

Negation is not heard ("no effusion" is a positive), nor are other forms of a word. It is kept for
`cmtalha.labels = "substring"`; the default reads labels from annotations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

ENTITIES = (
    "opacity",
    "pneumothorax",
    "cardiomegaly",
    "effusion",
    "consolidation",
    "atelectasis",
)
NEGATIONS = ("no ", "without ", "absent ", "rule out ")
"""Right before an entity, anywhere in a report, they make it absent."""


def substring_labels(reports: Sequence[str], entities: Sequence[str] = ENTITIES) -> np.ndarray:
    """Return float32 [report, entity]: 1 where the entity's name is in the lower-cased report."""
    lowered = [report.lower() for report in reports]
    found = [[entity.lower() in report for entity in entities] for report in lowered]
    return np.array(found, np.float32).reshape(len(reports), len(entities))


def rule_triplets(report: str, annotation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return {"entity", "exist"} of every observation of a report, in the annotation's order.

    exist is 0 where a negation stands right before the entity's words, else 1; what the annotation
    itself says of existence is not heard.

    annotation: RadGraph's entities by id, each with "tokens" and "label".
    """
    lowered = report.lower()
    found = []
    for entity in annotation.values():
        if "observation" in str(entity["label"]).lower():
            words = str(entity["tokens"]).lower()
            negated = any(negation + words in lowered for negation in NEGATIONS)
            found.append({"entity": words, "exist": 0 if negated else 1})
    return found
