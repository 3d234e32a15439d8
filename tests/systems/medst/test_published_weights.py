"""Checkpoints of MedST and MGCA by the real commands: converted, scored with, written back."""

import json
from pathlib import Path

import numpy as np
import pytest

from medjax.convert import main as convert
from medjax.main import main
from medjax.systems.medst.convert import idle, shapes
from medjax.systems.medst.recognise import describe
from medjax.weights.files import read_weights
from tests.systems.medst.checkpoints import model_of, write_checkpoint

CONFIG = Path(__file__).parents[3] / "configs" / "medst.py"
METHODS = ("medst", "mgca")


@pytest.fixture(scope="module")
def word_pieces(finish_smoke, tmp_path_factory) -> Path:
    """A folder of word pieces alone, those of the smoke run."""
    folder = tmp_path_factory.mktemp("word_pieces")
    artefacts = json.loads((finish_smoke(CONFIG) / "pretrain" / "artefacts.json").read_text())
    (folder / "vocab.txt").write_text("\n".join(artefacts["vocabulary"]) + "\n")
    return folder


def evaluate(
    folder: Path, run: Path, method: str, word_pieces: Path, words: str, *fields: str
) -> Path:
    """Score with a converted checkpoint, without the films that it was trained on."""
    weights = folder / "ours"
    if not weights.exists():
        count = len((word_pieces / "vocab.txt").read_text().splitlines())
        file, _ = write_checkpoint(folder, method, count)
        assert convert(["medst", f"--from={file}", f"--to={weights}"]) == 0
    scored = folder / f"run{len(fields)}"
    prepared = run / "demo" / "prepared"
    argv = [f"--config={CONFIG}:smoke,{words}", "--mode=evaluate", f"--workdir={scored}"]
    argv += [f"--config.weights={weights}", "--config.size=published"]
    argv += [f"--config.data.{name}_dir={prepared / name}" for name in ("rsna", "ms_cxr_t")]
    argv += [f"--config.text.bert_dir={word_pieces}", "--config.data.max_tokens=20"]
    assert main([*argv, *fields]) == 0
    return scored


@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_comes_back_array_by_array(method, tmp_path) -> None:
    file, tensors = write_checkpoint(tmp_path, method)
    ours, back = tmp_path / "ours", tmp_path / "back.ckpt"
    assert convert(["medst", f"--from={file}", f"--to={ours}"]) == 0
    assert convert(["medst", "--back", f"--from={ours}", f"--to={back}"]) == 0
    found = read_weights(back)
    assert list(found.tensors) == list(tensors)
    for name, array in tensors.items():
        assert found.tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(found.tensors[name], array, err_msg=name)
    assert found.container == "state_dict" and found.extra["epoch"] == 3
    unread = ("crossattention", "position_ids", "local_atten_layer.in_proj_weight")
    unread += ("pooler", "local_embed_la") if method == "medst" else ()
    assert all(any(part in name for name in tensors) for part in unread)


@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_is_scored_with_as_the_original_reads(
    method, finish_smoke, word_pieces, tmp_path
) -> None:
    run = finish_smoke(CONFIG)
    scored = evaluate(tmp_path, run, method, word_pieces, "zeroshot_rsna")
    config = json.loads((scored / "config.json").read_text())
    assert config["stages"] == ["zeroshot_rsna"]
    model = config["zeroshot_rsna"]["model"]
    assert (model["method"], model["text"]["feedforward"]) == (method, 24)
    assert (model["text_positions"], model["word_aggregation"]) == ("zero", "truncated")
    results = json.loads((scored / "zeroshot_rsna" / "results.json").read_text())
    assert results["test"]["auroc/Pneumonia"]["value"] is not None


@pytest.mark.slow
def test_sentences_are_bags_of_words_unless_read_in_order(
    finish_smoke, word_pieces, tmp_path
) -> None:
    run, effects = finish_smoke(CONFIG), []
    for fields in ((), ("--config.temporal_sentences.model.text_positions=sequential",)):
        scored = evaluate(tmp_path, run, "mgca", word_pieces, "temporal", *fields)
        told = json.loads((scored / "temporal_sentences" / "results.json").read_text())
        effects.append(told["all"]["order_effect"]["value"])
        assert (scored / "temporal_images" / "results.json").is_file()
    assert effects[0] < 1e-6 < 1e-3 < effects[1]


def test_a_run_is_written_with_every_array_that_the_original_asks_for(
    finish_smoke, tmp_path
) -> None:
    run, file = finish_smoke(CONFIG), tmp_path / "medst.ckpt"
    assert convert(["medst", "--back", f"--from={run / 'pretrain'}", f"--to={file}"]) == 0
    tensors = read_weights(file).tensors
    found = {name: array.shape for name, array in tensors.items()}
    model = describe(found)
    expected = {**shapes(model), **{name: array.shape for name, array in idle(model).items()}}
    assert found == expected
    names = set(shapes(model_of("medst"))) | set(idle(model_of("medst")))
    assert set(found) == names  # those of a published file of as many layers
    for part in ("crossattention.self.query", "pooler.dense", "global_embed_la.head.0"):
        drawn = [array for name, array in tensors.items() if f"{part}.weight" in name]
        assert drawn and all(0 < array.std() < 0.05 for array in drawn)
    position = tensors["text_encoder_q.model.embeddings.position_ids"]
    np.testing.assert_array_equal(position, np.arange(position.size)[None])
