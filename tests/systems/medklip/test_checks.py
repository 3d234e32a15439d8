"""Mistakes in a config of MedKLIP are told in one sentence before anything is trained."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medjax.errors import UsageError, UserError
from medjax.run.words import load_config
from medjax.systems.medklip.books import Texts
from medjax.systems.medklip.opening import Opened, stage_batches
from medjax.systems.medklip.system import check_names

CONFIG = Path(__file__).parents[3] / "configs" / "medklip.py"


@pytest.mark.parametrize(
    ("words", "field", "value", "message"),
    [
        ((), "zero_shot.description", "a lobe", r"--config\.zero_shot\.disease=NAME"),
        ((), "pretrain.model.heads", "3", "16, must be a multiple of it"),
        ((), "pretrain.model.stages", "5", r"resnet10 has no 5 stages: give .* up to 4"),
        (("finetune_10",), "finetune.model.backbone", "resnet4", "has no 4 stages"),
        (("finetune_10",), "finetune.model.backbone", "vit_nano_patch16", "takes a ResNet"),
        ((), "data.image.crop_area", "0.6", "as 0.2,1.0"),
        ((), "data.position_candidates", "1", "give 2 or more"),
        ((), "data.report_sections", "findngs", "no choice 'findngs'"),
        (("finetune_10",), "finetune.train.train_fraction", "1.5", "above 0, at most 1"),
    ],
)
def test_fields_of_which_nothing_can_be_made(words, field, value, message) -> None:
    with pytest.raises(UsageError, match=message):
        load_config(CONFIG, ("smoke", *words), {field: value})


def test_a_transformer_cuts_films_into_whole_patches() -> None:
    fields = {f"{stage}.model.backbone": "vit_nano_patch16" for stage in ("pretrain",)}
    with pytest.raises(UsageError, match=r"image\.size is 40.*multiple of 16"):
        load_config(CONFIG, ("smoke", "pretrain"), {**fields, "data.image.size": "40"})
    fields |= {"pretrain.model.dim": "18", "pretrain.model.heads": "2"}
    load_config(CONFIG, ("smoke", "pretrain"), fields)
    fields |= {"pretrain.model.backbone": "resnet10"}
    fields |= {"pretrain.model.patch_position_encoding": "sine"}
    with pytest.raises(UsageError, match="multiple of 4"):
        load_config(CONFIG, ("smoke", "pretrain"), fields)


def opened(folder: Path) -> Opened:
    films = SimpleNamespace(film_labels=("Effusion", "Mass"), region_labels=("Mass",))
    return Opened(films, Texts(folder, ("fluid in the pleural space", "a round mass")))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "fields", "message"),
    [
        ("zero_shot", {"zero_shot.labels": "Efusion"}, "did you mean 'Effusion'"),
        ("zero_shot", {"zero_shot.disease": "xyzzy"}, "'xyzzy' has no word"),
        ("ground", {"grounding.labels": "Effusion"}, "no places of 'Effusion'"),
        ("finetune_100", {"finetune.labels": "Mas"}, "did you mean 'Mass'"),
        ("segmentation_100", {"segmentation.finding": "Effusion"}, "name one finding"),
    ],
)
def test_names_are_looked_up_before_the_pre_training(word, fields, message, tmp_path) -> None:
    config = load_config(CONFIG, ("smoke", word), fields)
    with pytest.raises(UserError, match=message):
        check_names(config, opened(tmp_path), tmp_path)
    stage = tmp_path / config.stages[-1]
    stage.mkdir()
    (stage / "artefacts.json").write_text("{}")
    check_names(config, opened(tmp_path), tmp_path)  # trained: it may be given other films


def test_augmentation_leaves_masks_where_they_are() -> None:
    config = load_config(
        CONFIG, ("smoke", "segmentation_100"), {"data.image.augment_operations": "2"}
    )
    films = SimpleNamespace(splits={}, regions=None)
    batches = [
        stage_batches(config, config.segmentation, films, targets)  # type: ignore[arg-type]
        for targets in ("labels", "region")
    ]
    augmented = [each._options.view.augment is not None for each in batches]
    np.testing.assert_array_equal(augmented, [True, False])
