"""Parity of the triplets of reports and of the labels made of them."""

import json
import tempfile
from pathlib import Path

import numpy as np

from medjax.data.radgraph.agreement import radgraph_f1
from medjax.data.radgraph.annotation import annotation_of, read_annotations, study_of
from medjax.data.radgraph.rules import PUBLISHED, Tools
from medjax.data.radgraph.statements import rows_of, statements_of
from medjax.data.radgraph.triplets import annotated_triplets, matrix_of
from medjax.systems.medklip.labels import existence, position_candidates
from tests.parity.harness import Case, ParityError, handles

LANGUAGE = {
    "sentence_split": "text is cut after each ' .'",
    "word_split": "whitespace",
    "lemma": "lemma_json, unlisted words stay",
}
"""What stands in for NLTK and spaCy in the recorded cases."""


def _tools(lemmas: dict[str, str]) -> Tools:
    def lemma(text: str) -> str:
        return " ".join(lemmas.get(word, word) for word in text.split())

    def recount(text: str) -> list[list[str]]:
        sentences = [f"{part} ." for part in text.split(" .")[:-1]] + text.split(" .")[-1:]
        return [sentence.split() for sentence in sentences]

    return Tools(lemma, recount)


@handles("medklip", "radgraph_to_labels", config=set(LANGUAGE))
def radgraph_to_labels(case: Case) -> dict[str, np.ndarray]:
    """RadGraph JSON as bytes -> number of rows, statements, matrices and labels by study."""
    if case.config != LANGUAGE:
        raise ParityError(f"{case.name}: other language tools than the handler knows")
    lemmas = json.loads(case.inputs["lemma_json"].tobytes())
    tools = _tools(lemmas)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "radgraph.json"
        path.write_bytes(case.inputs["radgraph_json"].tobytes())
        annotations = read_annotations(path)
    rows = set()
    for annotation in annotations:
        for s in statements_of(annotation, PUBLISHED, tools):
            rest = (s.anatomy, s.observation, s.label, s.modifiers, s.suggested_by, s.lemma)
            rows.add("\t".join((study_of(annotation.key), str(s.sentence), *rest)))
    triplets = annotated_triplets(annotations, PUBLISHED, tools)
    matrices = np.stack([matrix_of(found) for found in triplets.values()])
    return {
        "itemized_rows": np.array(sum(len(rows_of(a.entities)) for a in annotations)),
        "parsed_rows_json": np.frombuffer(json.dumps(sorted(rows)).encode(), np.uint8),
        "study_ids": np.array(list(triplets)),
        "adjacency": matrices,
        "exist_labels": existence(matrices),
    }


@handles("medklip", "triplet_labels", config={"python_seed"}, asserts={"position_index_example"})
def triplet_labels(case: Case) -> dict[str, np.ndarray]:
    """Matrices -> existence; the drawn candidates are checked for what they must be."""
    matrices, example = case.inputs["class_label"], case.expected["position_index_example"]
    generator = np.random.default_rng(case.config["python_seed"])
    labels = existence(matrices)
    for matrix, label in zip(matrices, labels):
        drawn = position_candidates(matrix, generator, example.shape[-1])
        if drawn.shape != example.shape[1:]:
            raise ParityError(f"{case.name}: candidates of shape {drawn.shape}")
        for entity, row in enumerate(drawn):
            others = row
            if label[entity] == 1:
                others = row[1:]
                if matrix[row[0], entity] != 1:
                    raise ParityError(f"{case.name}: entity {entity} is not present at slot 0")
            if len(set(others)) < len(others) or (matrix[others, entity] == 1).any():
                raise ParityError(f"{case.name}: entity {entity} has wrong other positions")
    return {"exist_labels": labels}


@handles("medklip", "radgraph_f1", config=())
def radgraph_rewards(case: Case) -> dict[str, np.ndarray]:
    """Pairs of annotations -> the three scores of each."""
    pairs = json.loads(case.inputs["pairs_json"].tobytes())
    scores = [
        radgraph_f1(annotation_of("hypothesis", one), annotation_of("reference", other))
        for one, other in pairs
    ]
    return {"simple_partial_complete": np.array(scores, np.float32)}
