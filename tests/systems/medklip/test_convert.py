"""Files of published names: recognised, converted, and written back as they were."""

from pathlib import Path

import jax
import numpy as np
import pytest

from medjax.convert import main as convert
from medjax.errors import UserError
from medjax.nn.torch_names import to_torch
from medjax.run.converted import read_record
from medjax.run.init_from import Place, Source, read_variables, start_from
from medjax.systems.medklip.classifier import Classifier
from medjax.systems.medklip.convert import CONVERTER, layers, make_network
from medjax.systems.medklip.recognise import describe
from medjax.weights.files import read_weights, write_weights
from medjax.weights.torch_zip import write_zip
from tests.parity.handlers import medklip_networks
from tests.parity.harness import check, find_cases
from tests.variables import draw_variables

ROOT = Path(__file__).parents[3]
SIZES = {"backbone": "resnet10", "stages": 3, "width": 4, "dim": 8, "decoder_layers": 2}
SIZES |= {"feedforward": 12, "text_dim": 6, "attributes": 2, "outputs": 1}
WHOLE = {"image_network": True, "readme_heads": False}
MODELS = {
    "pretraining": SIZES | WHOLE,
    "vit": SIZES | WHOLE | {"backbone": "vit_nano_patch16", "image_size": 32},
    "classification": SIZES | WHOLE,
    "segmentation": SIZES | WHOLE,
    "replication": SIZES | {"stages": 4, "image_network": True, "readme_heads": True},
    "notebook": SIZES
    | {"backbone": "resnet50", "stages": 4, "width": 64}
    | {"image_network": False, "readme_heads": False},
}
KINDS = {"vit": "pretraining", "notebook": "replication"}


def model_of(name: str) -> dict:
    return MODELS[name] | {"kind": KINDS.get(name, name)}


def weights_of(name: str) -> dict[str, np.ndarray]:
    """A state dict of the published names, of small sizes."""
    model = model_of(name)
    generator = np.random.default_rng(1)
    return {
        published: np.zeros((), np.int64)
        if published.endswith("num_batches_tracked")
        else generator.normal(size=shape).astype(np.float32)
        for published, shape in CONVERTER.shapes(model).items()
    }


@pytest.mark.parametrize("name", MODELS)
def test_names_and_shapes_tell_the_network(name) -> None:
    shapes = {n: array.shape for n, array in weights_of(name).items()}
    found, model = describe(shapes), model_of(name)
    fixed = ("kind", "image_network", "readme_heads")
    told = {
        "classification": ("backbone", "stages", "width", "outputs"),
        "segmentation": ("backbone", "stages", "width", "outputs"),
        "vit": ("backbone", "image_size", "dim", "decoder_layers", "feedforward", "text_dim"),
        "notebook": ("dim", "decoder_layers", "feedforward", "text_dim"),
    }.get(name, (*SIZES,))
    told = tuple(n for n in told if n not in ("attributes", "outputs") or name != "replication")
    for field in (*fixed, *told):
        if field != "outputs" or name in ("classification", "segmentation"):
            assert found[field] == model[field], field


def test_published_sizes() -> None:
    published = {
        "disease_embedding_layer.weight": (256, 768),
        "res_features.6.5.conv3.weight": (1024, 256, 1, 1),
        "decoder.layers.3.multihead_attn.in_proj_weight": (768, 256),
        "up_blocks.3.conv_block_1.conv.weight": (64, 67, 3, 3),
        "seg_classifier.weight": (1, 64, 1),
        "res_out.weight": (1, 2048),
        "fusion.decoder.layers.1.linear1.weight": (2048, 768),
        "img_proj.weight": (768, 2048),
    }
    found: dict[str, tuple] = {}
    for kind in ("pretraining", "segmentation", "classification"):
        found |= CONVERTER.shapes({**describe({"res_l1.bias": (1024,)}), "kind": kind})
    found |= CONVERTER.shapes(describe({"img_proj.bias": (768,)}))
    assert {name: found[name] for name in published} == published
    assert not any(name.startswith("backbone.") for name in found)


@pytest.mark.parametrize("name", ["pretraining", "classification", "segmentation"])
def test_a_checkpoint_comes_back_as_it_was(name, tmp_path) -> None:
    file, ours, back = tmp_path / "best.pth", tmp_path / "ours", tmp_path / "back.pth"
    wrapped = {f"module.{n}": array for n, array in weights_of(name).items()}
    write_weights(file, wrapped, {"epoch": 40}, "model")
    assert convert(["medklip", f"--from={file}", f"--to={ours}"]) == 0
    assert convert(["medklip", "--back", f"--from={ours}", f"--to={back}"]) == 0
    assert back.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("name", ["notebook", "replication"])
def test_the_replications_sets_stand_side_by_side(name, tmp_path) -> None:
    """As the notebook saves them: each module's state dict under its own key."""
    weights = weights_of(name)
    saved: dict[str, dict] = {}
    for published, array in weights.items():
        key, _, rest = published.partition(".")
        saved.setdefault(key, {})[rest] = array
    file, ours, back = tmp_path / "final_model.pth", tmp_path / "ours", tmp_path / "back.pth"
    write_zip(file, saved)
    if name == "replication":  # Sets that no notebook writes.
        with pytest.raises(UserError, match=r"several sets of weights \(backbone, fusion"):
            read_weights(file, CONVERTER.sets)
        return
    assert convert(["medklip", f"--from={file}", f"--to={ours}"]) == 0
    record = read_record(ours)
    assert record["settings"]["model.dim"] == 8
    assert record["fields"]["model"]["model.attention_map"] == "output_dot_patches"
    assert convert(["medklip", "--back", f"--from={ours}", f"--to={back}"]) == 0
    assert back.read_bytes() == file.read_bytes()


def test_fine_tuning_takes_the_stages_of_the_pre_training(tmp_path) -> None:
    file, ours = tmp_path / "pretrained.pth", tmp_path / "ours"
    weights = weights_of("pretraining")
    write_weights(file, weights, {}, "model")
    assert convert(["medklip", f"--from={file}", f"--to={ours}"]) == 0
    model = Classifier("resnet10", width=4)
    images = np.zeros((1, 32, 32, 3), np.float32)
    fresh = draw_variables(lambda key: model.init(key, images, train=False))
    init_from = (("network", str(ours), "encoder/network"),)
    started = start_from(fresh, init_from, Place(tmp_path, (), "finetune"))
    state = to_torch(layers(model_of("classification")), started)
    shared = [n for n in weights if n.startswith("res_features.") and n in state]
    assert len(shared) > 40
    for name in shared:
        np.testing.assert_array_equal(state[name], weights[name], err_msg=name)
    np.testing.assert_array_equal(
        started["params"]["head"]["kernel"], fresh["params"]["head"]["kernel"]
    )


def test_other_files_are_refused() -> None:
    with pytest.raises(UserError, match="no part of MedKLIP"):
        describe({"layer1.0.conv1.weight": (1,)})
    with pytest.raises(UserError, match=r"a ResNet of \(2, 5\) blocks"):
        names = ["res_features.4.1.conv1.weight", "res_features.5.4.conv1.weight"]
        describe(dict.fromkeys([*names, "res_l1.bias"], (1,)))


def test_every_network_has_a_name_for_every_variable() -> None:
    for name in MODELS:
        model = model_of(name) | {"image_network": True}
        network, side = make_network(model), model.get("image_size", 32)
        image = np.zeros((1, side, side, 3), np.float32)
        reads = (
            [image, np.zeros((1, 6))]
            if model["kind"] in ("pretraining", "replication")
            else [image]
        )
        shapes = jax.eval_shape(
            lambda key, n=network, r=tuple(reads): n.init(key, *r, train=False), jax.random.key(0)
        )
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
        assert to_torch(layers(model), zeros)


def test_a_converted_checkpoint_gives_the_originals_outputs(tmp_path, monkeypatch) -> None:
    (case,) = (
        case
        for case in find_cases(ROOT / "tests/parity/cases", "medklip")
        if case.folder.name == "forward_eval"
    )
    file, ours, back = tmp_path / "checkpoint_final.pth", tmp_path / "ours", tmp_path / "back.pth"
    wrapped = {f"module.{name}": array for name, array in case.weights.items()}
    write_weights(file, wrapped, {"epoch": 40}, "model")
    assert convert(["medklip", f"--from={file}", f"--to={ours}"]) == 0
    variables = read_variables(Source(ours, "best"))
    monkeypatch.setattr(medklip_networks, "from_torch", lambda table, weights: variables)
    check(case)
    assert convert(["medklip", "--back", f"--from={ours}", f"--to={back}"]) == 0
    assert back.read_bytes() == file.read_bytes()
