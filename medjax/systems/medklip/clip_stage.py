"""The stage of the replication's older notebook: films and reports in one space.

Image network and text encoder are frozen; two projections and a temperature learn. Prompts are then
read by their nearness to a film.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from sklearn.metrics import f1_score

from medjax.data.radgraph.vocabulary import ENTITIES
from medjax.errors import UserError
from medjax.losses import info_nce
from medjax.metrics.calibration import wilson_interval
from medjax.metrics.metric import Metric
from medjax.run.optim import make_optimizer
from medjax.run.system import Aux, Batch, BatchPlan, Outputs, System, Update, Variables
from medjax.systems.medklip.books import encode, pack_array, text_options, unpack_array
from medjax.systems.medklip.clip import ClipModel
from medjax.systems.medklip.data import EMPTY, Data
from medjax.systems.medklip.network import make_encoder
from medjax.systems.medklip.opening import Opened, stage_batches

NO_REPORT = "No findings reported."
"""What is read where there is no report."""
PROMPTS = {"pneumonia": "pneumonia", "pleural effusion": "effusion", "cardiomegaly": "cardiomegaly"}
"""Prompt -> the entity that makes it true."""
NORMAL = "normal"
"""The prompt that is true where no other is."""
QUESTIONS = (*PROMPTS, NORMAL)


def clip_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "clip" (see `medjax.run.system`)."""
    stage, films = config[name], data.films
    if artefacts is None and not films.report_texts:
        raise UserError(f"stage {name} aligns films with reports and the prepared films have none")
    if artefacts:
        prompts = unpack_array(artefacts["prompts"])
        reports = np.zeros((1, prompts.shape[1]), np.float32)
    else:
        texts = [*films.report_texts, NO_REPORT, *QUESTIONS]
        vectors, _, _ = encode(text_options(config, stage), data.texts, texts)
        reports, prompts = vectors[: -len(QUESTIONS)], vectors[-len(QUESTIONS) :]
    model = ClipModel(make_encoder(config, stage, "none"), stage.model.dim)
    batches = stage_batches(config, stage, films, "none")
    truth = {split: true_prompts(films, split, stage.zero_shot_truth) for split in films.splits}

    def collate(split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        batch = batches.collate(split, epoch, plan, rows)
        found = films.splits[split].report_row[plan.indices[rows]]
        report = np.full(len(batch["mask"]), len(reports) - 1, np.int32)
        # Weights of elsewhere predict without reports.
        if artefacts is None:
            report[: len(found)] = np.where(found == EMPTY, len(reports) - 1, found)
        return {**batch, "report": report}

    def init(key: jax.Array, batch: Batch) -> Variables:
        return model.init({"params": key}, jnp.asarray(batch["image"]), batch["prompt_book"])

    def read(variables: Variables, batch: Batch, text: jax.Array) -> Any:
        """Return unit vectors of films and texts, and the scale of their products."""
        return model.apply(variables, batch["image"], text)

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del key, step
        image, text, scale = read(variables, batch, batch["report_book"][batch["report"]])
        value = info_nce(image, text, scale, mask=batch["mask"])
        return value, Aux({}, {"scale": scale})

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        del key
        image, text, scale = read(variables, batch, batch["prompt_book"])
        outputs = {"score": jax.nn.softmax(scale * image @ text.T)}
        if artefacts is None:
            _, own, _ = read(variables, batch, batch["report_book"][batch["report"]])
            outputs |= {"loss": batch_losses(scale * image @ own.T, batch["mask"])}
        return outputs

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        del final
        here = outputs[split]
        return results_of(here, truth[split][here["position"]])

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        scores = {f"score/{prompt}": outputs["score"][:, i] for i, prompt in enumerate(QUESTIONS)}
        return {**batches.identity(split, positions), **scores}

    updates: tuple[Update, ...] = ()
    if "train" in batches.splits:
        steps = len(batches.plan("train", 0)) * stage.train.epochs
        updates = (Update("clip", loss, role, make_optimizer(stage.optimizer, steps)),)
    return System(
        init=init,
        updates=updates,
        plan=batches.plan,
        collate=collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        splits=batches.splits,
        resident={"report_book": reports, "prompt_book": prompts},
        artefacts={"prompts": pack_array(prompts)},
    )


def role(path: tuple[str, ...]) -> str:
    """Return whether a parameter trains: those of the head do."""
    return "train" if path[0] == "head" else "frozen"


def batch_losses(logits: jax.Array, mask: jax.Array) -> jax.Array:
    """Return the symmetric cross entropy of each row [batch] among those of its batch."""
    logits = jnp.where(mask[:, None] & mask[None, :], logits, -jnp.inf)
    own = jnp.diagonal(logits)
    both = jax.nn.logsumexp(logits, axis=1) + jax.nn.logsumexp(logits, axis=0)
    return jnp.where(mask, both / 2 - own, 0)


def true_prompts(films: Data, split: str, rule: str) -> np.ndarray:
    """Return bool [film, prompt]; all False where nothing is known of a film.

    rule: "labels": what the report says is present, several perhaps, "normal" where nothing of
    these is; "first_prompt", as published: the first prompt that stands in the report, else
    "normal".
    """
    here = films.splits[split]
    true = np.zeros((len(here.report_row), len(QUESTIONS)), bool)
    if rule == "first_prompt":
        for film, row in enumerate(here.report_row):
            report = films.report_texts[row].lower() if row != EMPTY else NO_REPORT.lower()
            found = [index for index, prompt in enumerate(QUESTIONS) if prompt in report]
            true[film, found[0] if found else -1] = True
        return true
    present = here.existence() == 1
    for index, entity in enumerate(PROMPTS.values()):
        true[:, index] = present[:, ENTITIES.index(entity)]
    true[here.reported, -1] = ~true[here.reported, :-1].any(1)
    return true


def results_of(outputs: Outputs, truth: np.ndarray) -> dict[str, Metric]:
    """Return the loss within batches, and how often the nearest prompt is a true one.

    f1_weighted is that of the first true prompt of each film, weighed by how common it is;
    constant_accuracy that of always giving the commonest prompt.
    """
    found = {}
    if "loss" in outputs:
        found["loss"] = Metric(float(outputs["loss"].astype(np.float64).mean()))
    known = truth.any(1)
    n = int(known.sum())
    if not n:
        return found | {"accuracy": Metric(None, n=0, reason="nothing is known of the films")}
    nearest, truth = outputs["score"][known].argmax(1), truth[known]
    right = int(truth[np.arange(n), nearest].sum())
    low, high = map(float, wilson_interval(right, n))
    weighted = f1_score(truth.argmax(1), nearest, average="weighted", zero_division=0)
    return found | {
        "accuracy": Metric(right / n, low, high, n),
        "constant_accuracy": Metric(float(truth.mean(0).max()), n=n),
        "f1_weighted": Metric(float(weighted), n=n),
    }
