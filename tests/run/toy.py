"""A system of a few parameters for tests of the run layer: noisy logistic regression."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from medjax.losses import masked_mean, sigmoid_cross_entropy
from medjax.metrics.metric import Metric
from medjax.nn.batch_norm import BatchNorm
from medjax.run.optim import make_optimizer
from medjax.run.system import Aux, BatchPlan, System, Update

EXAMPLES = {"train": 70, "validation": 24, "test": 10}
FEATURES = 5


class Toy(nn.Module):
    """One hidden layer with batch normalisation and dropout."""

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, train: bool) -> jax.Array:
        x = nn.Dense(8, use_bias=False, name="hidden")(x)  # a bias before BatchNorm is noise
        x = nn.relu(BatchNorm(name="norm")(x, mask, train=train))
        x = nn.Dropout(0.2, deterministic=not train)(x)
        return nn.Dense(1, name="head")(x)[:, 0]


def config() -> ConfigDict:
    """Return everything the run layer reads, for one stage called `only`."""
    stage = ConfigDict({"init_from": ""})
    stage.optimizer = ConfigDict(
        {
            "name": "adam",
            "learning_rate": 0.02,
            "b1": 0.9,
            "b2": 0.999,
            "eps": 1e-8,
            "weight_decay": 0.0,
            "momentum": 0.0,
            "clip_norm": 0.0,
            "schedule": "constant",
        }
    )
    stage.train = ConfigDict(
        {
            "epochs": 4,
            "global_batch_size": 16,
            "accumulation": 1,
            "evaluate_every": 1,
            "validation_split": "validation",
            "final_splits": ("validation", "test"),
            "monitor": "accuracy",
            "monitor_mode": "max",
            "patience": 0,
            "plateau": {"factor": 0.5, "patience": 0, "threshold": 1e-4},
            "epoch_order": "train_then_validate",
            "on_not_finite": "stop",
            "save_every": 3,
            "log_every": 1,
        }
    )
    return ConfigDict(
        {
            "system": "toy",
            "seed": 3,
            "stages": ("only",),
            "only": stage,
            "matmul_precision": "default",
            "sharding": {"parameters": "replicated"},
            "loader": {"threads": 1, "workers": 0},
            "poison": -1,
        }
    )


def open_data(config: ConfigDict, workdir: object) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Draw features and labels by split; example `config.poison` of the train split is NaN."""
    rng = np.random.default_rng(0)
    data = {}
    for split, count in EXAMPLES.items():
        x = rng.normal(size=(count, FEATURES)).astype(np.float32)
        data[split] = (x, (x[:, 0] + 0.5 * rng.normal(size=count) > 0).astype(np.float32))
    if config.poison >= 0:
        data["train"][0][config.poison] = np.nan
    return data


def build(config: ConfigDict, stage_name: str, data: dict, artefacts: object) -> System:
    """Return the toy system of a stage."""
    options = config[stage_name]
    model = Toy()
    size = options.train.global_batch_size

    def plan(split: str, epoch: int) -> list[BatchPlan]:
        order = np.arange(len(data[split][0]))
        if epoch >= 0:
            order = np.random.default_rng((config.seed, epoch)).permutation(order)
        return [BatchPlan(order[i : i + size], size) for i in range(0, len(order), size)]

    def collate(split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, np.ndarray]:
        count = rows.stop - rows.start
        batch = {"x": np.zeros((count, FEATURES), np.float32), "y": np.zeros(count, np.float32)}
        chosen = plan.indices[rows]
        for name, values in zip("xy", data[split]):
            batch[name][: len(chosen)] = values[chosen]
        return {**batch, "mask": np.arange(rows.start, rows.stop) < len(plan.indices)}

    def loss(variables, batch, key, step):
        logits, mutable = model.apply(
            variables,
            batch["x"],
            batch["mask"],
            True,
            rngs={"dropout": key},
            mutable=["batch_stats"],
        )
        value = masked_mean(sigmoid_cross_entropy(logits, batch["y"]), batch["mask"])
        return value, Aux(mutable, {})

    def predict(variables, batch, key):
        logits = model.apply(variables, batch["x"], batch["mask"], False)
        entropy = sigmoid_cross_entropy(logits, batch["y"])
        return {"probability": jax.nn.sigmoid(logits), "labels": batch["y"], "loss": entropy}

    def evaluate(split, outputs, final):
        values = outputs[split]
        right = (values["probability"] > 0.5) == (values["labels"] > 0.5)
        return {
            "accuracy": Metric(float(right.mean()), n=len(right)),
            "loss": Metric(float(values["loss"].mean())),
        }

    return System(
        init=lambda key, batch: model.init(key, batch["x"], jnp.asarray(batch["mask"]), False),
        updates=(Update("toy", loss, lambda path: "train", make_optimizer(options.optimizer, 20)),),
        plan=plan,
        collate=collate,
        table=lambda split, positions, outputs: {"example": positions, **outputs},
        predict=predict,
        evaluate=evaluate,
    )
