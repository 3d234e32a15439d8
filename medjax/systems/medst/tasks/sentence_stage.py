"""The stage that scores MS-CXR-T's pairs of sentences, and whether the order of words counts."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from medjax.data.batching import padded
from medjax.data.captions import clean_prompt
from medjax.losses.alignment import unit
from medjax.metrics.bootstrap import bootstrap, generator_for, percentile_interval, resample
from medjax.metrics.calibration import wilson_interval
from medjax.metrics.metric import Metric
from medjax.metrics.ranking import auroc
from medjax.run.system import Batch, BatchPlan, Outputs, System, Variables
from medjax.systems.medst.data.texts import TokenTable
from medjax.systems.medst.networks.of_stage import (
    init_network,
    make_network,
    text_embeddings,
    tokens_in,
)
from medjax.systems.medst.opening import ALL, Opened, text_reader
from medjax.systems.medst.tasks.sentence_figure import sentence_figure
from medjax.systems.medst.tasks.sentence_similarity import (
    FOLDS,
    SUBSET,
    SentencePairs,
    read_sentences,
    score_similarity,
)


def sentences_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "temporal_sentences" (see `medjax.run.system`)."""
    stage, options = config[name], config.evaluation
    reader = text_reader(config, stage, data, artefacts)
    pairs = cleaned(read_sentences(data.sentences, None), options.prompt_joiner, config)
    subset = data.sentences["subset_name"].to_numpy(str)
    texts = texts_of(pairs)
    tokens = reader.read(texts)
    model = make_network(config, stage, len(reader.wordpiece.ids))
    size = stage.train.evaluation_batch_size
    row_of = {text: row for row, text in enumerate(texts)}

    def plan(split: str, epoch: int) -> list[BatchPlan]:
        del epoch
        rows = np.arange(len(texts)) if split == ALL else np.zeros(0, np.int64)
        return [BatchPlan(rows[i : i + size], size) for i in range(0, len(rows), size)]

    def collate(split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        del split, epoch
        return token_batch(tokens, plan, rows)

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        del key
        return {"embedding": unit(text_embeddings(model, variables, tokens_in(batch)))}

    def cosines(outputs: Outputs, first: list[str], second: list[str]) -> NDArray[np.float64]:
        vectors = outputs["embedding"].astype(np.float64)
        place = np.argsort(outputs["position"])
        sides = ([place[row_of[text]] for text in side] for side in (first, second))
        a, b = (vectors[rows] for rows in sides)
        return (a * b).sum(1)

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        del final
        here = outputs[split]
        of_pairs = cosines(here, pairs.first, pairs.second)
        sentences = distinct(pairs)
        of_order = cosines(here, sentences, [backwards(text) for text in sentences])
        found = similarity_metrics(pairs, subset, of_pairs, options, config.seed)
        return found | order_metric(1 - of_order, options.resamples, config.seed)

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        """One row a pair."""
        del split, positions
        return {
            "first": np.array(pairs.first, object),
            "second": np.array(pairs.second, object),
            "subset": subset,
            "same": pairs.same,
            "same_words": same_words(pairs),
            "cosine": cosines(outputs, pairs.first, pairs.second),
        }

    def draw(split: str, outputs: Mapping[str, Outputs], metrics: Mapping[str, Metric]) -> Any:
        of_pairs = cosines(outputs[split], pairs.first, pairs.second)
        title = f"Sentences of a change{', invented' * data.invented}: {name}"
        return {
            "similarity": sentence_figure({name: of_pairs}, pairs.same, same_words(pairs), title)
        }

    return System(
        init=lambda key, batch: init_network(config, model, key),
        updates=(),
        plan=plan,
        collate=collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        draw=draw,
        splits=(ALL,),
        artefacts={"vocabulary": reader.vocabulary},
    )


def cleaned(pairs: SentencePairs, joiner: str, config: ConfigDict) -> SentencePairs:
    """Return pairs as they are read; joiner: between the sentences of one text."""
    decimals = config.data.keep_decimals
    first, second = ([clean_prompt(text, joiner, decimals) for text in side] for side in pairs[:2])
    return pairs._replace(first=first, second=second)


def distinct(pairs: SentencePairs) -> list[str]:
    """Return the different sentences of pairs that have two words or more."""
    return [text for text in dict.fromkeys([*pairs.first, *pairs.second]) if " " in text]


def backwards(text: str) -> str:
    """Return the words of a text, the last one first."""
    return " ".join(reversed(text.split(" ")))


def texts_of(pairs: SentencePairs) -> list[str]:
    """Return what has to be read: all sentences, and their words backwards."""
    both = [*pairs.first, *pairs.second, *map(backwards, distinct(pairs))]
    return list(dict.fromkeys(both))


def same_words(pairs: SentencePairs) -> NDArray[np.bool_]:
    """Return which pairs [pair] hold the same words, in whatever order."""
    words = [[sorted(text.split(" ")) for text in side] for side in pairs[:2]]
    return np.array([a == b for a, b in zip(*words)], bool)


def token_batch(tokens: TokenTable, plan: BatchPlan, rows: slice) -> dict[str, Any]:
    """Return these rows of a batch of texts, zero where a row is padding."""
    indices, count = plan.indices[rows], rows.stop - rows.start
    names = ("caption_ids", "caption_mask", "caption_words")
    batch = {name: padded(x[indices], count) for name, x in zip(names, tokens, strict=True)}
    return batch | {"mask": np.arange(rows.start, rows.stop) < len(plan.indices)}


def similarity_metrics(
    pairs: SentencePairs, subset: NDArray, cosines: NDArray, options: ConfigDict, seed: int
) -> dict[str, Metric]:
    """Return auroc and accuracy of telling paraphrases from contradictions, those of SUBSET.

    `accuracy` is the one that `evaluation.similarity_threshold` names; both stand beside. Besides,
    auroc/<subset> of the others, and auroc/same_words of all pairs of equal words, which their
    order alone tells apart.
    """
    parts = {f"auroc/{name}": subset == name for name in np.unique(subset) if name != SUBSET}
    parts |= {"auroc": subset == SUBSET, "auroc/same_words": same_words(pairs)}
    found = {
        name: ranking(pairs.same[rows], cosines[rows], options.resamples, seed)
        for name, rows in parts.items()
    }
    same, cosines = pairs.same[parts["auroc"]], cosines[parts["auroc"]]
    count = len(same)
    if count < FOLDS:
        found["accuracy"] = Metric(None, n=count, reason=f"fewer than {FOLDS} pairs of {SUBSET}")
        return found
    scored = score_similarity(same, cosines)
    by_rule = {
        "train_folds": scored.accuracy,
        "best_fold_on_all": scored.best_fold_on_all,
    }
    for rule, value in by_rule.items():
        low, high = wilson_interval(round(value * count), count)
        found[f"accuracy_{rule}"] = Metric(value, float(low), float(high), count)
    found["accuracy"] = found[f"accuracy_{options.similarity_threshold}"]
    found["threshold"] = Metric(scored.best_threshold)
    return found


def ranking(same: NDArray, cosines: NDArray, resamples: int, seed: int) -> Metric:
    """Return the AUROC of pairs with its interval; cosines that differ by rounding alone tie."""
    count, positives = len(same), int(same.sum())
    if not 0 < positives < count:
        return Metric(None, n=count, reason="there are not both kinds of pairs")
    values, low, high = np.round(cosines, 5), None, None
    if resamples:
        drawn = bootstrap(same, values, resamples, generator_for(seed, "sentences"))
        low, high = percentile_interval(drawn.auroc)
    return Metric(auroc(same, values), low, high, count, positives)


def order_metric(moved: NDArray, resamples: int, seed: int) -> dict[str, Metric]:
    """Return how far a sentence moves when its words are read backwards.

    moved: [sentence], 1 - the cosine of both.
    """
    count = len(moved)
    if not count:
        return {"order_effect": Metric(None, n=0, reason="no sentence has two words")}
    moved = np.maximum(moved, 0)  # rounding makes it less where nothing moves
    low = high = None
    if resamples:
        drawn = resample(resamples, count, generator_for(seed, "order"))
        low, high = percentile_interval(drawn @ moved / count)
    return {"order_effect": Metric(float(moved.mean()), low, high, count)}
