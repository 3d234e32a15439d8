"""Options of the networks that are not known, or do not go together: one sentence each."""

from collections.abc import Mapping, Sequence
from typing import Any

from medjax.errors import UsageError, nearest
from medjax.systems.ecg_attention.sizes import DOWNSAMPLING, EXPANSIONS, HEADS

MODEL_CHOICES: dict[str, tuple[str, ...]] = {
    "network": ("dual_attention", "marcel_vae", "xresnet1d101"),
    "decoder": ("ms_resnet", "linear", "attention_decoder"),
    "stem_channel_order": ("lead_major", "feature_major"),
    "lead_mask_assignment": ("per_sample", "heads_first"),
    "ablated_lead_branch": ("duplicate", "none"),
    "dropout_placement": ("uniform", "published"),
}
"""The values that fields of a stage's `model` may take."""

DUAL_ATTENTION_ONLY = {
    "time_code": False,
    "lead_attention": True,
    "time_attention": True,
    "serial_attention": False,
    "lead_mask": False,
    "variational": False,
}
"""Switches that the other networks have not, and the value they must keep there."""


def check_options(options: Mapping[str, Any]) -> None:
    """Raise UsageError where a field of `model` is not known or does not go with another."""
    for name, known in MODEL_CHOICES.items():
        value = options[name]
        if value not in known:
            listed = ", ".join(map(repr, known))
            raise UsageError(
                f"model.{name} {value!r} is none of {listed}{nearest(str(value), known)}"
            )
    for name in ("leads", "time_steps", "latent_dim", "pool_dim", "base_features"):
        _require(options[name] >= 1, f"model.{name} must be 1 or more, not {options[name]}")
    rate = options["dropout"]
    _require(0 <= rate < 1, f"model.dropout must be at least 0 and below 1, not {rate}")
    checks = {
        "dual_attention": _check_dual_attention,
        "marcel_vae": _check_marcel_vae,
        "xresnet1d101": _check_xresnet,
    }
    checks[options["network"]](options)


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise UsageError(sentence)


def _check_dual_attention(options: Mapping[str, Any]) -> None:
    down, up = options["down_blocks"], options["up_blocks"]
    most = len(EXPANSIONS) - 1
    _require(1 <= down <= most, f"model.down_blocks must be 1 to {most}, not {down}")
    _require(
        down == up,
        f"model.up_blocks {up} must be down_blocks {down}: else the reconstruction has another "
        "length than the signal",
    )
    _check_attention_decoder(options)
    _require(options["pool_dim"] % 2 == 0, f"model.pool_dim {options['pool_dim']} must be even")
    _check_latent(options)
    _check_attention(options)
    if options["time_code"]:
        _require(
            options["base_features"] % 2 == 0,
            f"model.time_code needs an even model.base_features, not {options['base_features']}",
        )


def _check_latent(options: Mapping[str, Any]) -> None:
    latent, pool = options["latent_dim"], options["pool_dim"]
    if options["variational"]:
        _require(
            options["latent_linear"],
            "model.variational needs latent_linear=True: the mean and the variance are linear "
            "layers",
        )
    if not options["latent_linear"]:
        _require(
            latent == pool,
            f"model.latent_dim {latent} differs from pool_dim {pool}: make them equal, or set "
            "latent_linear=True",
        )


def _check_attention(options: Mapping[str, Any]) -> None:
    features = options["base_features"]
    channels = features * EXPANSIONS[options["down_blocks"]]
    width = channels * (options["time_steps"] // 2 ** options["down_blocks"])
    if options["time_attention"]:
        _require(
            channels % HEADS == 0,
            f"time attention has {HEADS} heads, which do not divide {channels} channels: change "
            f"model.base_features {features}",
        )
    if options["lead_attention"]:
        _require(
            width % HEADS == 0,
            f"lead attention has {HEADS} heads, which do not divide its width {width}: change "
            f"model.base_features {features} or model.time_steps {options['time_steps']}",
        )
    else:
        _require(
            not options["lead_mask"],
            "model.lead_mask needs lead_attention=True: there is nothing else that it masks",
        )


def _check_attention_decoder(options: Mapping[str, Any]) -> None:
    up, linears = options["up_blocks"], options["decoder_linears"]
    _require(up >= 2, f"model.up_blocks must be 2 or more, not {up}")
    _require(linears in (1, 2), f"model.decoder_linears must be 1 or 2, not {linears}")
    _check_steps(options, 2**up)


def _check_steps(options: Mapping[str, Any], factor: int) -> None:
    steps = options["time_steps"]
    _require(
        steps % factor == 0,
        f"model.time_steps {steps} must be a multiple of {factor}, such as "
        f"{-(-steps // factor) * factor}",
    )


def _check_marcel_vae(options: Mapping[str, Any]) -> None:
    _check_plain(options)
    _check_steps(options, 2)


def _check_xresnet(options: Mapping[str, Any]) -> None:
    _check_plain(options)
    latent = options["latent_dim"]
    _require(latent % 8 == 0, f"model.latent_dim {latent} must be a multiple of 8 for xresnet1d101")
    _check_steps(options, DOWNSAMPLING)
    if options["decoder"] == "attention_decoder":
        _check_attention_decoder(options)


def _check_plain(options: Mapping[str, Any]) -> None:
    network: Sequence[str] = options["network"]
    for name, value in DUAL_ATTENTION_ONLY.items():
        _require(
            options[name] == value,
            f"model.{name}={options[name]} is an option of dual_attention, which {network} does "
            "not have",
        )
