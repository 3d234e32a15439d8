"""Which film belongs to which ICU stay (MedFuse, datasets/fusion.py), on data frames."""

import numpy as np
import pandas as pd

from medjax.errors import UserError

CHOSEN = ("last", "first")


def study_times(dates: pd.Series, times: pd.Series) -> np.ndarray:
    """Join StudyDate (YYYYMMDD) and StudyTime (HHMMSS.fff) texts to datetime64[s] [rows].

    StudyTime has lost its leading zeros ("804.1" is 00:08:04); fractions are dropped. What is no
    date or time of day becomes NaT.
    """
    day = _whole(dates)
    clock = _whole(times)
    year, month, date = day // 10000, day // 100 % 100, day % 100
    hour, minute, second = clock // 10000, clock // 100 % 100, clock % 100
    valid = (day > 0) & (year > 0) & (month >= 1) & (month <= 12) & (date >= 1)
    valid &= (clock >= 0) & (hour < 24) & (minute < 60) & (second < 60)
    months = np.where(valid, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + np.where(valid, date - 1, 0)
    valid &= days.astype("datetime64[M]") == months
    seconds = np.where(valid, hour * 3600 + minute * 60 + second, 0)
    moments = days.astype("datetime64[s]") + seconds.astype("timedelta64[s]")
    return np.where(valid, moments, np.datetime64("NaT", "s"))


def _whole(texts: pd.Series) -> np.ndarray:
    """Whole part of decimal texts as int64 [rows], -1 where a text is no decimal."""
    whole = texts.str.strip().str.extract(r"^(\d{1,9})(?:\.\d*)?$", expand=False)
    return whole.fillna("-1").to_numpy(dtype=object).astype(np.int64)


def link(
    films: pd.DataFrame, stays: pd.DataFrame, hours: float | None, chosen: str = "last"
) -> pd.DataFrame:
    """Give every stay one AP film of its window.

    The window is [intime, outtime], or [intime, intime + hours] even when the stay is shorter, ends
    included. Of films of one moment the last by dicom_id is taken.

    Args:
        films: dicom_id, subject_id, view, study_time (datetime64[s]; NaT never links).
        stays: stay_id, subject_id, intime, outtime (datetime64[s]).
        hours: of the window; None: the stay.
        chosen: the "last" film of the window (published), or the "first": whether a film is the
            first can be known when it is taken, whether it is the last cannot.

    Returns:
        stay_id, subject_id, dicom_id, study_time, hour (float64: of the film, since intime), in
        the order of stay_id.
    """
    if chosen not in CHOSEN:
        raise UserError(f"a stay has its {' or '.join(CHOSEN)} film, not {chosen!r}")
    frontal = films.loc[films["view"] == "AP", ["dicom_id", "subject_id", "study_time"]]
    pairs = frontal.merge(
        stays[["stay_id", "subject_id", "intime", "outtime"]], on="subject_id", how="inner"
    )
    taken, start, end = (
        pairs[name].to_numpy("datetime64[s]") for name in ("study_time", "intime", "outtime")
    )
    if hours is not None:
        end = start + np.timedelta64(round(hours * 3600), "s")
    pairs = pairs.assign(hour=(taken - start) / np.timedelta64(1, "h"))
    kept = pairs[(taken >= start) & (taken <= end)]
    by_id = kept.sort_values("dicom_id", ascending=chosen == "last", kind="stable")
    ordered = by_id.sort_values(["stay_id", "study_time"], kind="stable")
    one = ordered.drop_duplicates("stay_id", keep="last" if chosen == "last" else "first")
    columns = ["stay_id", "subject_id", "dicom_id", "study_time", "hour"]
    return one[columns].reset_index(drop=True)
