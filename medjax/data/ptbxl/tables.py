"""The tables of PTB-XL: who was recorded, what was stated, how well it was recorded."""

import ast
import re
from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data.tables import coded, decimals, integers, read_table
from medjax.errors import UserError

DATABASE, STATEMENTS = "ptbxl_database.csv", "scp_statements.csv"
SUPERCLASSES = ("CD", "HYP", "MI", "NORM", "STTC")
"""Sorted, as the published pre-training encodes them."""
OLDEST, OLDER = 89.0, 90.0
"""Ages above 89 stand as 300 in the table; here they are 90."""
NOISE = ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems")
TRUE = {"True": True, "False": False, "1": True, "0": False, "": False}
TRUE |= {"1.0": True, "0.0": False, "true": True, "false": False}
SEX = {"0": "male", "1": "female", "0.0": "male", "1.0": "female", "": ""}
FOLD_SPLITS = {9: "validation", 10: "test"}
"""All other folds train; 9 and 10 were checked by cardiologists."""
LONGEST_CODES = 10_000
"""Characters of a cell of statements that are parsed."""


class Patient(NamedTuple):
    """What the table says of one recording."""

    ecg_id: int
    patient_id: str
    age: float
    sex: str
    fold: int
    statements: dict[str, float]
    """SCP code -> confidence in per cent; 0 means that it is not stated."""
    report: str
    clean: bool
    """Validated by a human, and none of the NOISE noted."""
    strip_100: str
    """Path of the record of 100 Hz under the root, without suffix."""
    strip_500: str


def find_root(raw: Path) -> Path:
    """Return the folder with the tables: `raw`, or the only folder in it that has them.

    Raises:
        UserError: there is none, or there are several.
    """
    if (raw / DATABASE).exists():
        return raw
    found = sorted(raw.glob(f"*/{DATABASE}"))
    if len(found) != 1:
        what = "no" if not found else f"{len(found)} folders with a"
        raise UserError(f"{raw}: {what} {DATABASE} there; name the folder of PTB-XL by --raw")
    return found[0].parent


def read_database(path: Path) -> list[Patient]:
    """Read `ptbxl_database.csv`, sorted by record.

    Raises:
        UserError: a missing column, a value of the wrong kind (by row), a record twice.
    """
    columns = ("ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold")
    names = ("filename_lr", "filename_hr")
    optional = ("report", "validated_by_human", *NOISE)
    table = read_table(path, (*columns, *names), optional)
    if not len(table):
        raise UserError(f"{path}: no row; fetch it again")
    ids = integers(table.ecg_id, path)
    repeated = np.flatnonzero(pd.Series(ids).duplicated())
    if len(repeated):
        raise UserError(f"{path}, row {repeated[0] + 2}: a record that stands in an earlier row")
    age = decimals(table.age, path)
    folds = integers(table.strat_fold.str.replace(r"\.0+$", "", regex=True), path)
    if not ((folds >= 1) & (folds <= 10)).all():
        row = int(np.flatnonzero((folds < 1) | (folds > 10))[0]) + 2
        raise UserError(f"{path}, row {row}: column 'strat_fold' is not from 1 to 10")
    rows = zip(
        ids.tolist(),
        _patient_ids(table.patient_id, path),
        np.where(age > OLDEST, OLDER, age).tolist(),
        coded(table.sex, SEX, path).tolist(),
        folds.tolist(),
        [read_codes(text, path, row) for row, text in enumerate(table.scp_codes, 2)],
        table.get("report", pd.Series([""] * len(table))).str.strip(),
        _is_clean(table, path).tolist(),
        table.filename_lr.str.strip(),
        table.filename_hr.str.strip(),
    )
    return sorted(map(Patient._make, rows), key=lambda patient: patient.ecg_id)


def _patient_ids(texts: pd.Series, path: Path) -> list[str]:
    """Ids as text; they are written as decimal numbers (15709.0)."""
    plain = texts.str.strip().str.replace(r"\.0+$", "", regex=True)
    return [str(number) for number in integers(plain, path)]


def _is_clean(table: pd.DataFrame, path: Path) -> np.ndarray:
    """Which recordings a human validated and nobody found noisy: bool [rows]."""
    clean = np.ones(len(table), bool)
    if "validated_by_human" in table:
        clean &= coded(table.validated_by_human, TRUE, path)
    for name in NOISE:
        if name in table:
            clean &= (table[name].str.strip() == "").to_numpy(dtype=bool)
    return clean


def read_codes(text: str, path: Path, row: int) -> dict[str, float]:
    """Read a cell of `scp_codes`, a Python dict of numbers.

    Raises:
        UserError: anything else, by row.
    """
    try:
        codes = ast.literal_eval(text[:LONGEST_CODES])
        if isinstance(codes, dict) and all(isinstance(code, str) for code in codes):
            read = {code: float(confidence) for code, confidence in codes.items()}
            if all(0 <= confidence <= 100 for confidence in read.values()):
                return read
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    raise UserError(
        f"{path}, row {row}: column 'scp_codes' is not a dict of codes and confidences from 0 to "
        "100"
    )


def read_superclasses(path: Path) -> dict[str, str]:
    """Return SCP code -> superclass, of the diagnostic statements of `scp_statements.csv`.

    Its first column, the code, has no name. Where the file is missing the copy that this package
    ships is read.

    Raises:
        UserError: a missing column, or no statement with a superclass.
    """
    if not path.exists():
        shipped = files("medjax").joinpath("data/ecg/resources/scp_statements.csv")
        with as_file(shipped) as copy:
            return read_superclasses(copy)
    named = read_table(path, ("diagnostic", "diagnostic_class"))
    codes = read_table(path, None).iloc[:, 0].str.strip()
    diagnostic = decimals(named.diagnostic, path) == 1
    classes = named.diagnostic_class.str.strip()
    rows = zip(codes, classes, diagnostic)
    found = {code: name for code, name, is_one in rows if is_one and name in SUPERCLASSES}
    if not found:
        raise UserError(f"{path}: no diagnostic statement of {', '.join(SUPERCLASSES)}")
    return found


def superclass_labels(statements: dict[str, float], superclass_of: dict[str, str]) -> list[float]:
    """Return 0 or 1 for each of SUPERCLASSES: whether a code of it stands in the statements.

    As in the examples published with PTB-XL, the confidence does not matter.
    """
    stated = {superclass_of.get(code) for code in statements}
    return [float(name in stated) for name in SUPERCLASSES]


def split_of(fold: int) -> str:
    """Return the recommended split of a fold."""
    return FOLD_SPLITS.get(fold, "train")


def is_record_path(text: str) -> bool:
    """Whether a cell names a record as PTB-XL does: folders and a name, no way up."""
    return bool(re.fullmatch(r"[\w.-]+(/[\w.-]+)*", text)) and ".." not in text
