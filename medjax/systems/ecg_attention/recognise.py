"""Which of this system's networks published weights are of, told by their names and shapes."""

from typing import Any

from medjax.errors import UserError
from medjax.systems.ecg_attention.decoders import MULTI_SCALE_WIDTHS
from medjax.systems.ecg_attention.heads import projector_widths
from medjax.systems.ecg_attention.marcel_vae import CHANNELS
from medjax.systems.ecg_attention.sizes import EXPANSIONS
from medjax.weights.converter import Model, Shapes

LIGHTNING = "network."
"""Under which the pre-training's checkpoints hold the autoencoder; those of risk have it bare."""
TEXT_WIDTH = 768
RECIPE: dict[str, Any] = {
    "decoder": "ms_resnet",
    "leads": 12,
    "time_steps": 608,
    "pool_dim": 512,
    "latent_dim": 512,
    "down_blocks": 5,
    "up_blocks": 5,
    "base_features": 4,
    "decoder_linears": 2,
    "latent_linear": False,
    "variational": False,
    "time_code": False,
    "lead_attention": True,
    "time_attention": True,
}
"""Sizes where a partial file does not tell them."""


def describe(shapes: Shapes) -> Model:
    """Return the network's fields, and the widths of what reads its latent vector (0: absent).

    Beside the fields of a stage's `model`: "prefix" of the autoencoder's names, "projector" (its
    hidden and last width, and that of the text), "classes", and the "risk" head's hidden width.

    Raises:
        UserError: the names are of no network of this system.
    """
    prefix = LIGHTNING if any(n.startswith(f"{LIGHTNING}encoder.") for n in shapes) else ""
    own = {n.removeprefix(prefix): s for n, s in shapes.items() if n.startswith(prefix)}
    if "encoder.input_conv.0.weight" in own:
        network = _dual_attention(own)
    elif "encoder.conv1.0.weight" in own:
        network = _marcel_vae(own)
    elif "encoder.encoder.0.0.0.weight" in own:
        network = _xresnet(own)
    else:
        raise UserError("it holds no encoder of ECGs that this system knows")
    fields = RECIPE | network
    return {"prefix": prefix, **fields, **_readers(shapes, fields["latent_dim"])}


def _readers(shapes: Shapes, latent: int) -> dict[str, Any]:
    projector: list[int] = []
    if any(name.startswith(("ecg_projector.", "text_projector.")) for name in shapes):
        hidden, last = projector_widths(latent)
        text = _size(shapes, "text_projector.0.weight", 1, TEXT_WIDTH)
        hidden = _size(shapes, "ecg_projector.0.weight", 0, hidden)
        projector = [hidden, _size(shapes, "ecg_projector.2.weight", 0, last), text]
    return {
        "projector": projector,
        "classes": _size(shapes, "classifier.model.6.weight", 0, 0),
        "classifier_hidden": _size(shapes, "classifier.model.2.weight", 0, 0),
        "risk": _size(shapes, "downsteam_net.model.2.weight", 0, 0),
        "contrast": [n for n in ("logit_scale", "logit_bias") if n in shapes],
    }


def _size(shapes: Shapes, name: str, axis: int, default: int) -> int:
    return shapes[name][axis] if len(shapes.get(name, ())) > axis else default


def _dual_attention(shapes: Shapes) -> dict[str, Any]:
    blocks = _count(shapes, "encoder.encoder.{}.conv1.weight")
    first = shapes.get("encoder.encoder.0.conv1.weight", (8, 4, 1, 5))
    features = first[0] // EXPANSIONS[1]
    if not 1 <= blocks < len(EXPANSIONS) or not features:
        raise UserError(f"its encoder has {blocks} residual blocks, not 1 to {len(EXPANSIONS) - 1}")
    channels = features * EXPANSIONS[blocks]
    width = _size(shapes, "encoder.attention.norm2.weight", 0, channels * 19)
    pool = 2 * _size(shapes, "encoder.attention.attention_pool_1.1.weight", 0, 256)
    heads = ("encoder.dense_mean.weight", "encoder.linear.weight")
    head = next((name for name in heads if name in shapes), "")
    return {
        "network": "dual_attention",
        "leads": shapes["encoder.input_conv.0.weight"][0] // features,
        "time_steps": width // channels * 2**blocks,
        "down_blocks": blocks,
        "base_features": features,
        "time_code": first[1] != features,
        "time_attention": "encoder.attention.time_mha.0.in_proj_weight" in shapes,
        "lead_attention": "encoder.attention.lead_mha.in_proj_weight" in shapes,
        "pool_dim": pool,
        "variational": head == heads[0],
        "latent_linear": bool(head),
        "latent_dim": shapes[head][0] if head else pool,
        **_attention_decoder(shapes, blocks),
    }


def _attention_decoder(shapes: Shapes, blocks: int) -> dict[str, Any]:
    found = _count(shapes, "decoder.decoder.{}.idfunc_0.weight")
    second = "decoder.linear.1.weight" in shapes or "decoder.linear.0.weight" not in shapes
    return {"up_blocks": found or blocks, "decoder_linears": 2 if second else 1}


def _marcel_vae(shapes: Shapes) -> dict[str, Any]:
    half = _size(shapes, "encoder.dense_mean.weight", 1, CHANNELS * 304) // CHANNELS
    latent = _size(shapes, "encoder.dense_mean.weight", 0, 512)
    leads = _size(shapes, "encoder.conv2.0.weight", 2, 12)
    sizes = {"leads": leads, "time_steps": 2 * half, "latent_dim": latent}
    return {"network": "marcel_vae", **sizes}


def _xresnet(shapes: Shapes) -> dict[str, Any]:
    latent = 2 * _size(shapes, "encoder.encoder.0.4.0.convs.2.0.weight", 0, 256)
    sizes = {"leads": shapes["encoder.encoder.0.0.0.weight"][1], "latent_dim": latent}
    if "decoder.weight" in shapes:
        steps = shapes["decoder.weight"][0] // sizes["leads"]
        return {"network": "xresnet1d101", "decoder": "linear", "time_steps": steps, **sizes}
    if len(shapes.get("decoder.decoder.0.idfunc_0.weight", ())) == 4:
        return {"network": "xresnet1d101", **sizes, **_xresnet_attention_decoder(shapes, sizes)}
    steps = _size(shapes, "decoder.linear.0.weight", 0, latent * 19) // latent
    return {
        "network": "xresnet1d101",
        "decoder": "ms_resnet",
        "time_steps": steps * 2 ** len(MULTI_SCALE_WIDTHS),
        **sizes,
    }


def _xresnet_attention_decoder(shapes: Shapes, sizes: dict[str, int]) -> dict[str, Any]:
    features = shapes["decoder.decoder.0.idfunc_0.weight"][0]
    depth = _attention_decoder(shapes, 5)
    last = f"decoder.linear.{depth['decoder_linears'] - 1}.weight"
    steps = _size(shapes, last, 0, features * sizes["leads"] * 19) // (features * sizes["leads"])
    return {
        "decoder": "attention_decoder",
        "base_features": features,
        "time_steps": steps * 2 ** depth["up_blocks"],
        **depth,
    }


def _count(shapes: Shapes, name: str) -> int:
    found = 0
    while name.format(found) in shapes:
        found += 1
    return found
