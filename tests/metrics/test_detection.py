"""Mean average precision by examples counted by hand."""

import numpy as np
import pytest

from medjax.metrics.detection import (
    OVERLAPS,
    FilmBoxes,
    average_precision,
    detection_metrics,
    hits,
    overlaps,
    precision_recall,
    rank,
)

BOX = np.array([[0.0, 0, 10, 10]])
NONE = np.zeros((0, 4))


def film(true, found, confidence) -> FilmBoxes:
    return FilmBoxes(np.array(true, float).reshape(-1, 4), np.array(found, float).reshape(-1, 4),
                     np.array(confidence, float))  # fmt: skip


def shifted(pixels: float) -> list[float]:
    """BOX moved to the right: it overlaps BOX by (10 - pixels) / (10 + pixels)."""
    return [pixels, 0, 10 + pixels, 10]


def test_overlaps_are_shares_of_the_union() -> None:
    others = np.array([shifted(0), shifted(5), shifted(10), [2, 2, 4, 7], [3, 3, 3, 3]])
    np.testing.assert_allclose(overlaps(BOX, others)[0], [1, 1 / 3, 0, 0.1, 0])
    assert overlaps(others[4:], others[4:]).tolist() == [[0]]


def test_a_box_is_found_once_by_the_most_confident() -> None:
    twice = film(BOX, [shifted(1), shifted(0), shifted(6)], [0.6, 0.9, 0.99])
    assert hits(twice, (0.5,)).tolist() == [[False, True, False]]
    two = film([shifted(0), shifted(2)], [shifted(0.5), shifted(0)], [0.9, 0.8])
    # The first takes the left box, and the second what is left: it overlaps that by 8 / 12.
    assert hits(two, (0.5, 0.7)).tolist() == [[True, True], [True, False]]


def test_the_area_of_an_example_counted_by_hand() -> None:
    """Four boxes; hit, miss, hit, hit, miss in the order of confidence.

    Precision 1, 1/2, 2/3, 3/4, 3/5 at recall 1/4, 1/4, 2/4, 3/4, 3/4; at its best from there on
    1, 3/4, 3/4, 3/4, 3/5. Of the 101 levels 26 lie at recall 0 to .25, and 50 at .26 to .75.
    """
    films = [
        film(BOX, [shifted(0), shifted(20)], [0.9, 0.8]),
        film(BOX, [shifted(0)], [0.7]),
        film(BOX, [shifted(0)], [0.6]),
        film(BOX, NONE, []),
        film(NONE, BOX, [0.5]),
    ]
    ranked = rank(films, (0.5,))
    assert ranked.film.tolist() == [0, 0, 1, 2, 4]
    recall, precision = precision_recall(ranked)
    np.testing.assert_allclose(recall[0], [0.25, 0.25, 0.5, 0.75, 0.75])
    np.testing.assert_allclose(precision[0], [1, 0.75, 0.75, 0.75, 0.6])
    np.testing.assert_allclose(average_precision(ranked), [(26 + 50 * 0.75) / 101])


def test_counts_stand_for_copies_of_films() -> None:
    rng = np.random.default_rng(0)
    films = []
    for _ in range(12):
        true = [shifted(20 * box) for box in range(rng.integers(0, 3))]
        found = [shifted(20 * box + rng.uniform(0, 6)) for box in range(rng.integers(0, 4))]
        films.append(film(true, found, rng.random(len(found))))
    counts = rng.integers(0, 4, len(films))
    copied = [f for f, count in zip(films, counts) for _ in range(count)]
    expected = average_precision(rank(copied))
    np.testing.assert_allclose(average_precision(rank(films), counts), expected, atol=1e-12)
    assert expected[0] > expected[-1] > 0


def test_films_without_boxes_or_detections_count_in_the_standard_map_alone() -> None:
    good = film(BOX, [shifted(0)], [0.9])
    alarm, missed, empty = film(NONE, BOX, [0.95]), film(BOX, NONE, []), film(NONE, NONE, [])
    told = detection_metrics([good, alarm, missed, empty], 50, 0)
    # Precision 1/2 up to recall 1/2: 51 of 101 levels.
    assert told["map"] == told["map_standard"]
    assert told["map"].value == pytest.approx(0.5 * 51 / 101)
    assert (told["map"].n, told["map"].positives) == (4, 2)
    assert told["map"].low <= told["map"].value <= told["map"].high
    assert told["map_published"].value == 1 and told["map_published"].n == 1
    other = detection_metrics([good, alarm, missed, empty], 0, 0, "films_with_both")
    assert other["map"] == other["map_published"] and other["map"].low is None


def test_a_map_is_the_mean_over_overlaps() -> None:
    told = detection_metrics([film(BOX, [shifted(2.5)], [0.9])], 0, 0)
    # It overlaps by 7.5 / 12.5 = .6: enough for .40 to .60, five of eight.
    each = [told[f"ap/iou={level:.2f}"].value for level in OVERLAPS]
    assert each == pytest.approx([1, 1, 1, 1, 1, 0, 0, 0]) and told["map"].value == 5 / 8


def test_without_boxes_nothing_is_defined() -> None:
    told = detection_metrics([film(NONE, BOX, [0.9])], 10, 0)
    assert all(metric.value is None and metric.reason for metric in told.values())
    nothing = detection_metrics([film(BOX, NONE, [])], 10, 0)
    assert nothing["map"].value == 0 and nothing["map_published"].value is None


def test_only_the_most_confident_of_a_film_count() -> None:
    crowded = film(BOX, [shifted(20), shifted(0)], [0.9, 0.8])
    assert rank([crowded], (0.5,), most=1).hit.tolist() == [[False]]
