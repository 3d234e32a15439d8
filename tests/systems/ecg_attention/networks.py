"""Options of small networks for tests."""

from typing import Any

OPTIONS: dict[str, Any] = {
    "network": "dual_attention",
    "decoder": "ms_resnet",
    "leads": 12,
    "time_steps": 608,
    "latent_dim": 512,
    "pool_dim": 512,
    "down_blocks": 5,
    "up_blocks": 5,
    "base_features": 4,
    "decoder_linears": 2,
    "latent_linear": False,
    "variational": False,
    "time_code": False,
    "add_time_mask": True,
    "lead_attention": True,
    "time_attention": True,
    "serial_attention": False,
    "lead_mask": False,
    "batchwise_dropout": False,
    "dropout": 0.2,
    "stem_channel_order": "lead_major",
    "lead_mask_assignment": "per_sample",
    "ablated_lead_branch": "duplicate",
    "dropout_placement": "uniform",
    "latent_sample_in_eval": False,
    "norm_output": False,
}
"""The published sizes, with our behaviour."""
SMALL = OPTIONS | {
    "leads": 3,
    "time_steps": 32,
    "latent_dim": 16,
    "pool_dim": 16,
    "down_blocks": 2,
    "up_blocks": 2,
}
