"""The loss of the risk stage: Cox's partial likelihood, with reconstruction as regulariser."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from medjax.losses import cox_loss
from medjax.run.system import Aux, Batch, Variables
from medjax.systems.ecg_attention.items import Items
from medjax.systems.ecg_attention.pretraining_loss import reconstruction_error
from medjax.systems.ecg_attention.risk_network import RiskNetwork


class RiskLoss(NamedTuple):
    """What is weighed how."""

    alpha: float
    """Of Cox's loss; 1 - alpha of the reconstruction."""
    risk_recon_target: str
    """"unmasked_input", or "masked_input": hidden leads are to be reconstructed as zeros."""
    cox_normaliser: Any
    cox_ties: Any


def hide_leads(items: Items, keep: jax.Array, target: str) -> Items:
    """Return the items with one set of leads kept in the whole batch.

    Args:
        items: unmasked.
        keep: bool or 0/1, [lead].
        target: `RiskLoss.risk_recon_target`.
    """
    shown = jnp.asarray(keep, items.signal.dtype)[:, None]
    signal = items.signal * shown
    return Items(
        target=signal if target == "masked_input" else items.target,
        signal=signal,
        visible=items.visible * shown,
    )


def risk_loss(
    network: RiskNetwork,
    variables: Variables,
    items: Items,
    batch: Batch,
    options: RiskLoss,
    *,
    rngs: Mapping[str, jax.Array],
    train_encoder: bool = True,
) -> tuple[jax.Array, Aux]:
    """Return the loss of one batch in training, with the new statistics and both parts.

    Args:
        network: of the stage.
        variables: its variables.
        items: [batch, lead, time] each, leads hidden already.
        batch: event, time [batch], recorded [batch, lead], mask [batch].
        options: weights and forms.
        rngs: "dropout" and "latent".
        train_encoder: false keeps the encoder's dropout off and its BatchNorm as it is.
    """
    collections = [name for name in variables if name != "params"]
    output, mutable = network.apply(
        variables,
        *(items.signal, items.visible, batch["mask"]),
        train=True,
        train_encoder=train_encoder,
        rngs=dict(rngs),
        mutable=collections,
        method="read",
    )
    cox = cox_loss(
        output.log_risk,
        batch["event"],
        batch["time"],
        batch["mask"],
        normaliser=options.cox_normaliser,
        ties=options.cox_ties,
    )
    mse = reconstruction_error(items, output.reconstruction, batch)
    total = options.alpha * cox + (1 - options.alpha) * mse
    return total, Aux(mutable, {"cox": cox, "mse": mse})


def make_loss(
    network: RiskNetwork,
    options: RiskLoss,
    make_items: Callable[[Batch], Items],
    draw_leads: Callable[[jax.Array], jax.Array] | None,
    train_encoder: bool,
) -> Callable[[Variables, Batch, jax.Array, jax.Array], tuple[jax.Array, Aux]]:
    """Return the loss of an `Update`.

    make_items: batch -> unmasked items.
    draw_leads: key -> bool [lead], the leads that are kept; None: all of them.
    """

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del step
        of_leads, of_dropout, of_latent = jax.random.split(key, 3)
        items = make_items(batch)
        if draw_leads is not None:
            items = hide_leads(items, draw_leads(of_leads), options.risk_recon_target)
        rngs = {"dropout": of_dropout, "latent": of_latent}
        arguments = (network, variables, items, batch, options)
        return risk_loss(*arguments, rngs=rngs, train_encoder=train_encoder)

    return loss
