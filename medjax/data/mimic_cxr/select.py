"""Which films enter the X-ray store and into which split, rule by rule, on data frames."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medjax.data.manifest import read_manifest
from medjax.data.subject_split import HASH_RULE, hash_split
from medjax.errors import UsageError, UserError

LISTED_SHARE = 0.95
"""The published list is used when it holds at least this share of the subjects."""


class Selection(NamedTuple):
    """Films that passed, and what each rule let through."""

    films: pd.DataFrame
    counts: list[dict[str, Any]]

    def keep(self, rule: str, kept: pd.Series, reason: str) -> "Selection":
        """Apply one rule, boolean [films]; `reason` says why the others are out."""
        films = self.films[kept.to_numpy(dtype=bool)]
        count = {"rule": rule, "in": len(self.films), "out": len(films), "reason": reason}
        return Selection(films, [*self.counts, count])


def film_path(subject_id: int, study_id: int, dicom_id: str) -> str:
    """Path of an original film, relative to the folder of the release."""
    return f"files/p{str(subject_id)[:2]}/p{subject_id}/s{study_id}/{dicom_id}.jpg"


def select(
    films: pd.DataFrame,
    labels: pd.DataFrame | None,
    exists: Callable[[str], bool],
    subset: Sequence[str] = (),
    views: Sequence[str] = (),
    limit: int | None = None,
) -> Selection:
    """Apply the rules in order: subset, view, labels, image on disk, limit.

    Args:
        films: dicom_id, subject_id, study_id, view, study_time.
        labels: study_id and labels; None where films need none.
        exists: whether a relative path (originals first, then `resized/<dicom_id>.jpg`) is there.
        subset: folders of patients, as "p10"; empty for all.
        views: view positions; empty for all.

    Returns:
        The films with the columns of `labels` and `path`, in the order of subject and dicom_id.
    """
    films = films.sort_values(["subject_id", "dicom_id"], kind="stable", ignore_index=True)
    chosen = Selection(films, [])
    if subset:
        folder = "p" + chosen.films["subject_id"].astype(str).str[:2]
        chosen = chosen.keep("subset", folder.isin(subset), f"patient not in {', '.join(subset)}")
    if views:
        kept = chosen.films["view"].isin(views)
        chosen = chosen.keep("view", kept, f"view is not {' or '.join(views)}")
    if labels is not None:
        kept = chosen.films["study_id"].isin(labels["study_id"])
        chosen = chosen.keep("labels", kept, "the study has no row in the label table")
        chosen = chosen._replace(films=chosen.films.merge(labels, on="study_id", how="left"))
    paths = pd.Series([_find(film, exists) for film in _ids(chosen.films)], dtype=object)
    chosen = chosen._replace(films=chosen.films.assign(path=paths.to_numpy(dtype=object)))
    chosen = chosen.keep("image on disk", chosen.films["path"] != "", "no such image file")
    if limit is not None:
        place = pd.Series(np.arange(len(chosen.films)) < limit)
        chosen = chosen.keep(
            "limit", place, f"beyond the first {limit} images by subject and dicom_id"
        )
    return chosen._replace(films=chosen.films.reset_index(drop=True))


def _ids(films: pd.DataFrame) -> Sequence[tuple[int, int, str]]:
    return list(zip(films["subject_id"], films["study_id"], films["dicom_id"]))


def _find(film: tuple[int, int, str], exists: Callable[[str], bool]) -> str:
    """The path at which a film is, "" when at none."""
    candidates = (film_path(*film), f"resized/{film[2]}.jpg")
    return next((path for path in candidates if exists(path)), "")


def read_stays(ehr: Path) -> pd.DataFrame:
    """Read the stays of a prepared MIMIC-IV folder: subject_id, stay_id, intime, outtime, split.

    Raises:
        UsageError: no such folder.
        UserError: not a prepared MIMIC-IV, no stays, or a subject whose stays are in two splits.
    """
    mend = "give the --out of `python -m medjax.prepare mimic_iv` (or benchmark)"
    if not ehr.is_dir():
        raise UsageError(f"--ehr={ehr}: no such folder; {mend}")
    source = read_manifest(ehr).get("source")
    if source not in ("mimic_iv", "benchmark"):
        raise UserError(f"--ehr={ehr} holds the prepared {source}; {mend}")
    columns = ["subject_id", "stay_id", "intime", "outtime", "split"]
    try:
        stays = pd.read_parquet(ehr / "stays.parquet", columns=columns)
    except (OSError, ValueError, KeyError) as e:
        raise UserError(
            f"{ehr / 'stays.parquet'}: not the stays of a prepared MIMIC-IV folder; as --ehr {mend}"
        ) from e
    if (stays.groupby("subject_id")["split"].nunique() > 1).any():
        raise UserError(f"{ehr / 'stays.parquet'}: a subject has stays in two splits")
    return stays.astype({"intime": "datetime64[s]", "outtime": "datetime64[s]"})


def follow_ehr(subjects: pd.Series, stays: pd.DataFrame) -> tuple[np.ndarray, str]:
    """Split of each film by its subject's ICU stays, compared as integers; train without any.

    So no film of a subject that the ICU data keep for validation or test is trained on.
    """
    split_of = dict(zip(stays["subject_id"].astype(np.int64), stays["split"].astype(str)))
    splits = np.array([split_of.get(subject, "train") for subject in subjects], dtype=object)
    found = subjects.isin(list(split_of)).sum()
    return splits, f"follows the ICU split ({found} of {len(subjects)} images have a subject in it)"


def published_split(films: pd.DataFrame, listed: pd.DataFrame) -> tuple[np.ndarray, str] | None:
    """Split by the published list; None unless it holds enough of the subjects."""
    merged = films[["dicom_id", "subject_id"]].merge(listed, on="dicom_id", how="left")
    share = merged.dropna(subset="split")["subject_id"].nunique() / films["subject_id"].nunique()
    if share < LISTED_SHARE:
        return None
    splits = merged["split"].fillna("train").to_numpy(dtype=object)
    return splits, f"published list ({share:.1%} of subjects listed)"


def hashed_split(subjects: pd.Series) -> tuple[np.ndarray, str]:
    """Split of each film by the hash of its subject's id."""
    split_of = {subject: hash_split(str(subject)) for subject in subjects.unique()}
    splits = np.array([split_of[subject] for subject in subjects], dtype=object)
    return splits, HASH_RULE.format("subject id")
