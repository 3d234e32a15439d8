"""A small open set of invented recordings, without files."""

import numpy as np

from medjax.data.ecg.leads import LEADS
from medjax.data.ecg.records import EcgSet, Records


def ecg_set(counts: dict[str, int], samples: int = 150, labels: int = 3) -> EcgSet:
    """A set with so many recordings a split; lead II has a spike every half second at 125 Hz."""
    rng = np.random.default_rng(5)
    splits = {split: _records(split, n, samples, labels, rng) for split, n in counts.items()}
    names = tuple(f"label{i}" for i in range(labels))
    return EcgSet("median", splits, LEADS, 125.0, samples, "mV", names, "")


def _records(split: str, n: int, samples: int, labels: int, rng: np.random.Generator) -> Records:
    signal = rng.integers(-300, 300, (n, 12, samples)).astype(np.int16)
    signal[:, 1, 30::62] = 9000
    scale = np.full((n, 12), 0.001, np.float32)
    return Records(
        record_id=np.array([f"{split}-{i}" for i in range(n)], str),
        subject_id=np.array([f"s{i}" for i in range(n)], str),
        age=np.full(n, 50, np.float32),
        sex=np.array(["female"] * n, str),
        fold=np.ones(n, np.int32),
        event=np.full(n, np.nan, np.float32),
        duration=np.full(n, np.nan, np.float32),
        labels=rng.integers(0, 2, (n, labels)).astype(np.float32),
        statements=({},) * n,
        report=("",) * n,
        length=np.full(n, samples, np.int32),
        recorded=np.ones((n, 12), bool),
        examples=[{"signal": s, "scale": k} for s, k in zip(signal, scale)],  # type: ignore[arg-type]
    )
