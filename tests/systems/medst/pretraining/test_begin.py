"""Where pre-training begins: encoders of other files, weights of MGCA, or nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flax import traverse_util

from medjax.convert import main as convert
from medjax.errors import UsageError, UserError
from medjax.nn.torch_names import bert_layers, from_torch, vit_layers
from medjax.nn.vit import VITS
from medjax.run.replicas import replicas
from medjax.run.sharding import make_mesh
from medjax.run.stage import Stage
from medjax.run.words import load_config
from medjax.systems.medst import system
from medjax.systems.medst.convert import CONVERTER, shapes
from medjax.systems.medst.networks.backbones import SMALL_VITS
from medjax.weights import torchvision
from medjax.weights.files import read_weights, write_weights
from tests.systems.medst.checkpoints import BERT, SIDE, TEXT, drawn, model_of, write_checkpoint

ROOT = Path(__file__).parents[4]
CONFIG = ROOT / "configs" / "medst.py"
FIELDS = {f"pretrain.model.text.{name}": str(value) for name, value in TEXT.items()}
FIELDS |= {"data.max_tokens": "20", "text.bert_dir": str(BERT)}
NETWORK, WORDS = "params/image_encoder/network", "params/text_encoder/bert"
BLOCK = f"{NETWORK}/blocks_0"
FROM_IMAGES = "image_encoder/network:"
Arrays = dict[str, np.ndarray]
Begin = Callable[..., Arrays]


@pytest.fixture(scope="module")
def films(finish_smoke) -> Path:
    return finish_smoke(CONFIG) / "demo" / "prepared" / "films"


@pytest.fixture(scope="module")
def begin(films, tmp_path_factory) -> Begin:
    """Return a function: fields -> the variables that pre-training begins with, by path."""

    def begun(fields: dict[str, str], *words: str) -> Arrays:
        folder = tmp_path_factory.mktemp("begun")
        given = {"data.dir": str(films)} | FIELDS | fields
        config = load_config(CONFIG, ("smoke", "pretrain", *words), given)
        data = system.open_data(config, folder)
        stage = Stage(replicas(config)[0], "pretrain", folder, make_mesh(), system, data)
        variables = stage.initial_variables(stage.build(), {})
        return {n: np.asarray(x) for n, x in by_path(variables).items()}

    return begun


@pytest.fixture(scope="module")
def fresh(begin) -> Arrays:
    """What pre-training begins with when nothing is loaded and nothing copied."""
    return begin({"text.init": "random", "pretrain.view_expert_init": "random"})


def by_path(variables: dict) -> Arrays:
    return traverse_util.flatten_dict(variables, sep="/")


@pytest.fixture(scope="module")
def vit(tmp_path_factory) -> tuple[Path, Arrays]:
    """A converted transformer of timm's names, and its parameters by our paths."""
    folder = tmp_path_factory.mktemp("vit")
    sizes = SMALL_VITS["vit_pico_patch8"]._replace(image_size=SIDE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VITS, "vit_pico_patch8", sizes)
        tensors = drawn(torchvision.shapes({"backbone": "vit_pico_patch8"}))
        head = {"head.weight": np.zeros((9, 16), np.float32), "head.bias": np.zeros(9, np.float32)}
        write_weights(folder / "deit.pth", tensors | head, {}, "model")
        argv = [f"--from={folder / 'deit.pth'}", f"--to={folder / 'weights'}"]
        assert convert(["torchvision", *argv]) == 0
    params = by_path(from_torch(vit_layers(1), tensors)["params"])
    return folder / "weights", {f"{NETWORK}/{name}": array for name, array in params.items()}


def converted(folder: Path, method: str) -> tuple[Path, Arrays]:
    """A converted checkpoint, and its variables by our paths."""
    file, tensors = write_checkpoint(folder, method)
    assert convert(["medst", f"--from={file}", f"--to={folder / method}"]) == 0
    read = {name: tensors[name] for name in shapes(model_of(method))}
    return folder / method, by_path(from_torch(CONVERTER.layers(model_of(method)), read))


@pytest.fixture(scope="module")
def mgca(tmp_path_factory) -> tuple[Path, Arrays]:
    return converted(tmp_path_factory.mktemp("weights"), "mgca")


def bert_params() -> Arrays:
    tensors = read_weights(BERT / "model.safetensors").tensors
    params = by_path(from_torch(bert_layers(2), tensors)["params"])
    return {f"{WORDS}/{name}": array for name, array in params.items()}


def frontal(path: str) -> str:
    return path.replace("lateral_mlp", "mlp").replace("lateral_norm", "mlp_norm")


def assert_same(found: Arrays, expected: Arrays, paths) -> None:
    paths = list(paths)
    assert paths
    for path in paths:
        np.testing.assert_array_equal(found[path], expected[path], err_msg=path)


def test_encoders_of_files_begin_as_they_are_and_heads_afresh(begin, fresh, vit) -> None:
    folder, image = vit
    found = begin({"pretrain.init_from": f"{FROM_IMAGES}{folder}"})
    assert found.keys() == fresh.keys()
    bert = bert_params()
    words = [path for path in found if path.startswith(WORDS)]
    assert_same(found, image, image)
    assert_same(found, bert, words)
    assert f"{WORDS}/layers_1/query/kernel" in bert  # of which there is no second layer here
    lateral = [path for path in found if "lateral_" in path]
    assert_same(found, {path: found[frontal(path)] for path in lateral}, lateral)
    assert_same(found, fresh, found.keys() - image.keys() - set(words) - set(lateral))


def test_lateral_experts_may_begin_at_random(begin, fresh, vit) -> None:
    folder, image = vit
    fields = {"pretrain.view_expert_init": "random", "text.init": "random"}
    found = begin(fields | {"pretrain.init_from": f"{FROM_IMAGES}{folder}"})
    assert_same(found, image, image)
    assert_same(found, fresh, fresh.keys() - image.keys())


def test_published_encoders_are_wiped(begin, vit) -> None:
    folder, image = vit
    found = begin({"compat": "published", "pretrain.init_from": f"{FROM_IMAGES}{folder}"})
    kept = [f"{NETWORK}/{name}" for name in ("class_token", "positions", "embedding/kernel")]
    assert_same(found, image, kept)
    for path in image.keys() - {*kept, f"{NETWORK}/embedding/bias"}:
        assert not np.array_equal(found[path], image[path]), path
    table = f"{WORDS}/embeddings/word/embedding"
    assert np.std(found[table]) < 0.03 < np.std(bert_params()[table])
    assert not np.array_equal(found[f"{BLOCK}/mlp/hidden/kernel"],
                              found[f"{BLOCK}/lateral_mlp/hidden/kernel"])  # fmt: skip


def test_mgca_brings_encoders_with_heads_and_its_experts_are_copied(begin, fresh, mgca) -> None:
    folder, theirs = mgca
    found = begin({"pretrain.init_from": str(folder)})
    assert found.keys() == fresh.keys()
    shared = found.keys() & theirs.keys()
    assert theirs.keys() - shared == {"params/prototype_layer/kernel"}
    assert "batch_stats/image_encoder/global_head/hidden_norm/mean" in shared
    assert_same(found, theirs, shared)
    lateral = [path for path in found if "lateral_" in path]
    assert_same(found, {path: found[frontal(path)] for path in lateral}, lateral)
    assert_same(found, fresh, found.keys() - shared - set(lateral))


def test_mgca_comes_after_the_wipe(begin, fresh, mgca) -> None:
    folder, theirs = mgca
    found = begin({"compat": "published", "pretrain.init_from": str(folder)})
    assert_same(found, theirs, found.keys() & theirs.keys())
    assert_same(found, fresh, ["params/local_alignment/word_weights/input/kernel"])
    lateral = found[f"{BLOCK}/lateral_mlp/hidden/kernel"]
    assert not np.array_equal(lateral, found[f"{BLOCK}/mlp/hidden/kernel"])
    assert not np.array_equal(lateral, fresh[f"{BLOCK}/lateral_mlp/hidden/kernel"])


def test_mgca_brings_how_it_reads_texts_unless_told_otherwise(mgca, films) -> None:
    fields = {"data.dir": str(films), "text.bert_dir": str(BERT), "data.max_tokens": "20"}
    fields |= {"pretrain.init_from": str(mgca[0]), "pretrain.model.text.heads": "2"}
    config = load_config(CONFIG, ("smoke", "temporal"), fields)
    assert config.pretrain.model.method == "medst"
    assert config.pretrain.model.text.max_positions == 20  # of the weights
    for stage in (config.pretrain, config.temporal_sentences):
        assert stage.model.text_positions == "zero"
        assert stage.model.word_aggregation == "truncated"
    named = {"pretrain.model.text_positions": "sequential"}
    config = load_config(CONFIG, ("smoke", "temporal"), fields | named)
    assert config.temporal_sentences.model.text_positions == "sequential"
    assert config.pretrain.model.word_aggregation == "truncated"
    config = load_config(CONFIG, ("smoke", "temporal", "mgca"), fields)
    assert config.pretrain.init_from == str(mgca[0])  # whole, with its prototypes


def test_a_checkpoint_of_medst_goes_on_with_its_own_lateral_experts(begin, tmp_path) -> None:
    folder, theirs = converted(tmp_path, "medst")
    found = begin({"pretrain.init_from": str(folder)})
    assert found.keys() == theirs.keys()
    assert_same(found, theirs, found)


def test_without_files_the_lateral_experts_are_the_frontal_ones_too(begin, fresh) -> None:
    found = begin({"text.init": "random"})
    lateral = [path for path in found if "lateral_" in path]
    assert_same(found, {path: fresh[frontal(path)] for path in lateral}, lateral)
    assert_same(found, fresh, found.keys() - set(lateral))


def test_a_network_that_lacks_more_than_lateral_experts_is_refused(begin, vit, tmp_path) -> None:
    file = tmp_path / "cut.ckpt"
    whole = drawn(shapes(model_of("mgca")))
    cut = {n: x for n, x in whole.items() if "blocks.0.attn.qkv" not in n}
    write_weights(file, cut, {}, "state_dict")
    argv = ["medst", f"--from={file}", f"--to={tmp_path / 'cut'}"]
    assert convert(argv) == 1 and convert([*argv, "--partial"]) == 0
    with pytest.raises(UserError, match=r"init_from.* 2 missing \(params/image_encoder/network/"):
        begin({"pretrain.init_from": str(tmp_path / "cut")})
    other = {"data.image.crop": "24", "pretrain.init_from": f"{FROM_IMAGES}{vit[0]}"}
    with pytest.raises(UserError, match=r"1 of another shape \(.*/positions \(1, 17, 16\)"):
        begin(other)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pretrain.model.text.feedforward": "32"}, r"give --config\.pretrain\.model\.text\.feed"),
        ({"pretrain.model.text.layers": "3"}, r"give --config\.pretrain\.model\.text\.layers=2"),
        ({"pretrain.model.text.max_positions": "21"}, r"text\.max_positions=20, or .*init=random"),
    ],
)
def test_a_bert_of_other_sizes_is_refused_before_anything_runs(films, fields, message) -> None:
    given = {"data.dir": str(films)} | FIELDS | fields
    with pytest.raises(UsageError, match=message):
        load_config(CONFIG, ("smoke", "pretrain"), given)
    load_config(CONFIG, ("smoke", "pretrain"), given | {"text.init": "random"})


def test_a_folder_of_word_pieces_alone_is_told_of(films, tmp_path) -> None:
    (tmp_path / "vocab.txt").write_bytes((BERT / "vocab.txt").read_bytes())
    given = {"data.dir": str(films)} | FIELDS | {"text.bert_dir": str(tmp_path)}
    with pytest.raises(UsageError, match=r"holds no weights .* --config\.text\.init=random"):
        load_config(CONFIG, ("smoke", "pretrain"), given)


def test_a_vocabulary_beyond_the_table_is_refused(begin, tmp_path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((BERT / name).read_bytes())
    (tmp_path / "vocab.txt").write_text((BERT / "vocab.txt").read_text() + "onemore\n")
    with pytest.raises(
        UserError, match=r"embeddings/word/embedding \[44, 16\] .* array \[43, 16\]"
    ):
        begin({"text.bert_dir": str(tmp_path)})
