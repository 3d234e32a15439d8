"""The invented cohort: a heart that beats as asked, an ECG that knows of it, files as of ml4h."""

import numpy as np
import pandas as pd
import pytest

from medjax.data.demo.crossmodal import SHARED, SHARED_VOLTAGE, draw_persons, median_beats
from medjax.data.demo.hd5 import FIRST_PERSON, LABELS, write_cohort
from medjax.data.demo.patients import generator
from medjax.data.demo.phantom import LV, LV_WALL, SEPTUM, draw_cine, volume
from medjax.data.ml4h_cohort.records import open_cohort
from medjax.data.ml4h_cohort.tensormaps import HEART_LABELS
from medjax.errors import UserError
from tests.data.ecg.commands import prepare

SIZES = {"ecg_samples": 60, "grid": 40, "frames": 3}
PERSONS = draw_persons(300, 0)


def test_volume_curve():
    phase = np.linspace(0, 1, 1001)
    curve = volume(phase, 0.6, 0.35)
    assert curve[0] == pytest.approx(1) and curve[-1] == pytest.approx(1)
    assert curve.min() == pytest.approx(0.4) and phase[curve.argmin()] == pytest.approx(0.35)
    assert (np.diff(curve[phase <= 0.35]) <= 0).all() and (np.diff(curve[phase > 0.36]) >= 0).all()
    np.testing.assert_allclose(volume(phase - 1, 0.6, 0.35), curve)


@pytest.mark.parametrize("person", range(3))
def test_the_cavity_shrinks_and_the_wall_keeps_its_area(person):
    shape = PERSONS.shapes[person]
    labels = draw_cine(shape, generator(0, person), 160, 25).labels
    curve = volume(np.arange(25) / 25, shape.ejection_fraction, shape.end_systole)
    cavity = (labels == LV).sum(axis=(0, 1))
    np.testing.assert_allclose(cavity / cavity[0], curve**0.55, rtol=0.03)
    wall = np.isin(labels, (LV_WALL, SEPTUM)).sum(axis=(0, 1))
    assert np.ptp(wall) < 0.35 * wall.mean()  # the part at the valve plane is open
    assert cavity[0] * (288 / 160) ** 2 == pytest.approx(
        np.pi / 4 * shape.long_axis * shape.short_axis, rel=0.03
    )


def test_hearts_fit_the_published_size():
    fit = []
    for person in range(100):
        labels = draw_cine(PERSONS.shapes[person], generator(0, person), 80, 1).labels[:, :, 0]
        heart = np.isin(labels, HEART_LABELS)
        edges = [np.flatnonzero(heart.any(axis=axis)) for axis in (0, 1)]
        fit.append(all(np.ptp(edge) < 48 for edge in edges))
    assert np.mean(fit) >= 0.95


def test_blood_is_brighter_than_the_wall_and_the_wall_than_the_lung():
    cine = draw_cine(PERSONS.shapes[0], generator(0, 0), 160, 1)
    labels, image = cine.labels[:, :, 0], cine.image[:, :, 0]
    assert image.dtype == np.uint16 and image.max() <= 1000
    blood, wall = (np.median(image[np.isin(labels, part)]) for part in ((LV,), (LV_WALL, SEPTUM)))
    assert blood > 2 * wall > 3 * np.median(image[labels == 0])


def test_the_ecg_knows_of_the_heart():
    """In the properties as asked, and in the beat itself: a straight line finds every factor."""
    persons = draw_persons(1500, 1)
    factors, hearts = persons.factors, persons.hearts
    lean = np.array([shape.angle for shape in persons.shapes])
    for ours, other, share in (
        (np.log(hearts.voltage), factors["lv_mass"], SHARED_VOLTAGE),
        (hearts.t_wave, factors["ejection_fraction"], SHARED),
        (np.log(persons.septal), factors["wall_thickness"], SHARED),
        (lean, factors["electrical_axis"], SHARED),
    ):
        assert np.corrcoef(ours, other)[0, 1] == pytest.approx(share, abs=0.05)
    beats = median_beats(persons, 1, 60).reshape(1500, -1)
    train, test = beats[:1000], beats[1000:]
    kernel = train @ train.T + 0.5 * np.eye(1000)
    for name in ("lv_mass", "ejection_fraction", "wall_thickness", "heart_rate"):
        truth = factors[name] - factors[name][:1000].mean()
        guess = test @ (train.T @ np.linalg.solve(kernel, truth[:1000]))
        explained = 1 - ((truth[1000:] - guess) ** 2).sum() / (truth[1000:] ** 2).sum()
        assert explained > 0.2, name


def test_a_person_is_the_same_among_few_and_many():
    few, many = draw_persons(3, 5), draw_persons(9, 5)
    assert few.shapes == many.shapes[:3]
    np.testing.assert_array_equal(median_beats(few, 5, 20), median_beats(many, 5, 20)[:3])


def test_the_cohort_goes_through_prepare(tmp_path):
    for name in ("raw", "again"):
        write_cohort(tmp_path / name, 24, 0, **SIZES)
    for path in sorted((tmp_path / "raw").iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    labels = tmp_path / "raw" / LABELS
    options = ("--ecg_samples=60", "--mri_edge=24", "--mri_frames=3", f"--labels={labels}")
    opened = open_cohort(prepare("ml4h_cohort", tmp_path / "raw", tmp_path / "out", *options))
    ids = np.concatenate([people.sample_id for people in opened.splits.values()])
    assert set(ids) <= {str(FIRST_PERSON + i) for i in range(24)} and len(ids) > 20
    ecg = np.concatenate([people.has_ecg for people in opened.splits.values()])
    mri = np.concatenate([people.has_mri for people in opened.splits.values()])
    assert 0.6 < (ecg & mri).mean() < 1
    people = opened.splits["train"]
    truth = pd.read_csv(labels, dtype={"sample_id": str}).set_index("sample_id")
    np.testing.assert_allclose(people.phenotypes, truth.loc[people.sample_id], rtol=1e-5)
    assert opened.phenotype_names == tuple(truth.columns)
    assert np.isfinite(people.mri(range(4))).all() and np.abs(people.ecg(range(4))).max() < 100


def test_nobody(tmp_path):
    with pytest.raises(UserError, match="at least 1"):
        write_cohort(tmp_path, 0, 0)
