"""What MedFuse minimises: the mean binary cross entropy of the output that its fusion gives.

Where asked for, the distance between both modalities' features is added.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from medjax.losses import masked_mean, sigmoid_cross_entropy
from medjax.run.system import Aux, Batch, Variables
from medjax.systems.medfuse.base import Prediction, TwoEncoders
from medjax.systems.medfuse.encoders import standardise_film
from medjax.systems.medfuse.freezing import check_align


class Modes(NamedTuple):
    """Whether the model and each encoder run in training mode."""

    train: bool
    ehr_train: bool
    cxr_train: bool


EVALUATION = Modes(False, False, False)


def forward(
    model: TwoEncoders, variables: Variables, batch: Batch, key: jax.Array, modes: Modes
) -> tuple[Prediction, Mapping[str, Any]]:
    """Run the model on a batch; return (prediction, the running statistics after it).

    "image" is grey uint8 [batch, height, width], or standardised float32 [batch, height, width, 3].
    """
    image = batch["image"]
    if image.ndim == 3:
        image = standardise_film(image)
    collections = [name for name in variables if name != "params"]
    return model.apply(
        variables,
        batch["series"],
        batch["length"],
        image,
        batch["has_image"],
        batch["mask"],
        **modes._asdict(),
        rngs={"dropout": key},
        mutable=collections,
    )


def make_loss(
    model: TwoEncoders, modes: Modes, head: str | None = None, align: float = 0.0
) -> Callable[[Variables, Batch, jax.Array, jax.Array], tuple[jax.Array, Aux]]:
    """Return the loss of an `Update` for a model that trains in these modes.

    head: whose cross entropy; None: the fusion's output. align: weight of the distance between the
    modalities' features, which is then added.

    Raises:
        UsageError: `align` is given for a fusion that has no such distance.
    """
    check_align(model.fusion, align)

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del step
        prediction, mutable = forward(model, variables, batch, key, modes)
        logits = prediction.logits if head is None else prediction.heads[head]
        total = masked_mean(sigmoid_cross_entropy(logits, batch["labels"]), batch["mask"])
        if not align or prediction.alignment is None:
            return total, Aux(mutable, {})
        return total + align * prediction.alignment, Aux(
            mutable, {"alignment": prediction.alignment}
        )

    return loss
