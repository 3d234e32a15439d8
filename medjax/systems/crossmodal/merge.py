"""How the latent vectors of several modalities become the one that the decoders read.

sample            each sample takes the latent of one modality, drawn anew in every step
coordinate        each coordinate takes that of one modality, shared by the batch, drawn anew
coordinate_fixed  likewise, drawn once when the weights are, and kept with them
average           the mean
concat            end to end: a decoder then reads their widths' sum
kronecker         the outer product, flattened; a dense layer maps it back
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def draw_index(
    key: jax.Array, merge: str, modalities: int, batch: int, width: int
) -> jax.Array | None:
    """Draw which modality serves: [batch] for "sample", [width] for "coordinate", else None."""
    shapes = {"sample": batch, "coordinate": width}
    if merge not in shapes:
        return None
    return jax.random.randint(key, (shapes[merge],), 0, modalities)


def merge_latents(
    latents: Sequence[jax.Array],
    merge: str,
    index: jax.Array | None = None,
    present: jax.Array | None = None,
) -> jax.Array:
    """Merge latents, one [batch, width] a modality.

    Args:
        latents: in the order that `index` counts.
        merge: one of `choices.MERGES`.
        index: of `draw_index`, or the mask [width] that "coordinate_fixed" keeps.
        present: bool [modality, batch]; what is absent never serves: "sample" and "coordinate"
            take the next modality (in cyclic order) that is present, "average" the mean of the
            others, "concat" and "kronecker" read zeros. None: all are present.

    Returns:
        [batch, width]; [batch, sum of widths] for "concat", [batch, product] for "kronecker".
    """
    if merge in ("concat", "kronecker"):
        if present is not None:
            latents = [jnp.where(there[:, None], z, 0) for z, there in zip(latents, present)]
        return jnp.concatenate(latents, -1) if merge == "concat" else _outer(latents)
    stacked = jnp.stack(latents)
    if merge == "average":
        if present is None:
            return stacked.mean(0)
        total = jnp.where(present[..., None], stacked, 0).sum(0)
        return total / jnp.maximum(present.sum(0), 1)[:, None]
    assert index is not None
    wanted = index[:, None] if merge == "sample" else index[None, :]
    taken = jnp.broadcast_to(wanted, stacked.shape[1:])
    if present is not None:
        taken = _available(taken, present)
    return jnp.take_along_axis(stacked, taken[None], 0)[0]


def _available(wanted: jax.Array, present: jax.Array) -> jax.Array:
    """Replace in wanted [batch, width] what is absent by the next that is present."""
    count = len(present)
    for _ in range(count - 1):
        there = jnp.take_along_axis(present.T, wanted, 1)
        wanted = jnp.where(there, wanted, (wanted + 1) % count)
    return wanted


def _outer(latents: Sequence[jax.Array]) -> jax.Array:
    product = latents[0]
    for latent in latents[1:]:
        product = (product[:, :, None] * latent[:, None, :]).reshape(len(latent), -1)
    return product
