"""Tensormaps: who is refused and why, where the heart lies, and files that lead elsewhere."""

import h5py
import numpy as np
import pytest

from medjax.data.ecg.fault import RecordFault
from medjax.data.hd5 import open_hd5
from medjax.data.ml4h_cohort.tensormaps import (
    ECG_LEADS,
    HEART_LABELS,
    EcgOptions,
    MriOptions,
    Rejected,
    ecg_tensor,
    heart_of,
    mri_tensor,
)
from tests.data.ml4h_cohort.hd5_files import CINE, FRAMES, MASK, SAMPLES, write_ecg, write_mri

ECG = EcgOptions(samples=SAMPLES)
MRI = MriOptions(height=12, width=12, frames=FRAMES)


def ecg(path, **options):
    with open_hd5(path) as file:
        return ecg_tensor(file, ECG._replace(**options))


def mri(path, **options):
    with open_hd5(path) as file:
        return mri_tensor(file, MRI._replace(**options))


def test_ecg_channels_units_and_length(tmp_path):
    rows = write_ecg(tmp_path / "1.hd5", samples=SAMPLES - 10)
    beat = ecg(tmp_path / "1.hd5")
    assert beat.shape == (SAMPLES, 12) and beat.dtype == np.float32
    np.testing.assert_allclose(beat[:-10], rows.T / 10, rtol=1e-6)
    assert (beat[-10:] == 0).all()
    np.testing.assert_array_equal(ecg(tmp_path / "1.hd5", samples=20), beat[:20])


def test_the_examination_of_the_mri_visit_comes_first(tmp_path):
    path = tmp_path / "1.hd5"
    first = write_ecg(path, 1, instance="instance_10")
    np.testing.assert_allclose(ecg(path).T * 10, first)
    third = write_ecg(path, 3, instance="instance_3")
    np.testing.assert_allclose(ecg(path).T * 10, third)
    visit = write_ecg(path, 2, instance="instance_2")
    np.testing.assert_allclose(ecg(path).T * 10, visit)
    np.testing.assert_allclose(ecg(path, instance=10).T * 10, first)
    with pytest.raises(Rejected, match="no median beat of this examination"):
        ecg(path, instance=0)


def test_rules_of_the_ecg(tmp_path):
    lacking = tmp_path / "1.hd5"
    rows = write_ecg(lacking, leads=ECG_LEADS[1:], text=None)
    with pytest.raises(Rejected, match="a lead is missing") as fault:
        ecg(lacking)
    assert fault.value.where == "I"
    zeros = ecg(lacking, missing_lead="zeros")
    assert (zeros[:, 0] == 0).all()
    np.testing.assert_allclose(zeros[:, 1:] * 10, rows[1:].T)
    for option in ("require_text", "no_poor"):
        with pytest.raises(Rejected, match="no machine reading"):
            ecg(lacking, missing_lead="zeros", **{option: True})
    poor = tmp_path / "2.hd5"
    write_ecg(poor, text="Poor data quality, interpret with care")
    assert ecg(poor, require_text=True).any()
    with pytest.raises(Rejected, match="poor data quality"):
        ecg(poor, no_poor=True)
    write_mri(tmp_path / "3.hd5")
    with pytest.raises(Rejected, match="no resting ECG"):
        ecg(tmp_path / "3.hd5")


@pytest.mark.parametrize("height", [5, 12, 13, 15])
def test_a_heart_keeps_its_middle(tmp_path, height):
    """What is cut or padded is shared by both sides, to a pixel; published: top left."""
    cine = write_mri(tmp_path / "1.hd5", box=(1, 4, height, 7))
    with open_hd5(tmp_path / "1.hd5") as file:
        ours = heart_of(file, MRI)
        published = heart_of(file, MRI._replace(anchor="top_left"))
    cut = cine[1 : height + 1, 4:8]
    rows, columns = ours.box
    start = max(height - 12, 0) // 2
    kept = min(height, 12)
    np.testing.assert_array_equal(ours.tensor[ours.box], cut[start : start + kept])
    assert (rows.start, columns.start) == (max(12 - height, 0) // 2, 4)
    np.testing.assert_array_equal(published.tensor[:kept, :4], cut[:kept])
    assert np.count_nonzero(ours.tensor) == np.count_nonzero(published.tensor) == kept * 4 * FRAMES


def test_padding_moves_no_score_of_ours(tmp_path):
    write_mri(tmp_path / "1.hd5")
    small, large = (mri(tmp_path / "1.hd5", height=edge, width=edge) for edge in (12, 16))
    np.testing.assert_array_equal(large[2:-2, 2:-2], small)
    inside = small[2:10, 1:10]
    assert abs(inside.mean()) < 1e-6 and abs(inside.std() - 1) < 1e-5
    assert np.count_nonzero(small) <= inside.size
    padded = mri(tmp_path / "1.hd5", normalize_region="padded")
    assert abs(padded.mean()) < 1e-6 and abs(padded.std() - 1) < 1e-5
    assert padded[0, 0, 0] < 0


def _with(path, name, values):
    with h5py.File(path, "a") as file:
        del file[name]
        if values is not None:
            file[name] = values


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (CINE, None, "no long-axis cine"),
        (MASK, None, "no annotation of the first frame"),
        (CINE, np.ones((16, 20, FRAMES - 1)), "too few frames"),
        (CINE, np.full((16, 20, FRAMES), np.nan), "NaN"),
        (MASK, np.full((16, 20), np.nan, np.float32), "NaN"),
        (MASK, np.full((16, 20), 13), "no heart"),
        (MASK, np.ones((17, 20)), "beyond the image"),
        (MASK, np.ones((16, 21)), "beyond the image"),
    ],
)
def test_rules_of_the_mri(tmp_path, name, values, message):
    write_mri(tmp_path / "1.hd5")
    _with(tmp_path / "1.hd5", name, values)
    with pytest.raises(Rejected, match=message):
        mri(tmp_path / "1.hd5")


def test_heart_labels(tmp_path):
    for label in range(16):
        path = tmp_path / f"{label}.hd5"
        write_mri(path, label=label)
        if label in HEART_LABELS:
            assert mri(path).any()
        else:
            with pytest.raises(Rejected):
                mri(path)


@pytest.mark.parametrize(
    "values",
    [np.ones((16, 20)), np.zeros((0, 20, FRAMES)), np.array([b"a"]), np.ones((1, 1, 1), complex)],
)
def test_a_cine_that_is_no_stack_is_damaged(tmp_path, values):
    write_mri(tmp_path / "1.hd5")
    _with(tmp_path / "1.hd5", CINE, values)
    with pytest.raises(RecordFault, match="not a stack of images") as fault:
        mri(tmp_path / "1.hd5")
    assert not isinstance(fault.value, Rejected)


def _huge(file):
    file.create_dataset(CINE, (10**4, 10**4, 10**4), "f4", chunks=(64, 64, 64))


def _bomb(file):
    most = (10**4,) * 3
    file.create_dataset(CINE, (16, 20, FRAMES), "f4", chunks=(900, 900, 900), maxshape=most)


def _external(file):
    file[CINE] = h5py.ExternalLink("other.hd5", "/x")


def _soft(file):
    file[CINE] = h5py.SoftLink(f"/{CINE}")


def _above(file):
    del file["ukb_cardiac_mri"]
    file["ukb_cardiac_mri"] = h5py.ExternalLink("other.hd5", "/")


def _stored_outside(file):
    file.create_dataset(CINE, (16, 20, FRAMES), "u1", external=[("/etc/passwd", 0, 1600)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_huge, "not a stack of images"),
        (_bomb, "chunks too large"),
        (_external, "a link to elsewhere"),
        (_soft, "a link to elsewhere"),
        (_above, "a link to elsewhere"),
        (_stored_outside, "lies in another file"),
    ],
)
def test_files_that_lead_elsewhere_are_refused(tmp_path, make, message):
    path = tmp_path / "1.hd5"
    write_mri(path)
    with h5py.File(path, "a") as file:
        del file[CINE]
        make(file)
    with pytest.raises(RecordFault, match=message):
        mri(path)
