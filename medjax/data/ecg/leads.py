"""The leads of a 12-lead ECG: order, spellings, and the limb leads that follow from I and II."""

import re
from collections.abc import Sequence

import numpy as np

from medjax.data.ecg.fault import RecordFault
from medjax.errors import UserError

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
EIGHT_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""The leads that a 12-lead device measures; the others are sums of these."""
FROM_I_AND_II = {
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
"""Lead -> its factors of I and II (Einthoven's law and Goldberger's definitions)."""
_SPELLING = re.compile(r"(?:ECG|LEAD)?(?:A?(AV[RLF])|D?(I{1,3})|(V[1-6]))")
_BY_CAPITALS = {name.upper(): name for name in LEADS}


def standard_name(text: str) -> str | None:
    """Return the standard name of a lead (`AVR`, `aAVR`, `Lead II`, `DIII`, `v_1`); else None.

    An inverted lead (`-aVR`) is none of the twelve.
    """
    match = _SPELLING.fullmatch(re.sub(r"[\s_.]", "", text).upper())
    return _BY_CAPITALS[next(filter(None, match.groups()))] if match else None


def leads_of(number: int) -> tuple[str, ...]:
    """Return the names of the leads of a set with 12 or 8 of them.

    Raises:
        UserError: any other number.
    """
    by_number = {len(LEADS): LEADS, len(EIGHT_LEADS): EIGHT_LEADS}
    if number not in by_number:
        raise UserError(f"leads={number}: choose 12 or 8 (I, II, V1 to V6)")
    return by_number[number]


def rows_of(wanted: Sequence[str], given: Sequence[str] = LEADS) -> list[int]:
    """Return where the wanted leads stand among the given ones: I, II, V1.. -> [0, 1, 6, ...].

    Raises:
        UserError: a wanted lead is not given.
    """
    absent = [name for name in wanted if name not in given]
    if absent:
        raise UserError(f"no lead {absent[0]}; there are {', '.join(given)}")
    return [given.index(name) for name in wanted]


def arrange(
    signal: np.ndarray, names: Sequence[str], wanted: Sequence[str] = LEADS
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Bring the rows of a record into the wanted order, by name.

    A missing limb lead is computed where I and II are there; any other missing lead is zero.

    Args:
        signal: [given leads, samples] of one unit.
        names: how the file calls them, in any spelling; those that are none of the twelve are
            left out.
        wanted: standard names.

    Returns:
        signal [wanted leads, samples], of the same type where nothing was computed; recorded bool
        [wanted leads], false for those that are zero for want of data; names that were computed.

    Raises:
        RecordFault: a lead stands there twice, or none of them is wanted.
    """
    rows: dict[str, int] = {}
    for row, text in enumerate(names):
        name = standard_name(text)
        if name in rows:
            raise RecordFault(f"lead {name} twice")
        if name is not None:
            rows[name] = row
    computed = tuple(
        name
        for name in wanted
        if name not in rows and name in FROM_I_AND_II and {"I", "II"} <= rows.keys()
    )
    recorded = np.array([name in rows or name in computed for name in wanted])
    if not recorded.any():
        raise RecordFault("none of the leads is there")
    dtype = np.result_type(signal.dtype, np.float64) if computed else signal.dtype
    arranged = np.zeros((len(wanted), signal.shape[1]), dtype)
    for i, name in enumerate(wanted):
        if name in rows:
            arranged[i] = signal[rows[name]]
        elif name in computed:
            of_i, of_ii = FROM_I_AND_II[name]
            arranged[i] = of_i * signal[rows["I"]] + of_ii * signal[rows["II"]]
    return arranged, recorded, computed
