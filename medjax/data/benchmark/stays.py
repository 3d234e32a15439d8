"""What `root/all_stays.csv` tells of the stays beside their series."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data.benchmark.lists import Listed
from medjax.data.tables import decimals, integers, read_table
from medjax.errors import UserError

TABLE = Path("root") / "all_stays.csv"
EPISODES_A_SUBJECT = 1000


class Stay(NamedTuple):
    """One stay of the lists."""

    stay_id: int
    age: float
    """NaN where not known."""
    gender: str
    los_hours: float
    """NaN where not known."""


def read_stays(raw: Path) -> pd.DataFrame | None:
    """Read the table of stays; None where there is none with the ids of MIMIC-IV.

    Returns:
        subject_id, hadm_id, stay_id, episode (number of the stay of its subject, from 1), intime,
        outtime (datetime64[s]), los (days), age, gender, mortality, in the order of stay_id.

    Raises:
        UserError: a missing column, a malformed field, a stay that stands twice.
    """
    path = raw / TABLE
    if not path.is_file() or "stay_id" not in read_table(path, (), ("stay_id",)):
        return None
    ids, numbers = ("subject_id", "hadm_id", "stay_id", "mortality"), ("los", "age")
    table = read_table(path, (*ids, *numbers, "intime", "outtime", "gender"))
    stays = pd.DataFrame(
        {
            **{name: integers(table[name], path) for name in ids},
            **{name: decimals(table[name], path) for name in numbers},
            **{name: _times(table[name], path) for name in ("intime", "outtime")},
            "gender": table["gender"].str.strip().to_numpy(dtype=object),
        }
    )
    if stays.stay_id.duplicated().any():
        raise UserError(f"{path}: a stay is listed twice; remove the duplicate rows")
    stays = stays.sort_values(["subject_id", "intime", "outtime", "stay_id"])
    stays = stays.assign(episode=stays.groupby("subject_id").cumcount() + 1)
    return stays.sort_values("stay_id", ignore_index=True)


def _times(texts: pd.Series, path: Path) -> np.ndarray:
    """Times as datetime64[s]."""
    try:
        return texts.str.strip().to_numpy(dtype=object).astype("datetime64[s]")
    except ValueError:
        raise UserError(f"{path}: column {texts.name!r} holds what is no time") from None


def find_stays(listed: list[Listed], stays: pd.DataFrame | None) -> dict[str, Stay]:
    """Return series file -> stay.

    Ids come from the lists, else from the table; with neither an id is made of subject and episode,
    which serves everything but the link to other tables.

    Raises:
        UserError: a stay that the table does not have, or has under another subject.
    """
    if stays is None:
        made = {one.file: one.subject_id * EPISODES_A_SUBJECT + one.episode for one in listed}
        given = {one.file: one.stay_id for one in listed if one.stay_id is not None}
        return {file: Stay(given.get(file, made[file]), np.nan, "", np.nan) for file in made}
    rows = stays.to_dict("records")
    by_id = {row["stay_id"]: row for row in rows}
    by_episode = {(row["subject_id"], row["episode"]): row for row in rows}
    found = {}
    for one in listed:
        episode = (one.subject_id, one.episode)
        row = by_episode.get(episode) if one.stay_id is None else by_id.get(one.stay_id)
        if row is None or row["subject_id"] != one.subject_id:
            raise UserError(
                f"{TABLE}: has no stay for {one.file}; the lists and the table must be of one "
                "extraction"
            )
        found[one.file] = Stay(row["stay_id"], row["age"], row["gender"], 24 * row["los"])
    return found
