"""A small cohort in memory."""

from functools import partial

import numpy as np

from medjax.data.ml4h_cohort.records import Cohort, Participants

ECG, MRI = (16, 12), (8, 8, 3)
COUNTS = {"train": 13, "validation": 6, "test": 5}


def make_cohort(mri: bool = True) -> Cohort:
    """Every fourth participant has no ECG, every third no MRI; with `mri` False nobody has one."""
    rng = np.random.default_rng(5)
    splits, first = {}, 0
    for split, count in COUNTS.items():
        numbers = np.arange(first, first + count)
        has_ecg, has_mri = numbers % 4 != 1, (numbers % 3 != 2) & mri
        has_ecg |= ~has_mri
        signals = {}
        for name, shape, there in (("ecg", ECG, has_ecg), ("mri", MRI, has_mri)):
            values = rng.normal(size=(count, *shape)).astype(np.float32)
            values[~there] = 0
            signals[name] = partial(np.take, values, axis=0)
        phenotypes = rng.normal(size=(count, 2)).astype(np.float32)
        ids = np.array([str(1000 + i) for i in numbers])
        splits[split] = Participants(
            ids, has_ecg, has_mri, phenotypes, signals["ecg"], signals["mri"]
        )
        first += count
    return Cohort(splits, ("mass", "rate"), ECG, MRI, {}, "digest")
