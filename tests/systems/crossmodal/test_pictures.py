"""Pictures of latents, of reconstructions and of networks."""

import jax
import numpy as np
import pytest

from medjax.metrics.tables import to_csv
from medjax.systems.crossmodal.architecture import Architecture
from medjax.systems.crossmodal.ecg_figure import ecg_figure
from medjax.systems.crossmodal.inspection import (
    architecture_figure,
    layers_of,
    parameter_table,
)
from medjax.systems.crossmodal.latent_map import MOST, make_map, map_figure
from medjax.systems.crossmodal.latents import Latents
from medjax.systems.crossmodal.model import CrossModal
from medjax.systems.crossmodal.mri_figure import end_systole, mri_figure

RNG = np.random.default_rng(0)
SMALL = {"conv_layers": (3, 4), "dense_blocks": (4, 5), "block_size": 3, "dense_layers": (6,)}
ECG = Architecture((16, 12), conv_width=(5,), dense_normalize="layer_norm", **SMALL)
MRI = Architecture((8, 8, 5), conv_normalize="batch_norm", **SMALL)


def latents(n: int) -> Latents:
    ids = np.array([str(i) for i in range(n)])
    has = {"ecg": np.arange(n) % 3 > 0, "mri": np.arange(n) % 4 > 0}
    return Latents(ids, {name: RNG.normal(size=(n, 5)) for name in has}, has)


def test_a_map_has_a_point_for_every_latent_that_there_is() -> None:
    made = make_map(known := latents(60), "pca")
    assert made is not None and len(made.points) == known.has["ecg"].sum() + known.has["mri"].sum()
    assert all(known.has[m][row] for m, row in zip(made.modality, made.row))
    factors = {
        "heart_rate": np.where(np.arange(60) < 9, np.nan, RNG.normal(size=60)),
        "hypertrophy": (np.arange(60) % 2).astype(float),
        "unknown": np.full(60, np.nan),
    }
    figure = map_figure(made, factors, "Latents")
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == ["modality", "heart rate", "hypertrophy"]
    shown = figure.axes[0].collections[0]
    assert len(shown.get_offsets()) == len(made.points)


def test_of_many_participants_some_are_drawn_and_of_hardly_any_none() -> None:
    made = make_map(latents(MOST + 500), "pca", seed=1)
    assert made is not None and len(np.unique(made.row)) <= MOST
    few = latents(20)._replace(has={"ecg": np.arange(20) < 3, "mri": np.zeros(20, bool)})
    assert make_map(few, "pca") is None


def test_a_beat_is_drawn_in_millivolt_lead_by_lead() -> None:
    beat = np.zeros((60, 12))
    beat[30] = np.arange(12) + 1  # the channel's number, in units of ten recorder steps
    figure = ecg_figure(beat, {"own latent": 0.5 * beat, "from MRI": 0 * beat}, "Beat")
    found = {ax.get_title(loc="left"): ax for ax in figure.axes}
    assert len(found) == 12
    for lead, channel in (("I", 0), ("V1", 3), ("aVF", 9), ("aVR", 11)):
        recorded, own, _ = (line.get_ydata() for line in found[lead].lines)
        assert recorded.max() == pytest.approx((channel + 1) * 0.05)
        assert own.max() == pytest.approx((channel + 1) * 0.025)
    assert found["I"].lines[0].get_xdata()[30] == pytest.approx(600)


def test_the_smallest_heart_is_drawn_beside_the_largest() -> None:
    frames, place = 20, np.indices((24, 24)) - 11.5
    radius = 9 - 4 * np.sin(np.pi * np.clip(np.arange(frames) / 14, 0, 1))  # smallest at 7
    cine = np.clip(radius - np.hypot(*place)[..., None], 0, 1)
    assert end_systole(cine) == 7
    figure = mri_figure(cine, {"own latent": cine, "from ECG": 0 * cine}, "Heart")
    images = [ax.images[0].get_array() for ax in figure.axes]
    assert len(images) == 10
    np.testing.assert_array_equal(images[5], cine[..., 7])
    assert not images[7].any() and images[9].min() == -1  # error of the own, and from ECG
    assert "frame 8 of 20" in figure.axes[5].get_ylabel()
    assert end_systole(cine[..., :2]) == 1


def test_every_parameter_stands_in_the_table() -> None:
    model = CrossModal((("ecg", ECG), ("mri", MRI)), "kronecker", ("ecg",), 1.0)
    layers = layers_of(model)
    made = jax.eval_shape(model.init, jax.random.key(0))["params"]
    assert sum(x.parameters for x in layers) == sum(x.size for x in jax.tree.leaves(made))
    of_encoder = [x for x in layers if x.part == "encoder_ecg"]
    assert [x.kind for x in of_encoder[:5]] == [
        "signal",
        "convolution",
        "convolution",
        "convolution",
        "pool",
    ]
    assert of_encoder[-1].gives == (6,) and of_encoder[1].kernel == (5,)
    assert ("reshape, upsample", (8, 5)) in [
        (x.kind, x.gives) for x in layers if x.part == "decoder_ecg"
    ]
    table = to_csv(parameter_table(layers, "Parameters"))
    assert f"all,,,,,{sum(x.parameters for x in layers)}" in table
    figure = architecture_figure(model, "Network")
    assert len(figure.axes) == 6  # two encoders, two decoders, two mergers
