"""What follows from the words and fields of the cross-modal config, and what is refused."""

import pytest

from medjax.errors import UsageError
from medjax.run.words import load_config
from tests.conftest import CONFIGS

CONFIG = next(path for path in CONFIGS if path.stem == "crossmodal")


def load(*words, **fields):
    fields = {name.replace("__", "."): value for name, value in fields.items()}
    return load_config(CONFIG, words, fields)


def test_the_published_recipe_is_that_of_the_paper(tmp_path):
    config = load("published", data__dir=str(tmp_path))
    ecg, mri, paired = config.ecg, config.mri, config.paired
    assert (ecg.model.ecg.activation, ecg.model.ecg.conv_layers) == ("mish", (23, 23))
    assert (mri.model.mri.dense_blocks, mri.model.mri.pool_type) == ((40, 40, 40), "average")
    for stage in (ecg, mri, paired):
        assert (stage.train.epochs, stage.train.global_batch_size) == (696, 4)
        assert (stage.train.training_steps, stage.optimizer.learning_rate) == (128, 5e-5)
        assert (stage.train.patience, stage.train.plateau.patience) == (192, 64)
    assert (paired.loss.pair_weight, paired.loss.contrastive_form) == (0.1, "infonce")
    assert not ecg.model.unimodal_merger and paired.model.merge == "sample"
    assert dict(paired.init_from)["decoder_mri"] == "mri"


@pytest.mark.parametrize(
    ("compat", "optimizer", "merge", "gelu"),
    [
        ("published", "radam", "coordinate_fixed", True),
        ("published_2023", "radam", "coordinate_fixed", True),
        ("published_current", "keras_adam", "sample", False),
    ],
)
def test_compat_sets_a_whole_generation_of_the_code(compat, optimizer, merge, gelu):
    config = load("demo", compat=compat)
    paired = config.paired
    assert {s.optimizer.name for s in (config.ecg, config.mri, paired)} == {optimizer}
    assert (paired.model.merge, paired.model.merge_eval) == (merge, "as_training")
    assert config.mri.model.mri.gelu_approximate is gelu
    assert paired.model.mri.gelu_approximate is gelu
    assert config.ecg.model.unimodal_merger and paired.model.mergers == ()
    assert (paired.loss.contrastive_form, paired.loss.temperature_max) == ("swapped", None)
    assert dict(paired.init_from)["encoder_ecg"] == "ecg@last"
    assert (config.evaluation.coverage, paired.data.participants) == ("steps", "all")


def test_a_named_field_wins_over_compat():
    config = load("demo", compat="published", paired__model__merge="sample")
    assert config.paired.model.merge == "sample"
    assert config.paired.loss.contrastive_form == "swapped"


def test_a_unimodal_merger_comes_along_in_front_of_its_decoder():
    config = load("demo", ecg__model__unimodal_merger="True")
    assert config.paired.model.mergers == ("ecg",)
    assert ("merger_ecg", "ecg") in config.paired.init_from
    dropped = load("demo", ecg__model__unimodal_merger="True", paired__model__fold_merger="False")
    assert dropped.paired.model.mergers == ()


@pytest.mark.parametrize(
    ("words", "fields", "sentence"),
    [
        (("published",), {}, "ml4h_cohort"),
        (("demo",), {"paired.model.ecg.dense_layers": "32,"}, "widths differ"),
        (("demo",), {"paired.model.merge": "concat"}, "merge_eval=as_training"),
        (("demo",), {"ecg.model.modalities": "ecg,mri"}, "different ones|no network"),
        (("demo",), {"ecg.model.modalities": "egc,"}, "did you mean|none of"),
        (("demo",), {"evaluation.probes": "rigde,"}, "none of ridge"),
        (("demo",), {"evaluation.probe_folds": "1"}, "2 or more"),
        (("demo",), {"evaluation.probe_splits": "tst,"}, "'tst' is none of.*did you mean 'test'"),
        (("demo",), {"ecg.model.ecg.conv_width": "0,"}, "ecg.model.ecg: conv_width is .*1 or more"),
        (("demo",), {"mri.model.mri.pool_x": "0"}, "mri.model.mri: pool_x is 0: it must be 1"),
        (("demo",), {"ecg.model.ecg.block_size": "0"}, "block_size is 0"),
        (("demo",), {"ecg.model.ecg.block_size": "2"}, "takes encoder_ecg from stage ecg, whose"),
        (("demo",), {"paired.loss.pair": "infonce"}, "contrastive"),
    ],
)
def test_what_cannot_run_is_told_in_a_sentence(words, fields, sentence):
    with pytest.raises(UsageError, match=sentence):
        load_config(CONFIG, words, fields)
