"""Cox loss, concordance, stratified batches and folds of the risk experiment."""

import jax
import jax.numpy as jnp
import numpy as np

from medjax.data.stratified import largest_batch, nested_folds, stratified_batches
from medjax.losses import cox_loss, has_comparable_event
from medjax.metrics.survival.concordance import concordance
from tests.parity.harness import ALL, Case, handles


@handles("ecg_attention", "cox_loss", config={"sets"})
def cox(case: Case) -> dict[str, np.ndarray]:
    outputs = {}
    for name in case.config["sets"]:
        scores, event, time = (case.inputs[f"{name}_{key}"] for key in ("theta", "event", "time"))

        def loss(theta, event=event, time=time):
            return cox_loss(theta[:, 0], event.ravel(), time.ravel(), normaliser="batch_max")

        value, gradient = jax.value_and_grad(loss)(jnp.asarray(scores))
        valid = has_comparable_event(event.ravel(), time.ravel())
        found = {"loss": value, "grad": gradient, "valid": valid}
        outputs |= {f"{name}_{key}": np.asarray(array) for key, array in found.items()}
    return outputs


@handles("ecg_attention", "c_index", config={"sets"})
def c_index(case: Case) -> dict[str, np.ndarray]:
    outputs = {}
    for name in case.config["sets"]:
        event, time, risk = (case.inputs[f"{name}_{key}"] for key in ("event", "time", "risk"))
        outputs[f"{name}_cindex"] = concordance(event, time, risk).c_index()
    return outputs


@handles("ecg_attention", "stratified_batches", config=ALL, asserts=ALL)
def batches(case: Case) -> None:
    """Properties, not the draw: see the notes of the case."""
    for name, options in case.config.items():
        assert set(options) == {"n", "positives", "batch_size"}
        classes, size = case.inputs[f"{name}_y"], options["batch_size"]
        assert (len(classes), classes.sum()) == (options["n"], options["positives"])
        generator = np.random.default_rng(0)
        draws = [stratified_batches(classes, size, generator) for _ in range(2)]
        for drawn in draws:
            assert len(drawn) == case.expected[f"{name}_len"]
            rows = np.sort(np.concatenate(drawn))
            np.testing.assert_array_equal(rows, np.sort(case.expected[f"{name}_one_draw"]))
            sizes = sorted(len(batch) for batch in drawn)
            expected = np.sort(case.expected[f"{name}_batch_sizes"])
            assert np.abs(np.subtract(sizes, expected)).max() <= 1
            positives = [int(classes[batch].sum()) for batch in drawn]
            assert max(positives) - min(positives) <= 1
            assert sum(positives) == case.expected[f"{name}_positives"].sum()
            assert max(sizes) == largest_batch(len(classes), size)
        if len(draws[0]) > 1:
            assert any(list(a) != list(b) for a, b in zip(*draws, strict=True))


@handles("ecg_attention", "risk_split", config={"n", "folds"})
def risk_split(case: Case) -> dict[str, np.ndarray]:
    status = case.inputs["status"]
    assert len(status) == case.config["n"]
    folds = nested_folds(status, case.config["folds"], seed=42)
    inner = [(fold.train, fold.validation) for fold in folds]
    return {
        "fold_sizes": np.array([len(fold.test) for fold in folds]),
        "fold_events": np.array([status[fold.test].sum() for fold in folds]),
        "train_val_sizes": np.array([[len(part) for part in parts] for parts in inner]),
        "train_val_events": np.array([[status[part].sum() for part in parts] for parts in inner]),
    }
