"""Probes of two sets of latents: the same participants, and what their difference says."""

import numpy as np
import pytest

from medjax.metrics.probes import ProbeOptions
from medjax.metrics.tables import to_csv
from medjax.systems.crossmodal.latents import Latents
from medjax.systems.crossmodal.probe_figure import probe_figure
from medjax.systems.crossmodal.probing import (
    Labels,
    gain_metrics,
    probe,
    probe_metrics,
    probe_table,
)

N = 200
RNG = np.random.default_rng(0)
MASS = RNG.normal(size=N)
LABELS = Labels(
    np.array([f"p{i:03}" for i in range(N)]),
    ("lv_mass", "hypertrophy", "unknown"),
    np.stack([np.where(np.arange(N) < 180, 130 + 30 * MASS, np.nan), MASS > 0.7, MASS * np.nan], 1),
)


def latents(noise: dict[str, float], order: np.ndarray) -> Latents:
    """Latents of participants in some order, whose first coordinate is the mass and noise."""
    vectors, has = {}, {}
    for seed, (modality, scale) in enumerate(noise.items()):
        rng = np.random.default_rng(seed + 1)
        z = rng.normal(size=(N, 6))
        z[:, 0] = MASS + scale * z[:, 0]
        there = rng.random(N) < 0.9
        z[~there] = 1e6  # rows of who lacks the modality must not count
        vectors[modality], has[modality] = z[order].astype(np.float32), there[order]
    return Latents(LABELS.sample_id[order], vectors, has)


@pytest.fixture(scope="module")
def probed():
    sets = {
        "unimodal": latents({"ecg": 3.0, "mri": 0.3}, np.arange(N)),
        "crossmodal": latents({"ecg": 0.5, "mri": 0.3}, RNG.permutation(N)[:190]),
    }
    return probe(sets, LABELS, resamples=200)


def test_scores_and_gains_with_intervals(probed) -> None:
    unimodal, crossmodal = probe_metrics(probed, "unimodal"), probe_metrics(probed, "crossmodal")
    gains = gain_metrics(probed)
    for name in ("ecg/ridge_r2/lv_mass", "ecg/logistic_auroc/hypertrophy"):
        gain = gains[f"probe_gain/{name}"]
        scores = [found[f"probe/{name}"] for found in (crossmodal, unimodal)]
        assert 0 < gain.low < gain.value < gain.high
        assert gain.value == pytest.approx(scores[0].value - scores[1].value)
        assert gain.n == scores[0].n == scores[1].n
    # The order of rows and who else is there change nothing: these latents are the same.
    same = gains["probe_gain/mri/ridge_r2/lv_mass"]
    assert same.value == same.low == same.high == 0
    assert unimodal["probe/mri/ridge_r2/lv_mass"].value > 0.8


def test_only_those_count_whom_all_sets_and_labels_know(probed) -> None:
    has = latents({"ecg": 3.0, "mri": 0.3}, np.arange(N)).has["ecg"]
    metric = probe_metrics(probed, "unimodal")["probe/ecg/ridge_r2/lv_mass"]
    assert 150 < metric.n <= has[:180].sum() and metric.positives is None
    binary = probe_metrics(probed, "unimodal")["probe/ecg/logistic_auroc/hypertrophy"]
    assert binary.n > metric.n and 0 < binary.positives < binary.n
    alone = probe({"unimodal": latents({"ecg": 3.0}, np.arange(N))}, LABELS, resamples=0)
    found = probe_metrics(alone, "unimodal")["probe/ecg/ridge_r2/lv_mass"]
    assert found.n == has[:180].sum() and found.low is None


def test_what_cannot_be_fitted_says_why(probed) -> None:
    name = "ecg/ridge_r2/unknown"
    assert "fewer than 5" in probe_metrics(probed, "unimodal")[f"probe/{name}"].reason
    assert gain_metrics(probed)[f"probe_gain/{name}"].value is None


def test_table_and_figure(probed) -> None:
    table = probe_table(probed, "Probes")
    assert table.columns[-3:] == ("crossmodal", "unimodal", "Difference")
    assert len(to_csv(table).splitlines()) == 1 + 6
    figure = probe_figure(probed, "Probes")
    assert len(figure.axes) == 4  # two modalities, numbers and classes
    written = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert "lv mass" in written and any(text.startswith("0.000 (0.000") for text in written)


def test_one_set_alone_has_no_difference() -> None:
    sets = {"unimodal": latents({"ecg": 3.0}, np.arange(N))}
    alone = probe(sets, LABELS, ("logistic", "kernel_ridge"), ProbeOptions(folds=2), resamples=20)
    assert probe_table(alone, "Probes").columns[-1] == "unimodal"
    written = [text.get_text() for text in probe_figure(alone, "Probes").axes[1].texts]
    assert "hypertrophy (kernel ridge)" in written
