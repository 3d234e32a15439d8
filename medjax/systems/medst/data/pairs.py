"""Frontal films with the lateral one of their study and the caption of its report."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medjax.data.captions import LEAST_WORDS, make_caption

FRONTAL = ("PA", "AP")
LATERAL = ("LL", "LATERAL")
NONE = -1


class Pairs(NamedTuple):
    """The films of pre-training."""

    table: pd.DataFrame
    """Columns `frontal` and `lateral` (rows of the films that it was made of; NONE: no lateral
    film), `caption`; one row a frontal film, in the order of these."""
    counts: list[dict[str, Any]]
    """What each rule let in and out."""


def pair_films(films: pd.DataFrame, keep_decimals: bool = True) -> Pairs:
    """Pair films by study: the first lateral film in the order of the table is taken.

    Args:
        films: `subject_id`, `study_id`, `view`, and the sections `impression` and `findings` of the
            study's report, "" where there is none.
        keep_decimals: of `make_caption`.
    """
    rows = pd.Series(np.arange(len(films)), index=films.index)
    lateral = rows[films["view"].isin(LATERAL)]
    keys = films[["subject_id", "study_id"]].apply(tuple, axis=1)
    first = lateral.groupby(keys.loc[lateral.index]).first()
    counts: list[dict[str, Any]] = []

    def keep(rule: str, table: pd.DataFrame, kept: pd.Series, reason: str) -> pd.DataFrame:
        counts.append({"rule": rule, "in": len(table), "out": int(kept.sum()), "reason": reason})
        return table[kept]

    table = films.assign(frontal=rows, key=keys)
    reason = f"view is not {' or '.join(FRONTAL)}"
    table = keep("frontal", table, table["view"].isin(FRONTAL), reason)
    written = (table["impression"].str.strip() != "") | (table["findings"].str.strip() != "")
    table = keep("sections", table, written, "the report has neither impression nor findings")
    captions = [
        make_caption(impression, findings, keep_decimals)
        for impression, findings in zip(table["impression"], table["findings"])
    ]
    table = table.assign(caption=captions)
    reason = f"the caption has under {LEAST_WORDS} words"
    table = keep("caption", table, table["caption"] != "", reason)
    table = table.assign(lateral=table["key"].map(first).fillna(NONE).astype(np.int64))
    return Pairs(table[["frontal", "lateral", "caption"]].reset_index(drop=True), counts)
