"""From RadGraph annotations to matrices, beside plain pandas.

    python -m tests.bench.triplets [--records=10000] [--pandas_records=1000]

Invented reports are annotated by the rule-based extractor. `ours` reads statements, positions and
entities of each and fills its matrix; `pandas` does the same in the three steps of the published
scripts: a table of rows, filters of it study by study and sentence by sentence, the matrix. Both
must agree. Prints CPU seconds a thousand records, then one line of JSON.
"""

import argparse
import json
import time

import numpy as np
import pandas as pd

from medjax.data.demo.radiology_report import Seen, write_report
from medjax.data.radgraph.annotation import PRESENT, Annotation
from medjax.data.radgraph.extract import extract
from medjax.data.radgraph.positions import position_of
from medjax.data.radgraph.rules import Rules, tools_of
from medjax.data.radgraph.sentences import sentence_numbers
from medjax.data.radgraph.statements import rows_of
from medjax.data.radgraph.triplets import annotated_triplets, entity_of, matrix_of
from medjax.data.radgraph.vocabulary import ENTITIES, POSITIONS
from medjax.data.radgraph.words import table_lemma

RULES = Rules(anatomy_chain="direct", suggestive_only_observation="dropped")
FINDINGS = ("Consolidation", "Effusion", "Pneumothorax", "Mass", "Cardiomegaly", "Atelectasis")


def invent(records: int) -> list[Annotation]:
    """Annotate invented reports."""
    annotations = []
    for number in range(records):
        rng = np.random.default_rng(number)
        seen = [
            Seen(finding, str(rng.choice(["left", "right"])), (0.3, rng.random()))
            for finding in FINDINGS
            if rng.random() < 0.35
        ]
        report = write_report(seen, rng)
        annotations.append(extract(str(number), f"{report.findings} {report.impression}"))
    return annotations


def ours(annotations: list[Annotation]) -> np.ndarray:
    """Matrices by the product."""
    triplets = annotated_triplets(annotations, RULES, tools_of(RULES))
    return np.stack([matrix_of(of_study) for of_study in triplets.values()])


def itemise(annotations: list[Annotation]) -> pd.DataFrame:
    """A row for every entity and relation."""
    rows = []
    for annotation in annotations:
        numbers = dict(zip((e.id for e in annotation.entities), sentence_numbers(annotation)))
        for row in rows_of(annotation.entities):
            rows.append({"study": annotation.key, "sentence": numbers[row.source], **row._asdict()})
    return pd.DataFrame(rows)


def parse_sentence(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Anatomy, observation and label of the statements of one sentence."""
    observed = rows[rows["label"] != "ANAT-DP"]
    alone = observed[observed["target"] == ""]
    roots = rows[(rows["label"] == "ANAT-DP") & (rows["target"] == "")]
    loose = [("unspecified", r["token"].lower(), r["label"]) for _, r in alone.iterrows()]
    if roots.empty:
        return loose
    found = list(loose)
    for _, root in roots.iterrows():
        parts = rows[(rows["label"] == "ANAT-DP") & (rows["target"] == root["source"])]
        anatomy = "|".join([root["token"].lower(), *parts["token"].str.lower()])
        sources = {root["source"], *parts["source"]}
        located = observed[
            (observed["relation"] == "located_at") & observed["target"].isin(sources)
        ]
        found += [(anatomy, r["token"].lower(), r["label"]) for _, r in located.iterrows()]
    return found


def plain_pandas(annotations: list[Annotation]) -> np.ndarray:
    """Matrices by filters of a table."""
    table = itemise(annotations)
    matrices = []
    for _, of_study in table.groupby("study", sort=False):
        matrix = np.full((len(POSITIONS), len(ENTITIES)), -1, np.float32)
        for _, of_sentence in of_study.groupby("sentence"):
            for anatomy, observation, label in parse_sentence(of_sentence):
                cell = position_of(anatomy), entity_of(table_lemma(observation))
                if label == PRESENT:
                    matrix[cell] = 1
                elif label == "OBS-DA":
                    matrix[cell] = max(matrix[cell], 0)
        matrices.append(matrix)
    return np.stack(matrices)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--pandas_records", type=int, default=1000)
    args = parser.parse_args()
    annotations = invent(args.records)
    row = {"records": args.records, "pandas_records": args.pandas_records}
    start = time.process_time()
    matrices = ours(annotations)
    row["ours_s"] = round(time.process_time() - start, 3)
    start = time.process_time()
    expected = plain_pandas(annotations[: args.pandas_records])
    row["pandas_s"] = round(time.process_time() - start, 3)
    assert np.array_equal(matrices[: len(expected)], expected)
    per_thousand = [1000 * row["ours_s"] / args.records]
    per_thousand.append(1000 * row["pandas_s"] / args.pandas_records)
    row["times_faster"] = round(per_thousand[1] / per_thousand[0], 1)
    print(f"ours {per_thousand[0]:.3f} s, pandas {per_thousand[1]:.3f} s a thousand records")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
