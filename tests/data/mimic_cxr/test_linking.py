"""Which film belongs to which stay, by definition and against a plain loop."""

import numpy as np
import pandas as pd
import pytest

from medjax.data.mimic_cxr.linking import link, study_times

HOUR = np.timedelta64(1, "h")


def moment(text):
    return np.datetime64(text, "s")


def films(*rows):
    table = pd.DataFrame(rows, columns=["dicom_id", "subject_id", "view", "study_time"])
    return table.astype({"study_time": "datetime64[s]"})


def stays(*rows):
    table = pd.DataFrame(rows, columns=["stay_id", "subject_id", "intime", "outtime"])
    return table.astype({"intime": "datetime64[s]", "outtime": "datetime64[s]"})


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("21500102", "73015.25", "2150-01-02T07:30:15"),
        ("21500102", "804.1", "2150-01-02T00:08:04"),
        ("21500102", "4", "2150-01-02T00:00:04"),
        ("21500102", "235959.999", "2150-01-02T23:59:59"),
        ("22880229", "0", "2288-02-29T00:00:00"),
        ("21500230", "120000", "NaT"),
        ("21500102", "246000", "NaT"),
        ("21500102", "", "NaT"),
        ("", "120000", "NaT"),
        ("21501302", "120000", "NaT"),
    ],
)
def test_study_times(date, time, expected):
    (result,) = study_times(pd.Series([date]), pd.Series([time]))
    np.testing.assert_equal(result, moment(expected))


def test_the_last_frontal_film_inside_the_stay_wins():
    table = films(
        ("a", 1, "AP", "2150-01-01T10:00"),
        ("b", 1, "AP", "2150-01-03T10:00"),
        ("c", 1, "PA", "2150-01-03T11:00"),
        ("d", 1, "AP", "2150-01-09T10:00"),
        ("e", 2, "AP", "2150-01-03T12:00"),
    )
    linked = link(table, stays((7, 1, "2150-01-01T00:00", "2150-01-04T00:00")), None)
    assert linked["dicom_id"].tolist() == ["b"] and linked["stay_id"].tolist() == [7]


@pytest.mark.parametrize("hours", [None, 48.0])
def test_window_ends(hours):
    start, end = moment("2150-01-01T06:00"), moment("2150-01-02T00:00")
    last = end if hours is None else start + 48 * HOUR
    stay = stays((7, 1, start, end))
    second = np.timedelta64(1, "s")
    for time, inside in [(start, 1), (last, 1), (start - second, 0), (last + second, 0)]:
        assert len(link(films(("a", 1, "AP", time)), stay, hours)) == inside


def test_ties_go_to_the_last_dicom_id_in_any_row_order():
    table = films(*(((name, 1, "AP", "2150-01-01T10:00")) for name in ("b", "c", "a")))
    stay = stays((7, 1, "2150-01-01T00:00", "2150-01-04T00:00"))
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        assert link(table.iloc[order], stay, None)["dicom_id"].item() == "c"


@pytest.mark.parametrize("hours", [None, 48.0])
def test_agrees_with_a_plain_loop(hours):
    rng = np.random.default_rng(4)
    start = moment("2150-01-01T00:00")
    table = films(
        *(
            (f"d{i:03d}", rng.integers(8), rng.choice(["AP", "PA"]),
             start + int(rng.integers(400)) * HOUR)
            for i in range(200)
        )
    )  # fmt: skip
    rows = []
    for i in range(20):
        intime = start + int(rng.integers(300)) * HOUR
        rows.append((100 - i, rng.integers(8), intime, intime + int(rng.integers(90)) * HOUR))
    expected = {}
    for stay, subject, intime, outtime in rows:
        last = outtime if hours is None else intime + 48 * HOUR
        inside = [
            (film.study_time, film.dicom_id)
            for film in table.itertuples()
            if film.view == "AP" and film.subject_id == subject
            and intime <= film.study_time.to_numpy() <= last
        ]  # fmt: skip
        if inside:
            expected[stay] = max(inside)[1]
    linked = link(table, stays(*rows), hours)
    assert dict(zip(linked["stay_id"], linked["dicom_id"])) == expected
    assert linked["stay_id"].is_monotonic_increasing


def test_an_unknown_time_never_links():
    stay = stays((7, 1, "2150-01-01T00:00", "2150-01-04T00:00"))
    assert link(films(("a", 1, "AP", "NaT")), stay, None).empty


def test_predictions_by_the_hour_read_the_first_film_and_its_hour():
    table = films(
        ("a", 1, "AP", "2150-01-01T06:30"),
        ("b", 1, "AP", "2150-01-01T06:30"),
        ("c", 1, "AP", "2150-01-02T10:00"),
    )
    stay = stays((7, 1, "2150-01-01T00:00", "2150-01-04T00:00"))
    first, last = link(table, stay, None, "first"), link(table, stay, None)
    assert (first["dicom_id"].item(), first["hour"].item()) == ("b", 6.5)
    assert (last["dicom_id"].item(), last["hour"].item()) == ("c", 34.0)
