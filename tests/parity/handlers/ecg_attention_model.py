"""The dual-attention autoencoder on ECGs, in evaluation."""

from typing import Any

import jax
import numpy as np

from medjax.nn.torch_names import from_torch
from medjax.systems.ecg_attention.encoding import sample_latent
from medjax.systems.ecg_attention.model import Autoencoder, make_network
from medjax.systems.ecg_attention.names import autoencoder_layers
from tests.parity.harness import Case, handles

FIELDS = {
    "num_leads": "leads",
    "time_steps": "time_steps",
    "z_dims": "pool_dim",
    "linear_out": "latent_dim",
    "downsample_factor": "down_blocks",
    "upsample_factor": "up_blocks",
    "base_feature_dim": "base_features",
    "num_linear_in_D": "decoder_linears",
    "if_VAE": "variational",
    "add_time": "time_code",
    "apply_subsequent_attention": "serial_attention",
    "apply_lead_mask": "lead_mask",
    "apply_batchwise_dropout": "batchwise_dropout",
}
INVERTED = {
    "no_linear_in_E": "latent_linear",
    "no_lead_attention": "lead_attention",
    "no_time_attention": "time_attention",
}
PUBLISHED = {
    "network": "dual_attention",
    "decoder": "ms_resnet",
    "leads": 12,
    "time_steps": 1024,
    "pool_dim": 64,
    "latent_dim": 64,
    "down_blocks": 5,
    "up_blocks": 5,
    "base_features": 1,
    "decoder_linears": 2,
    "variational": False,
    "latent_linear": True,
    "time_code": False,
    "add_time_mask": True,
    "lead_attention": True,
    "time_attention": True,
    "serial_attention": False,
    "lead_mask": False,
    "batchwise_dropout": False,
    "dropout": 0.2,
    "stem_channel_order": "feature_major",
    "lead_mask_assignment": "heads_first",
    "ablated_lead_branch": "duplicate",
    "dropout_placement": "published",
    "latent_sample_in_eval": False,
    "norm_output": False,
}
"""The original's defaults, by our names."""
CONFIG = {*FIELDS, *INVERTED, "use_attention_pool"}


def options_of(config: dict[str, Any]) -> dict[str, Any]:
    """Our fields of the original's arguments; `use_attention_pool` is read by nothing there."""
    options = PUBLISHED | {FIELDS[name]: v for name, v in config.items() if name in FIELDS}
    options |= {INVERTED[name]: not v for name, v in config.items() if name in INVERTED}
    if not options["latent_linear"] and not options["variational"]:
        options["latent_dim"] = options["pool_dim"]
    return options


@handles("ecg_attention", "autoencoder", config=CONFIG)
def autoencoder(case: Case) -> dict[str, Any]:
    options = options_of(case.config)
    table = autoencoder_layers(options["leads"], options["down_blocks"], options["up_blocks"])
    weights = {n: w for n, w in case.weights.items() if options["lead_attention"] or not _idle(n)}
    variables = from_torch(table, weights)
    network = make_network(options)
    return jax.jit(lambda variables: _outputs(network, variables, case.inputs))(variables)


def _idle(name: str) -> bool:
    """Whether a weight is read by nothing where there is no lead attention."""
    return name.startswith("encoder.attention.norm2.")


def _outputs(network: Autoencoder, variables: Any, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    ecg, visible = inputs["ecg"], inputs.get("mask")

    def stages(network: Autoencoder) -> dict[str, Any]:
        code = network.encode(ecg, visible)
        z = code.z
        if code.log_variance is not None:
            z = sample_latent(code.mean, code.log_variance, inputs["eps"])
        features = network.encoder.features(ecg, visible, None, train=False)
        pooled, _, _ = network.encoder.attention(
            features, network.encoder.forbidden(visible), train=False
        )
        found = {
            "input_conv": network.encoder.stem(ecg)[..., :8].swapaxes(1, 2),
            "res_encoder": code.features,
            "pooled": pooled,
            "z": z,
            "z_mu": code.mean,
            "z_log_var": code.log_variance,
            "decoder_trunk": network.decoder.trunk(z, None, train=False)[:, None],
            "recon": network.decode(z),
            "lead_attention": code.lead_attention,
        }
        if code.time_attention is not None:
            found["time_attention"] = code.time_attention.swapaxes(0, 1)
        return {name: value for name, value in found.items() if value is not None}

    return network.apply(variables, method=stages)
