"""Parity of the ICU tables: cleaning, discretisation, and the whole pipeline stage by stage."""

import numpy as np

from medjax.data.mimic_iv.channels import load_channels
from medjax.data.mimic_iv.clean import Rejected, clean
from medjax.data.mimic_iv.discretize import Grid, discretize
from medjax.data.mimic_iv.normalizer import RunningMoments, normalize, published_normalizer
from medjax.data.mimic_iv.rules import Rules
from tests.parity.harness import Case, ParityError, handles

CHANNELS = load_channels()


@handles("medfuse", "clean_events", asserts={"cleaned"})
def clean_events(case: Case) -> dict[str, np.ndarray]:
    """Item, value and unit -> the rows that survive; their values are compared here."""
    rules, columns = Rules.published(), case.inputs
    kept: dict[int, float | str] = {}
    for row, (item, value, unit) in enumerate(
        zip(columns["itemid"], columns["value"], columns["valuenum"])
    ):
        try:
            kept[row] = clean(int(item), str(value), str(unit), CHANNELS, rules)
        except Rejected:
            continue
    reference = dict(zip(case.expected["kept_rows"].tolist(), case.expected["cleaned"].tolist()))
    for row in kept.keys() & reference.keys():
        _check_text(f"row {row}", kept[row], reference[row], case.record["rtol"])
    return {"kept_rows": np.array(list(kept))}


def _check_text(where: str, ours: float | str, reference: str, rtol: float) -> None:
    """Compare numbers as floats, all else as text."""
    try:
        equal = abs(float(ours) - float(reference)) <= rtol * (1 + abs(float(reference)))
    except ValueError:
        equal = ours == reference
    if not equal:
        raise ParityError(f"{where}: {ours!r}, reference {reference!r}")


@handles("medfuse", "discretizer", config={"grid", "header"})
def discretizer(case: Case) -> dict[str, np.ndarray]:
    """X_k -> data_k for every grid, then the normaliser on and fitted to the first three."""
    if CHANNELS.header() != tuple(case.config["header"]):
        raise ParityError("column names differ")
    outputs = {}
    for entry in case.config["grid"]:
        grid = Grid(entry["timestep"], entry["impute"], entry["start_time"], entry["store_masks"])
        hours, values = _parse(case.inputs[f"X_{entry['k']}"])
        outputs[f"data_{entry['k']}"] = discretize(hours, values, CHANNELS, entry["end"], grid)
    first_three = [discretize(*_parse(case.inputs[f"X_{k}"]), CHANNELS, 48.0) for k in range(3)]
    moments = RunningMoments(len(CHANNELS.header()))
    for data in first_three:
        moments.add(data)
    fitted = moments.fitted()
    return outputs | {
        "disc48": first_three[0],
        "norm48": normalize(first_three[0], published_normalizer(), CHANNELS),
        "fit_means": fitted.means,
        "fit_stds": fitted.stds,
    }


def _parse(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Text rows [hours, 17 values] -> hours [rows] and values [rows, 17]."""
    values = np.full((len(rows), len(CHANNELS.names)), np.nan)
    for (row, channel), text in np.ndenumerate(rows[:, 1:]):
        known = CHANNELS.categories[channel]
        if text:
            values[row, channel] = known.index(text) if known else float(text)
    return rows[:, 0].astype(np.float64), values
