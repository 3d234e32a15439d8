"""Roles and modes of MedFuse's parts."""

import pytest

from medjax.errors import UsageError
from medjax.systems.medfuse.freezing import encoder_modes, role


@pytest.mark.parametrize(
    ("fusion", "train", "frozen", "unused"),
    [
        ("lstm", "ehr cxr projection fusion_lstm lstm_head", "", "ehr_head cxr_head fused_head"),
        ("uni_ehr", "ehr ehr_head", "cxr cxr_head", "projection fusion_lstm"),
        ("uni_cxr", "cxr cxr_head", "ehr ehr_head", "projection fused_head"),
        ("early", "projection fused_head", "ehr cxr", "fusion_lstm lstm_head"),
        ("joint", "ehr cxr projection fused_head", "", "ehr_head lstm_head"),
    ],
)
def test_roles(fusion: str, train: str, frozen: str, unused: str) -> None:
    for expected, parts in (("train", train), ("frozen", frozen), ("unused", unused)):
        for part in parts.split():
            assert role(fusion, (part, "kernel")) == expected, part


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
