"""The words of configs/medklip.py, what follows from them, and what they refuse."""

from pathlib import Path

import pytest

from medjax.errors import UsageError
from medjax.run.overrides import Override
from medjax.run.words import load, load_config, open_recipe

CONFIG = Path(__file__).parents[3] / "configs" / "medklip.py"
BERT = Path(__file__).parents[2] / "weights" / "recorded" / "tiny_bert"


@pytest.fixture
def named(tmp_path) -> dict[str, str]:
    return {"data.dir": str(tmp_path), "text.bert_dir": str(BERT)}


def test_the_published_recipe(named) -> None:
    config = load_config(CONFIG, ("published",), named)
    pretrain = config.pretrain
    assert config.data.image.size == 224 and config.data.image.crop_area == (0.2, 1.0)
    assert (pretrain.model.backbone, pretrain.model.stages, pretrain.model.dim) == (
        "resnet50",
        3,
        256,
    )
    assert (pretrain.model.decoder_layers, pretrain.model.heads) == (4, 4)
    assert (pretrain.train.epochs, pretrain.train.global_batch_size) == (100, 48)
    optimizer = pretrain.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.weight_decay) == (
        "adamw",
        1e-4,
        0.02,
    )
    assert optimizer.schedule == "warmup_cosine" and optimizer.decay_rule == "matrices"
    assert config.finetune.train.epochs == 100 and config.segmentation.train.epochs == 1000


def test_published_quirks_yield_to_what_is_named(named) -> None:
    fields = {**named, "compat": "published", "pretrain.train.validation_shuffle": "False"}
    config = load_config(CONFIG, ("published",), fields)
    assert config.pretrain.optimizer.schedule == "epoch_clock"
    assert config.pretrain.loss.empty_mask_loss == "nan"
    assert config.pretrain.text.position_prompt == "underscores"
    assert config.grounding.empty_mask == "miss"
    assert not config.pretrain.train.validation_shuffle
    assert config.evaluation.f1_threshold_rule == "above"


def test_readers_have_the_network_of_the_pre_training() -> None:
    config = load_config(CONFIG, ("demo",), {"pretrain.model.dim": "32"})
    assert config.zero_shot.model.dim == config.grounding.model.dim == 32


@pytest.mark.parametrize(
    ("word", "stages", "fraction"),
    [
        ("finetune_1", ("pretrain", "finetune"), 0.01),
        ("segmentation_10", ("pretrain", "segmentation"), 0.1),
        ("finetune_100", ("pretrain", "finetune"), 1.0),
    ],
)
def test_fine_tuning_at_shares_of_the_films(word, stages, fraction) -> None:
    config = load_config(CONFIG, ("demo", word))
    assert config.stages == stages
    assert config[stages[-1]].train.train_fraction == fraction


def test_what_is_missing_is_said_before_anything_runs(named) -> None:
    recipe = open_recipe(CONFIG)
    with pytest.raises(UsageError, match=r"medjax\.prepare radgraph"):
        load(recipe, ("published",))
    with pytest.raises(UsageError, match=r"--config\.text\.bert_dir=FOLDER"):
        load(recipe, ("published",), [Override("data.dir", named["data.dir"])])
