"""The listfiles of the published benchmark: which stay has which series, split and labels."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medjax.data.mimic_iv.hourly import UNKNOWN
from medjax.data.mimic_iv.tasks import (
    DECOMPENSATION,
    LENGTH_OF_STAY,
    MORTALITY,
    MORTALITY_HOURS,
    MULTITASK,
    PHENOTYPING,
)
from medjax.data.tables import coded, decimals, integers, read_table
from medjax.errors import UserError

LIST_OF = {"train": "train", "validation": "val", "test": "test"}
EPISODE = r"(\d{1,12})_episode(\d{1,6})_timeseries\.csv"
MULTITASK_PARTS = {
    "mortality": "in-hospital mortality task (pos;mask;label)",
    "stay": "length of stay task (masks;labels)",
    "phenotypes": "phenotyping task (labels)",
    "decompensation": "decompensation task (masks;labels)",
}
BITS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}


class Listed(NamedTuple):
    """One stay of one task's lists."""

    file: str
    """Name of its series, <subject>_episode<k>_timeseries.csv."""
    subject_id: int
    episode: int
    split: str
    stay_id: int | None
    """None where the lists do not give it."""
    period: float
    """Hours of the series that the task reads."""
    labels: dict[str, Any]
    """The label features of the prepared set."""


def task_folder(raw: Path, task: str) -> Path:
    """Return the folder of a task."""
    return raw / task.replace("_", "-")


def series_path(raw: Path, task: str, listed: Listed) -> Path:
    """Return where the series of a stay lies: those of validation lie with the train ones."""
    part = "test" if listed.split == "test" else "train"
    return task_folder(raw, task) / part / listed.file


def list_paths(raw: Path, task: str) -> dict[str, Path]:
    """Return split -> list of a task.

    Raises:
        UserError: one is missing.
    """
    folder = task_folder(raw, task)
    paths = {split: folder / f"{part}_listfile.csv" for split, part in LIST_OF.items()}
    for path in paths.values():
        if not path.is_file():
            hint = "; run the benchmark's own split into train and validation first"
            unsplit = (folder / "train" / "listfile.csv").is_file()
            raise UserError(f"{path}: no such list{hint if unsplit else ''}")
    return paths


def read_lists(raw: Path, task: str, phenotypes: Sequence[str]) -> list[Listed]:
    """Read the three lists of a task, in the order of subject and episode.

    Raises:
        UserError: a list or column is missing, a field is malformed, or a stay stands twice.
    """
    found = [
        listed
        for split, path in list_paths(raw, task).items()
        for listed in _read_list(path, task, split, phenotypes)
    ]
    found.sort(key=lambda listed: (listed.subject_id, listed.episode))
    for before, after in itertools.pairwise(found):
        if before.file == after.file:
            raise UserError(
                f"{task_folder(raw, task)}: {after.file} is listed more than once for {task}; "
                "remove the lines that do not belong there"
            )
    return found


def _read_list(path: Path, task: str, split: str, phenotypes: Sequence[str]) -> list[Listed]:
    if task == MULTITASK:
        return _multitask(path, split, len(phenotypes))
    names = phenotypes if task == PHENOTYPING else ("y_true",)
    asked = () if task == MORTALITY else ("period_length",)
    table = read_table(path, ("stay", *asked, *names), ("stay_id",))
    stays = _stays(table["stay"], path)
    ids = _ids(table, path)
    if task not in (MORTALITY, PHENOTYPING):
        return _hourly(table, path, task, split, stays, ids)
    periods = np.full(len(table), MORTALITY_HOURS)
    if task == PHENOTYPING:
        periods = decimals(table["period_length"], path)
    labels = np.stack([coded(table[name], BITS, path) for name in names], axis=1).astype(np.uint8)
    return [
        Listed(*stay, split, stay_id, float(period), {"labels": label})
        for stay, stay_id, period, label in zip(stays, ids, periods, labels)
    ]


def _stays(names: pd.Series, path: Path) -> list[tuple[str, int, int]]:
    """File name, subject and episode of every line.

    Raises:
        UserError: a name of another form, by row.
    """
    stays = []
    for row, name in enumerate(names, start=2):
        match = re.fullmatch(EPISODE, name.strip())
        if match is None:
            raise UserError(
                f"{path}, row {row}: column {names.name!r} is not "
                "<subject>_episode<number>_timeseries.csv"
            )
        stays.append((match[0], int(match[1]), int(match[2])))
    return stays


def _ids(table: pd.DataFrame, path: Path) -> list[int | None]:
    """The stay of every line, None without such a column."""
    if "stay_id" not in table:
        return [None] * len(table)
    return integers(table["stay_id"], path).tolist()


def _hourly(
    table: pd.DataFrame,
    path: Path,
    task: str,
    split: str,
    stays: list[tuple[str, int, int]],
    ids: list[int | None],
) -> list[Listed]:
    """Gather the lines of each stay: whole hours and the label at each."""
    hours = decimals(table["period_length"], path)
    wrong = np.flatnonzero((hours != np.rint(hours)) | (hours < 0))
    if len(wrong):
        raise UserError(f"{path}, row {wrong[0] + 2}: 'period_length' is not a whole hour")
    whole = task == LENGTH_OF_STAY
    labels = decimals(table["y_true"], path) if whole else coded(table["y_true"], BITS, path)
    rows_of: dict[tuple[str, int, int], list[int]] = {}
    for row, stay in enumerate(stays):
        rows_of.setdefault(stay, []).append(row)
    found = []
    for stay, unsorted in rows_of.items():
        rows = sorted(unsorted, key=lambda row: hours[row])
        at, known = hours[rows].astype(np.int32), labels[rows]
        if (np.diff(at) < 1).any():
            raise UserError(f"{path}, row {rows[0] + 2}: an hour of this stay is listed twice")
        # The last hour is not the end of the stay; that follows from what remains.
        end = float(at[0] + known[0]) if whole else float(at[-1])
        kind = np.float64 if task != DECOMPENSATION else np.int8
        fields = {"hours": at, "labels": known.astype(kind)}
        found.append(Listed(*stay, split, ids[rows[0]], end, fields))
    return found


def _multitask(path: Path, split: str, phenotypes: int) -> list[Listed]:
    """Read a multitask list, whose fields hold lists joined by semicolons."""
    table = read_table(path, ("filename", "length of stay", *MULTITASK_PARTS.values()))
    ends = decimals(table["length of stay"], path)
    texts = table[list(MULTITASK_PARTS.values())].to_numpy(dtype=object)
    found = []
    for i, stay in enumerate(_stays(table["filename"], path)):
        try:
            parts = [[float(number) for number in text.split(";")] for text in texts[i]]
            fields = _multitask_labels(parts, phenotypes)
        except ValueError:
            raise UserError(
                f"{path}, row {i + 2}: labels are not lists of numbers of the right lengths"
            ) from None
        found.append(Listed(*stay, split, None, float(ends[i]), fields))
    return found


def _multitask_labels(parts: list[list[float]], phenotypes: int) -> dict[str, Any]:
    """Labels of one stay, as `hourly.hourly_labels` gives them.

    Raises:
        ValueError: lists whose lengths do not fit.
    """
    (_, asked, died), stay, bits, decompensation = parts
    masks, remaining = np.reshape(stay, (2, -1))
    alive, dies = np.reshape(decompensation, (2, -1))
    if len(bits) != phenotypes or len(alive) > len(masks):
        raise ValueError
    hours = np.flatnonzero(masks == 1)
    at_hours = np.full(len(masks), UNKNOWN, np.int8)
    at_hours[: len(alive)] = np.where(alive == 1, dies, UNKNOWN)
    return {
        "hours": hours.astype(np.int32),
        "remaining": remaining[hours],
        "decompensation": at_hours[hours],
        "mortality": np.int8(died if asked else UNKNOWN),
        "phenotypes": np.array(bits, np.int8),
    }
