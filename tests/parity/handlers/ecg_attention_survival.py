"""Cox loss, concordance, stratified batches and folds of the risk experiment."""

import jax
import jax.numpy as jnp
import numpy as np

from medjax.losses import cox_loss, has_comparable_event
from tests.parity.harness import Case, handles


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
