"""Bringing a record into the form of its set: leads by name, gaps, rates, lengths, storage."""

import numpy as np
import pytest

from medjax.data.ecg.cleaning import clean
from medjax.data.ecg.leads import EIGHT_LEADS, LEADS, arrange, rows_of, standard_name
from medjax.data.ecg.recording import Form, conform, standard_sex

RNG = np.random.default_rng(0)
FORM = Form(500, 600)


def test_spellings_of_leads():
    spelt = ["AVR", "aAVR", "avl", "Lead II", "DIII", "v_1", "V6 ", "lead_aVF", "I", "ecg i"]
    names = ["aVR", "aVR", "aVL", "II", "III", "V1", "V6", "aVF", "I", "I"]
    assert [standard_name(text) for text in spelt] == names
    assert not any(map(standard_name, ["-aVR", "MLII", "V7", "VX", "", "IIII", "AV", "resp"]))


def test_leads_are_ordered_by_name():
    signal = RNG.integers(-1000, 1000, (12, 600)).astype(np.int16)
    order = RNG.permutation(12)
    names = [LEADS[i].upper() for i in order]
    conformed = conform(signal[order], names, 500, FORM, 0.002)
    np.testing.assert_array_equal(conformed.values, signal)
    np.testing.assert_allclose(conformed.scale, 0.002)
    assert conformed.recorded.all() and conformed.notes == ()


def test_limb_leads_follow_from_i_and_ii():
    i, ii = RNG.normal(size=(2, 600))
    arranged, recorded, computed = arrange(np.stack([ii, i]), ["II", "I"])
    assert (
        computed == ("III", "aVR", "aVL", "aVF") and recorded.tolist() == [True] * 6 + [False] * 6
    )
    np.testing.assert_allclose(arranged[0] + arranged[2], arranged[1], atol=1e-12)
    np.testing.assert_allclose(arranged[3:6].sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(arranged[4], i - ii / 2)
    notes = conform(np.stack([ii, i]), ["II", "I"], 500, FORM).notes
    assert notes[0] == "computed from I and II: III, aVR, aVL, aVF" and "missing lead V6" in notes


def test_eight_rows():
    assert rows_of(EIGHT_LEADS) == [0, 1, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize(
    ("names", "reason"), [(["I", "i"], "lead I twice"), (["resp", "pleth"], "none of the leads")]
)
def test_leads_that_make_no_record(names, reason):
    with pytest.raises(ValueError, match=reason):
        conform(RNG.normal(size=(2, 600)), names, 500, FORM)


def test_flat_missing_and_gaps_are_noted_and_finite():
    signal = RNG.normal(size=(12, 600))
    signal[3] = 0.7
    signal[5] = np.nan
    signal[7, 100:120] = np.nan
    conformed = conform(signal, LEADS, 500, FORM)
    assert set(conformed.notes) == {"gaps bridged", "missing lead aVF", "flat lead aVR"}
    assert conformed.recorded.tolist() == [i != 5 for i in range(12)]
    values = conformed.values * conformed.scale[:, None]
    line = np.interp(np.arange(99, 121), [99, 120], signal[7, [99, 120]])
    np.testing.assert_allclose(values[7, 99:121], line, atol=1e-3)
    assert not values[5].any() and np.ptp(values[3]) == 0


def test_gaps_alone_are_no_record():
    with pytest.raises(ValueError, match="gaps alone"):
        conform(np.full((12, 600), np.nan), LEADS, 500, FORM)


def test_rounding_is_small_and_whole_numbers_are_exact():
    signal = RNG.normal(size=(12, 600)) * np.logspace(-6, 6, 12)[:, None]
    conformed = conform(signal, LEADS, 500, FORM)
    back = conformed.values * conformed.scale[:, None].astype(np.float64)
    assert (np.abs(back - signal) <= np.abs(signal).max(axis=1, keepdims=True) / 60_000).all()
    large = RNG.integers(-(2**30), 2**30, (12, 600))
    back = conform(large, LEADS, 500, FORM)
    error = np.abs(back.values * back.scale[:, None].astype(np.float64) - large)
    assert error.max() <= 2**30 / 60_000
    exact = conform(signal, LEADS, 500, FORM._replace(storage="float32"))
    np.testing.assert_array_equal(exact.values, signal.astype(np.float32))


def test_rates_and_lengths():
    seconds = np.arange(0, 12, 0.01)
    wave = np.tile(np.sin(2 * np.pi * 5 * seconds), (12, 1))
    conformed = conform(wave, LEADS, 100, Form(250, 2500))
    assert conformed.values.shape == (12, 2500)
    assert set(conformed.notes) == {"longer: cut", "resampled from 100 Hz"}
    expected = np.sin(2 * np.pi * 5 * np.arange(2500) / 250)
    np.testing.assert_allclose(conformed.values[0] * conformed.scale[0], expected, atol=1e-3)
    short = conform(wave[:, :400], LEADS, 100, Form(100, 1000))
    assert short.values.shape == (12, 400) and short.notes == ("shorter: zeros follow",)
    for samples in (0, 19):
        with pytest.raises(ValueError, match=r"shorter than 0\.2 s"):
            conform(wave[:, :samples], LEADS, 100, FORM)
    clean(conform(wave[:, :20], LEADS, 100, Form(100, 1000)).values, 100)


def test_sex():
    texts = ["Female", " M ", "0", "unknown", "f"]
    assert [standard_sex(text) for text in texts] == ["female", "male", "", "", "female"]
