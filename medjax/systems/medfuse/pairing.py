"""Which stays and films make the items of one pass (MedFuse, datasets/fusion.py), on index arrays.

Paired stays come first, in the order of the list; unpaired ones, without a film, follow.
"""

from typing import NamedTuple

import numpy as np

from medjax.errors import UserError, nearest

MODES = ("paired_ehr_cxr", "paired_ehr", "partial_ehr", "partial_ehr_cxr", "radiology")
SAMPLINGS = ("each_once", "random_with_replacement")


class Items(NamedTuple):
    """The items of one pass over a split."""

    positions: np.ndarray
    """int64 [items]: places in the list of stays (of films, in mode radiology)."""
    use_image: np.ndarray
    """bool [items]: whether the item has a film."""


def pairing(
    mode: str,
    stay_ids: np.ndarray,
    linked_stay_ids: np.ndarray,
    ratio: float,
    sampling: str,
    generator: np.random.Generator,
) -> Items:
    """Choose the items of a pass, unshuffled.

    | mode            | items                                                     |
    | paired_ehr_cxr  | stays that have a film, with it                           |
    | paired_ehr      | the same stays, without it                                |
    | partial_ehr     | all stays, without films                                  |
    | partial_ehr_cxr | stays that have a film, with it, and int(ratio * others)  |
    | radiology       | all films                                                 |

    Args:
        mode: one of MODES.
        stay_ids: [stays] the list of the split (in mode radiology: one id a film).
        linked_stay_ids: [links] stays that have a film; others than `stay_ids` are ignored.
        ratio: share of the unpaired stays in mode partial_ehr_cxr, >= 0.
        sampling: how those are taken: "each_once" (a subset without replacement where the ratio
            is below 1) or "random_with_replacement" (published).
        generator: from seed and epoch in training, fixed in evaluation.

    Raises:
        UserError: unknown mode or sampling, or a ratio that cannot be had.
    """
    if mode not in MODES:
        raise UserError(f"unknown data_pairs {mode!r}{nearest(mode, MODES)}; {', '.join(MODES)}")
    everything = np.arange(len(stay_ids), dtype=np.int64)
    if mode == "radiology":
        return Items(everything, np.ones(len(everything), bool))
    if mode == "partial_ehr":
        return Items(everything, np.zeros(len(everything), bool))
    linked = np.isin(stay_ids, linked_stay_ids)
    paired = everything[linked]
    if mode != "partial_ehr_cxr":
        return Items(paired, np.full(len(paired), mode == "paired_ehr_cxr"))
    unpaired = _take(everything[~linked], ratio, sampling, generator)
    has_film = np.arange(len(paired) + len(unpaired)) < len(paired)
    return Items(np.concatenate([paired, unpaired]), has_film)


def _take(
    unpaired: np.ndarray, ratio: float, sampling: str, generator: np.random.Generator
) -> np.ndarray:
    """Take int(ratio * n) of the n unpaired positions."""
    if sampling not in SAMPLINGS:
        raise UserError(
            f"unknown unpaired_sampling {sampling!r}{nearest(sampling, SAMPLINGS)}; "
            f"{', '.join(SAMPLINGS)}"
        )
    count = int(ratio * len(unpaired))
    if ratio < 0 or (sampling == "each_once" and count > len(unpaired)):
        raise UserError(
            f"a share of {ratio:g} of the unpaired stays cannot be taken {sampling}; "
            "give one from 0 to 1"
        )
    if sampling == "random_with_replacement":
        return generator.choice(unpaired, count) if count else unpaired[:0]
    if count == len(unpaired):
        return unpaired
    return np.sort(generator.choice(unpaired, count, replace=False))
