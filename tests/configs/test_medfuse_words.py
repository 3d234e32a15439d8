"""Every row of MedFuse's recipe table is a combination of words that gives the row's numbers."""

from pathlib import Path
from typing import NamedTuple

import pytest

from medjax.run.words import load_config

CONFIG = Path(__file__).parents[2] / "configs" / "medfuse.py"


class Row(NamedTuple):
    """A run of the paper: what its last stage is."""

    word: str
    fusion: str
    pairs: str
    phenotyping: float
    mortality: float
    starts_from: frozenset[str] = frozenset()


BOTH = frozenset({"cxr", "ehr"})
ROWS = (
    Row("uni_ehr_all", "uni_ehr", "partial_ehr", 5.3985e-4, 5.3985e-4),
    Row("uni_ehr_paired", "uni_ehr", "paired_ehr", 8.866e-5, 1e-4),
    Row("uni_cxr", "uni_cxr", "paired_ehr_cxr", 1e-4, 2.951e-5),
    Row("early", "early", "paired_ehr_cxr", 3.833e-5, 9.515e-5, BOTH),
    Row("joint", "joint", "paired_ehr_cxr", 5.652e-5, 4.032e-5),
    Row("early_token", "early", "partial_ehr_cxr", 9.084e-5, 3.0951e-4, BOTH),
    Row("joint_token", "joint", "partial_ehr_cxr", 3.831e-5, 7.5645e-4),
    Row("mmtm", "mmtm", "paired_ehr_cxr", 5.326e-5, 4.355e-5),
    Row("daft", "daft", "paired_ehr_cxr", 6.493e-5, 6.493e-5),
    Row("medfuse", "lstm", "partial_ehr_cxr", 7e-5, 1e-4, BOTH),
    Row("medfuse_random_init", "lstm", "partial_ehr_cxr", 7e-5, 9.382e-5),
)


def published(tmp_path: Path, *words: str):
    return load_config(CONFIG, ("published", *words), {"data.dir": str(tmp_path)})


@pytest.mark.parametrize("task", ["phenotyping", "mortality"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.word)
def test_a_run_of_the_paper_has_its_numbers(row, task, tmp_path):
    config = published(tmp_path, row.word, task)
    stage = config[config.stages[-1]]
    assert (stage.model.fusion, stage.data.pairs) == (row.fusion, row.pairs)
    assert stage.optimizer.learning_rate == getattr(row, task)
    assert stage.data.labels == "task"
    assert {source for _, source in stage.init_from or ()} == row.starts_from
    assert set(config.stages[:-1]) == row.starts_from
    for name in config.stages:
        check_common(config[name], epochs=100 if config[name].data.pairs == "radiology" else 50)


def check_common(stage, epochs: int) -> None:
    """What all recipes share."""
    model, train, optimizer = stage.model, stage.train, stage.optimizer
    assert (model.dim, model.dropout, model.layers, model.backbone) == (256, 0.3, 2, "resnet34")
    assert (train.epochs, train.global_batch_size, train.patience) == (epochs, 16, 15)
    assert (train.plateau.factor, train.plateau.patience) == (0.5, 10)
    assert (optimizer.name, optimizer.b1, optimizer.b2, optimizer.eps) == ("adam", 0.9, 0.9, 1e-8)
    assert optimizer.weight_decay == 0 and stage.data.data_ratio == 1


def test_radiology_is_its_own_run_and_the_first_stage_of_others(tmp_path):
    alone = published(tmp_path, "radiology")
    assert alone.stages == ("cxr",)
    for config in (alone, published(tmp_path, "medfuse"), published(tmp_path, "early")):
        assert (config.cxr.data.pairs, config.cxr.data.labels) == ("radiology", "radiology")
        assert config.cxr.optimizer.learning_rate == 1e-4
        check_common(config.cxr, epochs=100)


@pytest.mark.parametrize(("word", "weights"), [("late", "fitted"), ("ensemble", "average")])
@pytest.mark.parametrize("task", ["phenotyping", "mortality"])
def test_late_fusion_starts_from_both_single_runs(word, weights, task, tmp_path):
    config = published(tmp_path, word, task)
    assert config.stages == ("cxr", "ehr", "fusion")
    assert config.fusion.model.fusion == "late"
    assert config.evaluation.late_fusion_weights == weights
    for stage, alone in (("cxr", "uni_cxr"), ("ehr", "uni_ehr_all")):
        assert config[stage].to_dict() == published(tmp_path, alone, task)[stage].to_dict()


@pytest.mark.parametrize("task", ["phenotyping", "mortality"])
def test_blocks_and_tokens_stand_where_the_table_has_them(task, tmp_path):
    layer_after = {"mmtm": 4, "daft": 3 if task == "phenotyping" else 4}
    for word, position in layer_after.items():
        assert published(tmp_path, word, task).fusion.model.layer_after == position
    for word, token in (
        ("early_token", "learnable"),
        ("joint_token", "learnable"),
        ("joint", "none"),
    ):
        assert published(tmp_path, word, task).fusion.model.missing_token == token


def test_published_quirks_are_set_by_compat_alone(tmp_path):
    assert published(tmp_path, "late").evaluation.late_fusion_candidate == "blend"
    fields = {"data.dir": str(tmp_path), "compat": "published"}
    config = load_config(CONFIG, ("published", "late"), fields)
    assert config.evaluation.late_fusion_candidate == "slip"
    named = fields | {"evaluation.late_fusion_candidate": "blend"}
    config = load_config(CONFIG, ("published", "late"), named)
    assert config.evaluation.late_fusion_candidate == "blend"
