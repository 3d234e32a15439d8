"""Scores of the downstream tasks of MedST."""

import numpy as np

from medjax.systems.medst.tasks.sentence_similarity import read_sentences, score_similarity
from medjax.systems.medst.tasks.temporal_images import accuracy_percentages
from medjax.systems.medst.tasks.zero_shot import NEGATIVE, POSITIVE, score_films, score_zero_shot
from tests.parity.handlers.medst_data import table_of
from tests.parity.harness import Case, handles


@handles("medst", "temporal_image_classification", config={"seeds", "runner"})
def temporal_image_classification(case: Case) -> dict[str, np.ndarray]:
    table = table_of(case.inputs["csv"])
    embeddings = dict(zip(case.inputs["image_ids"].tolist(), case.inputs["image_embeddings"]))
    return {
        f"cv{folds}_percent": np.stack(
            [
                accuracy_percentages(table, embeddings, folds, seed, "row")
                for seed in case.config["seeds"]
            ]
        )
        for folds in (5, 10)
    }


@handles("medst", "temporal_sentence_similarity", config={"runner"})
def temporal_sentence_similarity(case: Case) -> dict[str, float]:
    pairs = read_sentences(table_of(case.inputs["csv"]))
    given = zip(case.inputs["sentence_1"].tolist(), case.inputs["sentence_2"].tolist())
    cosine = dict(zip(given, case.inputs["similarity"]))
    cosines = [cosine[pair] for pair in zip(pairs.first, pairs.second)]
    found = score_similarity(pairs.same, cosines)
    return {
        "auc": found.auroc,
        "threshold": found.best_threshold,
        "accuracy": found.best_fold_on_all,
    }


@handles("medst", "zero_shot_rsna", config={"seed", "runner"})
def zero_shot_rsna(case: Case) -> dict[str, np.ndarray]:
    targets = table_of(case.inputs["csv"]).set_index("patientId")["Target"].astype(int)
    labels = targets[case.inputs["patient_ids"].tolist()].to_numpy()
    prompts = case.inputs["prompt_embeddings"]
    count = len(POSITIVE)
    scores = score_films(case.inputs["image_embeddings"], prompts[:count], prompts[count:])
    found = score_zero_shot(labels, scores)
    return {
        "positive_score": scores.positive,
        "negative_score": scores.negative,
        "accuracy": found.accuracy,
        "f1": found.f1,
        "auroc_of_hard_predictions": found.auroc_hard,
        "prompts": np.array([*POSITIVE, *NEGATIVE]),
    }
