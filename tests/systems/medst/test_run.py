"""Runs of MedST: what a smoke run says, other words, another run's weights."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medjax.convert import main as convert
from medjax.errors import UsageError
from medjax.main import main
from medjax.prepare import main as prepare
from medjax.run.words import load_config
from medjax.systems.medst.finish import finish as config_finish

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "configs" / "medst.py"
PAIR = ["dicom_id", "previous_dicom_id"]


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def test_what_the_tasks_say_is_drawn_and_compared(finish_smoke) -> None:
    run = finish_smoke(CONFIG)
    told = results(run)
    for name in ("auroc", "accuracy", "order_effect"):
        assert told["temporal_sentences"]["all"][name]["value"] is not None
    rsna = told["zeroshot_rsna"]["test"]
    assert rsna["auroc/Pneumonia"] == rsna["auroc_score/Pneumonia"]
    compared = told["temporal"]["test"]
    gain = compared["accuracy_gain/mean"]["value"]
    ways = [compared[f"accuracy/{way}/mean"]["value"] for way in ("alone", "together")]
    assert gain == pytest.approx(ways[1] - ways[0])
    assert ways[1] == told["pairwise"]["test"]["accuracy/mean"]["value"]
    drawn = {path.name for path in (run / "plots").glob("*.png")}
    assert {
        "temporal.png",
        "temporal_images-all-confusion.png",
        "temporal_sentences-all-similarity.png",
        "zeroshot_rsna-test-roc.png",
        "pairwise-test-confusion.png",
    } <= drawn


def test_published_machines_decide_every_pair_once(finish_smoke) -> None:
    run = finish_smoke(CONFIG)
    rows = pd.read_parquet(run / "temporal_images" / "predictions-all.parquet")
    assert not rows.duplicated([*PAIR, "finding"]).any()
    split_of = rows.groupby("subject_id")["split"].nunique()
    assert (split_of == 1).all()
    together = pd.read_parquet(run / "pairwise" / "predictions-test.parquet")
    tested = rows[rows["split"] == "test"]
    assert set(map(tuple, tested[PAIR].to_numpy())) <= set(map(tuple, together[PAIR].to_numpy()))


def test_pairs_start_from_the_encoder_of_pretraining() -> None:
    config = load_config(CONFIG, ("smoke",), {"pretrain.model.backbone": "vit_nano_patch16"})
    for name in ("temporal_images", "zeroshot_rsna", "pairwise"):
        assert config[name].model.backbone == "vit_nano_patch16"
    text = load_config(CONFIG, ("smoke", "word_order"))
    assert text.sentences_legacy.model.text_positions == "zero"
    assert text.temporal_sentences.model.text_positions == "sequential"


def test_weights_of_another_run_stand_in_for_pretraining(finish_smoke, tmp_path) -> None:
    """Without its films: the vocabulary travels with the weights."""
    run = finish_smoke(CONFIG)
    prepared = run / "demo" / "prepared"
    argv = [f"--config={CONFIG}:smoke,zeroshot_rsna", f"--config.weights={run / 'pretrain'}"]
    argv += ["--config.size=published", f"--config.data.rsna_dir={prepared / 'rsna'}"]
    assert main([*argv, f"--workdir={tmp_path}"]) == 0
    table = "zeroshot_rsna/predictions-test.parquet"
    ours, again = pd.read_parquet(run / table), pd.read_parquet(tmp_path / table)
    np.testing.assert_allclose(again["score/Pneumonia"], ours["score/Pneumonia"], atol=1e-6)
    assert set(results(tmp_path)) == {"zeroshot_rsna"}


def test_weights_stand_in_for_pretraining_that_is_not_among_the_stages() -> None:
    config = load_config(CONFIG, ("smoke",))
    config.stages, config.weights = ("zeroshot_rsna", "pairwise"), "runs/other/pretrain"
    config_finish(config, frozenset({"stages", "weights"}))
    assert config.stages == ("zeroshot_rsna", "pairwise")
    assert config.zeroshot_rsna.init_from == config.weights
    assert config.pairwise.init_from[0][1] == config.weights


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("crop", 30, "use a multiple of 8"),
        ("crop", 48, "no larger"),
        ("canvas", 24, "no larger"),
    ],
)
def test_views_that_cannot_be_are_refused(field, value, says) -> None:
    config = load_config(CONFIG, ("smoke",))
    config.data.image[field] = value
    with pytest.raises(UsageError, match=says):
        config_finish(config, frozenset({f"data.image.{field}"}))


def test_a_tasks_folder_of_another_source_is_refused(finish_smoke, tmp_path, capsys) -> None:
    prepared = finish_smoke(CONFIG) / "demo" / "prepared"
    argv = [f"--config={CONFIG}:smoke,zeroshot_rsna", f"--workdir={tmp_path}"]
    argv += [f"--config.data.{name}={prepared / 'films'}" for name in ("dir", "rsna_dir")]
    assert main(argv) == 1
    assert "is prepared from mimic_cxr; give the --out of" in capsys.readouterr().err


def test_a_task_without_its_set_is_refused_before_anything_runs(tmp_path, capsys) -> None:
    argv = [f"--config={CONFIG}:smoke", "--config.size=published", f"--workdir={tmp_path}"]
    assert main([*argv, f"--config.data.dir={tmp_path}"]) == 1
    assert "medjax.prepare ms_cxr_t" in capsys.readouterr().err


@pytest.mark.slow
def test_word_order_counts_with_positions_alone(tmp_path) -> None:
    # Long enough for the running statistics of the heads: before, all texts look alike.
    longer = [f"--config.{name}.train.epochs=40" for name in ("pretrain", "pretrain_legacy")]
    argv = [f"--config={CONFIG}:smoke,word_order", f"--workdir={tmp_path}", *longer]
    assert main(argv) == 0
    told = results(tmp_path)
    assert told["sentences_legacy"]["all"]["order_effect"]["value"] < 1e-7
    assert told["temporal_sentences"]["all"]["order_effect"]["value"] > 1e-7
    beside = {name: found["value"] for name, found in told["word_order"]["all"].items()}
    assert beside["auroc_same_words/sentences_legacy"] == 0.5
    moved = [beside[f"order_effect/{name}"] for name in ("sentences_legacy", "temporal_sentences")]
    assert moved[0] < 1e-7 < moved[1]


@pytest.mark.slow
@pytest.mark.parametrize("words", ["mgca,temporal", "mgca,zeroshot_rsna"])
def test_other_words_run(words, tmp_path) -> None:
    assert main([f"--config={CONFIG}:smoke,{words}", f"--workdir={tmp_path}"]) == 0
    assert "loss_proto" in results(tmp_path)["pretrain"]["test"]


@pytest.mark.slow
@pytest.mark.parametrize("word", ["covidx", "covidx_finetune"])
def test_covidx_at_three_shares_of_its_films_in_one_command(word, tmp_path) -> None:
    assert main([f"--config={CONFIG}:smoke,{word}", f"--workdir={tmp_path}"]) == 0
    told = results(tmp_path)
    stages = [name for name in told if name.startswith(word)]
    assert sorted(stages) == [f"{word}_1", f"{word}_10", f"{word}_100"]
    assert all(0 <= told[name]["test"]["accuracy"]["value"] <= 1 for name in stages)
    assert (tmp_path / "plots" / f"{word}_1-test-confusion.png").is_file()


@pytest.mark.slow
def test_a_trained_run_goes_to_a_checkpoint_and_back_with_its_results(
    finish_smoke, tmp_path
) -> None:
    run = finish_smoke(CONFIG)
    file, ours = tmp_path / "medst.ckpt", tmp_path / "ours"
    assert convert(["medst", "--back", f"--from={run / 'pretrain'}", f"--to={file}"]) == 0
    assert convert(["medst", f"--from={file}", f"--to={ours}"]) == 0
    prepared = run / "demo" / "prepared"
    argv = [f"--config={CONFIG}:smoke,zeroshot_rsna", f"--config.weights={ours}"]
    argv += ["--config.size=published", f"--config.data.rsna_dir={prepared / 'rsna'}"]
    assert main([*argv, "--mode=evaluate", f"--workdir={tmp_path / 'evaluated'}"]) == 0
    told = (tmp_path / "evaluated" / "zeroshot_rsna" / "results.json").read_bytes()
    assert told == (run / "zeroshot_rsna" / "results.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "finding"),
    [("segment_siim", "Pneumothorax"), ("segment_rsna,resnet50", "Pneumonia")],
)
def test_masks_at_three_shares_of_the_films_in_one_command(words, finding, tmp_path) -> None:
    assert main([f"--config={CONFIG}:smoke,{words}", f"--workdir={tmp_path}"]) == 0
    told = results(tmp_path)
    word = words.partition(",")[0]
    stages = [f"{word}_{percent}" for percent in (1, 10, 100)]
    assert sorted(told) == ["pretrain", *stages]
    for name in stages:
        of = told[name]["test"]
        assert {f"{score}/{finding}" for score in ("dice", "dice_positive", "iou")} < set(of)
        assert 0 <= of[f"dice/{finding}"]["low"] <= of[f"dice/{finding}"]["value"] <= 1
        assert (tmp_path / name / "pages" / "test-masks.png").is_file()
        rows = pd.read_parquet(tmp_path / name / "predictions-test.parquet")
        assert of[f"dice/{finding}"]["value"] == pytest.approx(rows[f"dice/{finding}"].mean())
    assert sorted(path.name for path in (tmp_path / "demo" / "prepared").iterdir()) == [
        "films",
        word.removeprefix("segment_"),
    ]


@pytest.mark.slow
def test_boxes_are_found_and_films_without_known_ones_read(tmp_path) -> None:
    argv = [f"--config={CONFIG}:smoke,detect_rsna", f"--workdir={tmp_path / 'run'}"]
    assert main(argv) == 0
    told = results(tmp_path / "run")
    assert sorted(told) == ["detect_rsna_1", "detect_rsna_10", "detect_rsna_100", "pretrain"]
    of = told["detect_rsna_100"]["test"]
    assert of["map"] == of["map_standard"] and {"map_published", "ap/iou=0.75", "loss"} <= set(of)
    stage = tmp_path / "run" / "detect_rsna_100"
    assert (stage / "pages" / "test-boxes.png").is_file()
    ours = pd.read_parquet(stage / "predictions-test.parquet").set_index("dicom_id")
    assert (ours["number/Pneumonia"] == ours["boxes/Pneumonia"].map(count_of)).all()

    raw, unknown = tmp_path / "run" / "demo" / "raw" / "rsna", tmp_path / "unknown"
    table = pd.read_csv(raw / "stage_2_train_labels.csv")
    table.assign(x="", y="", width="", height="", Target=0).to_csv(raw / "none.csv", index=False)
    options = ["--table=none.csv", "--unlabelled", "--workers=1", "--sizes=long40"]
    assert prepare(["rsna", f"--raw={raw}", f"--out={unknown}", *options]) == 0
    argv = [f"--config={CONFIG}:smoke,detect_rsna", "--mode=predict"]
    argv += ["--config.stages=detect_rsna_100", f"--config.detect_rsna_100.init_from={stage}"]
    argv += [f"--config.data.rsna_dir={unknown}", f"--workdir={tmp_path / 'again'}"]
    assert main(argv) == 0
    stage = tmp_path / "again" / "detect_rsna_100"
    again = pd.read_parquet(stage / "predictions-all.parquet").set_index("dicom_id")
    assert (again.loc[ours.index, "boxes/Pneumonia"] == ours["boxes/Pneumonia"]).all()
    assert (stage / "pages" / "all-boxes.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "labels"),
    [("probe_chexpert", 5), ("probe_rsna,resnet50", 1)],
)
def test_labels_of_mgcas_tasks_are_probed(words, labels, tmp_path) -> None:
    assert main([f"--config={CONFIG}:smoke,{words}", f"--workdir={tmp_path}"]) == 0
    told, word = results(tmp_path), words.partition(",")[0]
    assert sorted(told) == ["pretrain", *(f"{word}_{n}" for n in (1, 10, 100))]
    of = told[f"{word}_100"]["test"]
    assert 0 <= of["auroc/macro"]["value"] <= 1
    assert sum(name.startswith("auroc/") and name[6].isupper() for name in of) == labels
    assert (tmp_path / "plots" / f"{word}_100-test-roc.png").is_file()


def count_of(boxes: str) -> int:
    """Return the number of boxes that are written in a text."""
    return len(boxes.split("|")) if boxes else 0
