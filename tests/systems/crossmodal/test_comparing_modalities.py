"""Retrieval between modalities, and reconstructions of one from the other."""

import numpy as np
import pytest

from medjax.metrics.tables import to_csv
from medjax.systems.crossmodal.imputation import imputation_metrics, imputation_table
from medjax.systems.crossmodal.latents import Latents
from medjax.systems.crossmodal.retrieval import paired_retrieval

N = 80
RNG = np.random.default_rng(0)


def latents(noise: float) -> Latents:
    """Latents that two modalities share, for all but the first ten participants."""
    z = RNG.normal(size=(N, 8))
    other = z + noise * RNG.normal(size=(N, 8))
    has_mri = np.arange(N) >= 10
    other[~has_mri] = z[10]  # would be found, if it counted
    ids = np.array([str(i) for i in range(N)])
    return Latents(ids, {"ecg": z, "mri": other}, {"ecg": np.ones(N, bool), "mri": has_mri})


def test_those_with_both_modalities_are_found_both_ways() -> None:
    found = paired_retrieval(latents(0.01))
    for way in ("ecg_to_mri", "mri_to_ecg"):
        recall = found[f"retrieval/{way}/recall@1"]
        assert recall.value == recall.high == pytest.approx(1) and 0.9 < recall.low < 1
        assert recall.n == 70
    assert found["retrieval/pair_cosine"].value > 0.99
    assert 7 < found["collapse/ecg_effective_rank"].value <= 8
    noisy = paired_retrieval(latents(20.0))["retrieval/ecg_to_mri/recall@10"]
    assert noisy.low < 10 / 70 < noisy.high


def test_nobody_with_both_is_told() -> None:
    alone = latents(0.1)._replace(has={"ecg": np.arange(N) < 9, "mri": np.arange(N) >= 9})
    assert list(paired_retrieval(alone)) == ["retrieval/pair_cosine"]
    assert "fewer than two" in (paired_retrieval(alone)["retrieval/pair_cosine"].reason or "")


def errors() -> dict[str, np.ndarray]:
    mean = RNG.uniform(1, 2, N)
    return {
        "squared_error/mri": 0.1 * mean,
        "squared_error/mri_from_ecg": 0.6 * mean + RNG.normal(0, 0.05, N),
        "squared_error/mri_from_mean": mean,
        "squared_error/ecg_from_mri": RNG.uniform(1, 2, N),
        "has_ecg": np.arange(N) % 4 > 0,
        "has_mri": np.arange(N) % 5 > 0,
        "loss/mri": np.full(N, np.nan),
    }


def test_errors_against_the_mean_signal() -> None:
    outputs = errors()
    found = imputation_metrics(outputs, 300, 0)
    both = outputs["has_ecg"] & outputs["has_mri"]
    own, imputed = found["reconstruction/mri/explained"], found["imputation/mri_from_ecg/explained"]
    assert own.value == pytest.approx(0.9) and own.n == outputs["has_mri"].sum()
    assert own.low == pytest.approx(0.9) and own.high == pytest.approx(0.9)
    rows = outputs["squared_error/mri_from_ecg"][both], outputs["squared_error/mri_from_mean"][both]
    assert imputed.value == pytest.approx(1 - rows[0].sum() / rows[1].sum())
    assert imputed.low < imputed.value < imputed.high < own.low
    assert found["imputation/mri_from_ecg/mse"].value == pytest.approx(rows[0].mean())
    # Of the ECG no mean is known.
    assert "imputation/ecg_from_mri/explained" not in found
    assert found["imputation/ecg_from_mri/mse"].n == both.sum()


def test_without_participants_or_resamples() -> None:
    outputs = errors()
    alone = {**outputs, "has_ecg": np.zeros(N, bool)}
    assert imputation_metrics(alone, 0, 0)["imputation/mri_from_ecg/mse"].reason
    found = imputation_metrics(outputs, 0, 0)
    assert found["reconstruction/mri/mse"].low is None
    lines = to_csv(imputation_table(found, "Reconstructions")).splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [
        ["MRI", "MRI"],
        ["MRI", "ECG"],
        ["ECG", "MRI"],
    ]
