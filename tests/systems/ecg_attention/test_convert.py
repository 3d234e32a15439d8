"""Published weights of every network go into our folders and back, byte for byte."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from medjax.convert import main as convert
from medjax.run.init_from import Source, read_variables
from medjax.run.overrides import Override
from medjax.run.words import load, open_recipe
from medjax.systems.ecg_attention.convert import UNTOLD, idle, layers, shapes
from medjax.systems.ecg_attention.model import make_network
from medjax.systems.ecg_attention.recognise import RECIPE, describe
from medjax.weights.files import write_weights

CONFIG = Path(__file__).parents[3] / "configs" / "ecg_attention.py"
SMALL = RECIPE | {
    "network": "dual_attention",
    "prefix": "",
    "leads": 8,
    "time_steps": 64,
    "pool_dim": 16,
    "latent_dim": 16,
    "down_blocks": 3,
    "up_blocks": 3,
    "base_features": 2,
    "projector": [],
    "classes": 0,
    "classifier_hidden": 0,
    "risk": 0,
    "contrast": [],
}
PRETRAINED = {"prefix": "network.", "projector": [8, 8, 24]}
MODELS = {
    "pretraining": PRETRAINED,
    "classes": {"prefix": "network.", "classes": 5, "classifier_hidden": 128},
    "risk": {"risk": 3},
    "no_lead_attention": {"lead_attention": False, "risk": 3},
    "no_time_attention": {"time_attention": False, "decoder_linears": 1},
    "variational": {"variational": True, "latent_linear": True, "latent_dim": 6},
    "linear_time_code": {"latent_linear": True, "latent_dim": 6, "time_code": True},
    "contrast": PRETRAINED | {"contrast": ["logit_scale", "logit_bias"]},
}
BASELINES = {
    "marcel_vae": {"network": "marcel_vae", **PRETRAINED},
    "xresnet": {"network": "xresnet1d101", "risk": 3},
    "xresnet_linear": {"network": "xresnet1d101", "decoder": "linear"},
    "xresnet_attention": {
        "network": "xresnet1d101",
        "decoder": "attention_decoder",
        "base_features": 4,
        **{"up_blocks": 5, "down_blocks": 5},
    },
}
UNREAD = {
    "marcel_vae": ("decoder", "pool_dim", "down_blocks", "up_blocks", "base_features"),
    "xresnet": ("pool_dim", "down_blocks", "up_blocks", "base_features"),
    "xresnet_linear": ("pool_dim", "down_blocks", "up_blocks", "base_features"),
    "xresnet_attention": ("pool_dim",),
}
"""Fields that a baseline does not have."""


def state_dict(model: dict) -> dict[str, np.ndarray]:
    """A state dict of drawn numbers, in another order than the table's."""
    generator = np.random.default_rng(0)
    names = {**shapes(model), **{name: value.shape for name, value in idle(model).items()}}
    found = {}
    for name, shape in reversed(names.items()):
        counter = name.endswith("num_batches_tracked")
        values = generator.standard_normal(shape).astype(np.float32)
        found[name] = np.asarray(7, np.int64) if counter else values
    for name in list(found):  # one parameter under two names
        if ".convs." in name:
            found[name] = found[name.replace(".convs.", ".convpath.0.")]
    return found


@pytest.mark.parametrize("name", [*MODELS, *BASELINES])
def test_names_and_shapes_tell_the_network(name) -> None:
    model = SMALL | (MODELS | BASELINES)[name]
    if model["network"] == "xresnet1d101":
        model |= {"latent_dim": 16}
    found = describe({n: a.shape for n, a in state_dict(model).items()})
    unread = UNREAD.get(name, ())
    assert {n: v for n, v in found.items() if n not in unread} == {
        n: v for n, v in model.items() if n not in unread
    }
    network = make_network({**UNTOLD, **found})
    x = jax.ShapeDtypeStruct((1, model["leads"], model["time_steps"]), np.float32)
    jax.eval_shape(network.init, jax.random.key(0), x)


@pytest.mark.parametrize("name", ["pretraining", "no_lead_attention", "marcel_vae", "xresnet"])
def test_a_file_goes_into_a_folder_and_back_byte_for_byte(name, tmp_path) -> None:
    model = SMALL | (MODELS | BASELINES)[name]
    file, back = tmp_path / "checkpoint.ckpt", tmp_path / "back.ckpt"
    write_weights(file, state_dict(model), {"epoch": 3}, "state_dict")
    assert convert(["ecg_attention", f"--from={file}", f"--to={tmp_path / 'ours'}"]) == 0
    assert convert(["ecg_attention", "--back", f"--from={tmp_path / 'ours'}", f"--to={back}"]) == 0
    assert back.read_bytes() == file.read_bytes()
    table = layers(model)
    variables = read_variables(Source(tmp_path / "ours", "best"))
    assert set(variables["params"]) <= {layer.path[0] for layer in table}


def test_leads_of_a_stack_keep_their_places(tmp_path) -> None:
    model = SMALL | MODELS["risk"]
    weights = state_dict(model)
    write_weights(tmp_path / "risk.pth", weights, {}, "")
    convert(["ecg_attention", f"--from={tmp_path / 'risk.pth'}", f"--to={tmp_path / 'ours'}"])
    params = read_variables(Source(tmp_path / "ours", "best"))["params"]
    stacked = params["encoder"]["attention"]["time"]["attention"]["input"]["kernel"]
    for lead in range(model["leads"]):
        published = weights[f"encoder.attention.time_mha.{lead}.in_proj_weight"]
        np.testing.assert_array_equal(stacked[lead], published.T)
    np.testing.assert_array_equal(
        params["head"]["linear2"]["kernel"], weights["downsteam_net.model.6.weight"].T
    )


def test_a_stage_that_takes_the_encoder_computes_as_published(tmp_path) -> None:
    model = SMALL | PRETRAINED
    write_weights(tmp_path / "last.ckpt", state_dict(model), {}, "state_dict")
    ours = tmp_path / "ours"
    convert(["ecg_attention", f"--from={tmp_path / 'last.ckpt'}", f"--to={ours}"])
    assert json.loads((ours / "converted.json").read_text())["bearing"] == {"encoder": [""]}
    start = Override("pretrain.init_from", f"encoder:{ours}")
    leads = Override("data.leads", "8")
    config = load(open_recipe(CONFIG), ("smoke",), [start, leads]).config.pretrain
    assert config.model.stem_channel_order == "feature_major"
    assert config.input.input_cleaning == "shared"
    assert (config.model.leads, config.model.time_steps, config.model.pool_dim) == (8, 64, 16)
