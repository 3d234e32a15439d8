"""Which parts of MedFuse train under which fusion, and in which mode the frozen ones run."""

from medjax.errors import UsageError, nearest

FUSIONS = ("lstm", "uni_ehr", "uni_cxr", "uni_ehr_lstm", "early", "joint", "unified", "late")

_IN_USE = {
    "lstm": {"ehr", "cxr", "projection", "fusion_lstm", "lstm_head"},
    "uni_ehr": {"ehr", "ehr_head"},
    "uni_cxr": {"cxr", "cxr_head"},
    "uni_ehr_lstm": {"ehr", "fusion_lstm", "lstm_head"},
    "early": {"ehr", "cxr", "projection", "fused_head"},
    "joint": {"ehr", "cxr", "projection", "fused_head"},
    "unified": {"ehr", "cxr", "projection", "fused_head"},
    "late": {"ehr", "ehr_head", "cxr", "cxr_head"},
}
_FROZEN = {
    "uni_ehr": {"cxr", "cxr_head"},
    "uni_ehr_lstm": {"cxr", "cxr_head"},
    "uni_cxr": {"ehr", "ehr_head"},
    "early": {"ehr", "ehr_head", "cxr", "cxr_head"},
    "late": {"ehr", "ehr_head", "cxr", "cxr_head"},
}


def check_fusion(fusion: str) -> None:
    """Raise UsageError where the fusion is not known."""
    if fusion not in FUSIONS:
        known = ", ".join(FUSIONS)
        raise UsageError(f"fusion {fusion!r} is none of {known}{nearest(fusion, FUSIONS)}")


def role(fusion: str, path: tuple[str, ...]) -> str:
    """Return "train", "frozen" or "unused" for the parameter at a path of `MedFuse`'s tree.

    "unused" are parameters that the fusion never reads; they may be there after loading weights.
    """
    check_fusion(fusion)
    part = path[0]
    if part in _FROZEN.get(fusion, ()):
        return "frozen"
    return "train" if part in _IN_USE[fusion] else "unused"


def encoder_modes(fusion: str, frozen_mode: str, train: bool) -> tuple[bool, bool]:
    """Return (ehr_train, cxr_train): whether each encoder runs in training mode.

    With `frozen_mode` "eval" a frozen encoder has no dropout and its running statistics stand
    still; "train", the published behaviour, runs it like the rest.
    """
    check_fusion(fusion)
    if frozen_mode not in ("eval", "train"):
        raise UsageError(f"frozen_encoder_mode {frozen_mode!r} is neither 'eval' nor 'train'")
    frozen = _FROZEN.get(fusion, set()) if frozen_mode == "eval" else set()
    return train and "ehr" not in frozen, train and "cxr" not in frozen
