"""Roles and modes of MedFuse's parts."""

import pytest

from medjax.errors import UsageError
from medjax.systems.medfuse.freezing import check_align, encoder_modes, mmtm_role, role


@pytest.mark.parametrize(
    ("fusion", "train", "frozen", "unused"),
    [
        ("lstm", "ehr cxr projection fusion_lstm lstm_head", "", "ehr_head cxr_head fused_head"),
        ("uni_ehr", "ehr ehr_head", "cxr cxr_head", "projection fusion_lstm"),
        ("uni_cxr", "cxr cxr_head", "ehr ehr_head", "projection fused_head"),
        ("early", "projection fused_head", "ehr cxr", "fusion_lstm lstm_head"),
        ("joint", "ehr cxr projection fused_head missing_token", "", "ehr_head lstm_head"),
        ("lstm_with_token", "ehr cxr projection lstm_head sep_token cls_token", "", "fused_head"),
        ("mmtm", "ehr ehr_head cxr cxr_head mmtm_0 mmtm_4 projection joint_head", "", "daft_4"),
        ("daft", "ehr ehr_head cxr daft_0 daft_4", "", "cxr_head projection mmtm_4"),
    ],
)
def test_roles(fusion: str, train: str, frozen: str, unused: str) -> None:
    for expected, parts in (("train", train), ("frozen", frozen), ("unused", unused)):
        for part in parts.split():
            assert role(fusion, (part, "kernel")) == expected, part


def test_blocks_out_of_use_and_stages_behind_the_last_block_of_daft_are_unused() -> None:
    assert role("daft", ("daft_1", "base", "kernel"), layer_after=3) == "unused"
    assert role("daft", ("daft_3", "base", "kernel"), layer_after=3) == "train"
    assert role("daft", ("cxr", "stages_3", "blocks_0"), layer_after=3) == "unused"
    assert role("daft", ("cxr", "stages_2", "blocks_0"), layer_after=3) == "train"
    assert role("daft", ("cxr", "stages_0", "blocks_0"), layer_after=0) == "unused"
    assert role("daft", ("cxr", "stem", "Convolution_0"), layer_after=0) == "train"
    assert role("mmtm", ("cxr", "stages_3", "blocks_0"), layer_after=0) == "train"


@pytest.mark.parametrize(
    ("head", "optimizer", "train"),
    [
        ("ehr_only", "ehr", "ehr ehr_head mmtm_1"),
        ("cxr_only", "ehr", "cxr cxr_head mmtm_1"),
        ("joint", "ehr", "ehr cxr mmtm_1 projection joint_head"),
        ("ehr_only", "visual_copy", "cxr"),
        ("cxr_only", "visual_copy", "cxr cxr_head"),
        ("joint", "visual_copy", "ehr cxr mmtm_1 projection joint_head"),
    ],
)
def test_what_each_step_of_mmtm_trains(head: str, optimizer: str, train: str) -> None:
    """The published copy holds the first block alone, which is out of use here."""
    parts = [
        "ehr",
        "ehr_head",
        "cxr",
        "cxr_head",
        "mmtm_0",
        "mmtm_1",
        "projection",
        "joint_head",
        "fused_head",
    ]
    trained = [p for p in parts if mmtm_role(head, optimizer, 1, (p, "kernel")) == "train"]
    assert trained == train.split()


def test_only_fusions_of_two_feature_vectors_are_aligned() -> None:
    check_align("mmtm", 0.5)
    check_align("daft", 0.0)
    with pytest.raises(UsageError, match="train.align must be 0"):
        check_align("daft", 0.5)


def test_modes_of_encoders() -> None:
    assert encoder_modes("early", "eval", train=True) == (False, False)
    assert encoder_modes("early", "train", train=True) == (True, True)
    assert encoder_modes("lstm", "eval", train=True) == (True, True)
    assert encoder_modes("uni_ehr", "eval", train=True) == (True, False)
    assert encoder_modes("joint", "train", train=False) == (False, False)
    with pytest.raises(UsageError, match="frozen_encoder_mode"):
        encoder_modes("early", "evaluate", train=True)
    with pytest.raises(UsageError, match="did you mean 'joint'"):
        role("joints", ("ehr",))
