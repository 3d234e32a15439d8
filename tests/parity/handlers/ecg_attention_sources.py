"""Parity of the data of the risk experiment: normalisation, padding, units of time."""

import numpy as np

from medjax.data.ecg.length import pad
from medjax.data.ecg.standardize import standardize
from medjax.data.ecg.units import DAYS
from tests.parity.harness import Case, handles


@handles("ecg_attention", "risk_data", config={"unit", "ecg_max_length"})
def risk_data(case: Case) -> dict[str, np.ndarray]:
    """x and y (status, days, id) -> X and Y, with padding as published.

    The published times are one unit later than ours, which moves no rank and no risk set.
    """
    samples = case.config["ecg_max_length"]
    signal = standardize(case.inputs["x"].astype(np.float64))
    status, days, subject = case.inputs["y"].T
    return {
        "X": pad(signal, samples, odd="short").astype(np.float32),
        "Y": np.stack([status, days / DAYS[case.config["unit"]] + 1, subject], axis=1),
    }
