"""Which parts of MedFuse train under which fusion, and in which mode the frozen ones run."""

from collections.abc import Collection

from medjax.errors import UsageError, nearest
from medjax.systems.medfuse.positions import EVERYWHERE, positions

_CONCATENATED = {"ehr", "cxr", "projection", "fused_head", "missing_token"}

_IN_USE = {
    "lstm": {"ehr", "cxr", "projection", "fusion_lstm", "lstm_head"},
    "uni_ehr": {"ehr", "ehr_head"},
    "uni_cxr": {"cxr", "cxr_head"},
    "uni_ehr_lstm": {"ehr", "fusion_lstm", "lstm_head"},
    "lstm_with_token": {
        *("ehr", "cxr", "projection", "fusion_lstm", "lstm_head"),
        *("sep_token", "cls_token"),
    },
    "early": _CONCATENATED,
    "joint": _CONCATENATED,
    "unified": _CONCATENATED,
    "mmtm": {"ehr", "ehr_head", "cxr", "cxr_head", "mmtm", "projection", "joint_head"},
    "daft": {"ehr", "ehr_head", "cxr", "daft"},
    "late": {"ehr", "ehr_head", "cxr", "cxr_head"},
}
FUSIONS = tuple(_IN_USE)
_FROZEN = {
    "uni_ehr": {"cxr", "cxr_head"},
    "uni_ehr_lstm": {"cxr", "cxr_head"},
    "uni_cxr": {"ehr", "ehr_head"},
    "early": {"ehr", "ehr_head", "cxr", "cxr_head"},
    "late": {"ehr", "ehr_head", "cxr", "cxr_head"},
}

ALIGNED = ("lstm", "lstm_with_token", "early", "joint", "unified", "mmtm")
"""Fusions that have features of both modalities whose distance may enter the loss."""


def check_fusion(fusion: str) -> None:
    """Raise UsageError where the fusion is not known."""
    if fusion not in FUSIONS:
        known = ", ".join(FUSIONS)
        raise UsageError(f"fusion {fusion!r} is none of {known}{nearest(fusion, FUSIONS)}")


def check_align(fusion: str, align: float) -> None:
    """Raise UsageError where a fusion has no features to align and `align` asks for it."""
    if align and fusion not in ALIGNED:
        raise UsageError(
            f"fusion {fusion!r} has no features to align: train.align must be 0, not {align}"
        )


def role(fusion: str, path: tuple[str, ...], layer_after: int = EVERYWHERE) -> str:
    """Return "train", "frozen" or "unused" for the parameter at a path of a network's tree.

    "unused" are parameters that no output of the fusion depends on; they may be there after loading
    weights. `layer_after` is the position of the blocks of MMTM and DAFT.
    """
    check_fusion(fusion)
    part, index = _part(path[0])
    if part in _FROZEN.get(fusion, ()):
        return "frozen"
    if part not in _IN_USE[fusion]:
        return "unused"
    if index is not None and index not in positions(layer_after):
        return "unused"
    # DAFT reads the film at its blocks alone: no later stage of the image network acts.
    if fusion == "daft" and part == "cxr" and _position(path) > max(positions(layer_after)):
        return "unused"
    return "train"


def mmtm_role(head: str, optimizer: str, layer_after: int, path: tuple[str, ...]) -> str:
    """Return the role of a parameter in MMTM's optimiser step for one head's loss.

    head: "ehr_only" trains the series encoder and its head, "cxr_only" the image network and its
        head, both with the blocks; "joint" all that its loss reaches, which is not those two heads.
    optimizer: "ehr" for that; "visual_copy" (published) lets the step of "ehr_only", as that of
        "cxr_only", hold the image network, its head and the first block, and never the series
        encoder or another block.
    """
    held: Collection[str] = {
        "ehr_only": ("ehr", "ehr_head", "mmtm"),
        "cxr_only": ("cxr", "cxr_head", "mmtm"),
        "joint": _IN_USE["mmtm"] - {"ehr_head", "cxr_head"},
    }[head]
    part, index = _part(path[0])
    if optimizer == "visual_copy" and head != "joint":
        # The step of "ehr_only" holds the image network's head too; no gradient reaches it there.
        held = ("cxr", "mmtm") if head == "ehr_only" else ("cxr", "cxr_head", "mmtm")
        if index not in (None, 0):
            return "unused"
    return role("mmtm", path, layer_after) if part in held else "unused"


def _part(name: str) -> tuple[str, int | None]:
    """Split "mmtm_3" into ("mmtm", 3); other names have no index."""
    stem, _, index = name.rpartition("_")
    return (stem, int(index)) if stem in ("mmtm", "daft") and index.isdigit() else (name, None)


def _position(path: tuple[str, ...]) -> int:
    """Return the position after which a part of a ResNet stands: 0 for the stem, 1 for stage 0."""
    stage = path[1].removeprefix("stages_")
    return int(stage) + 1 if stage.isdigit() else 0


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
