"""Label tables: what they give a recording, and what they refuse."""

import numpy as np
import pytest

from medjax.data.ecg.labels import labelled, read_labels
from medjax.data.ecg.leads import LEADS
from medjax.data.ecg.recording import Dropped, Form, Recording, conform
from medjax.errors import UserError

SIGNAL = conform(np.ones((12, 4)), LEADS, 4, Form(4, 4))


def table(tmp_path, text: str):
    path = tmp_path / "own.csv"
    path.write_text(text)
    return path


def apply(own, *recordings, met=None):
    return list(labelled(recordings, own, set() if met is None else met))


def test_survival_in_days(tmp_path):
    own = read_labels(table(tmp_path, "subject_id,event,duration\n7,1,2.5\n8,0,3\n9,,\n"), "month")
    visits = [Recording(f"7_{k}", "7", SIGNAL) for k in range(2)]
    first, second, unknown = apply(own, *visits, Recording("x", "9", SIGNAL, event=1.0))
    assert (first.event, first.duration) == (second.event, second.duration) == (1.0, 75.0)
    assert unknown.event == 1.0, "an empty cell leaves what the source knows"
    assert own.names == ()


def test_classes_and_known_columns(tmp_path):
    text = "Record_ID,subject_id,split,age,sex,fold,AF,MI\na,p1,val,61,F,3,1,0\nb,,,,,,,1\n"
    own = read_labels(table(tmp_path, text))
    a, b = apply(own, Recording("a", "a", SIGNAL), Recording("b", "b", SIGNAL, age=5.0))
    assert own.names == ("AF", "MI")
    assert (a.subject_id, a.split, a.age, a.sex, a.fold) == ("p1", "validation", 61.0, "female", 3)
    assert (b.subject_id, b.split, b.age, b.sex, b.fold) == ("b", None, 5.0, "", 0)
    np.testing.assert_array_equal(a.labels, [1, 0])
    np.testing.assert_array_equal(b.labels, [np.nan, 1])


def test_a_recording_without_a_row_is_dropped_and_no_damage(tmp_path):
    own = read_labels(table(tmp_path, "record_id,AF\na,1\n"))
    broken = Dropped("q", "cannot be read")
    met: set[str] = set()
    _, dropped, same = apply(
        own, Recording("a", "a", SIGNAL), Recording("A", "A", SIGNAL), broken, met=met
    )
    assert isinstance(dropped, Dropped) and not dropped.damaged and dropped.record_id == "A"
    assert same is broken
    assert met == {"a"}


def test_ids_are_text(tmp_path):
    own = read_labels(table(tmp_path, "record_id,AF\n007,1\n1e3,0\n"))
    assert set(own.fields) == {"007", "1e3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,AF\na,1\n", "no column 'record_id' or 'subject_id'"),
        ("record_id\na\n", "no label"),
        ("record_id,AF\n", "no label"),
        ("record_id,AF\na,1\n,0\n", "row 3: column 'record_id' is empty"),
        ("record_id,AF\na,1\nb,0\na,0\n", "row 4 repeats the record_id of row 2"),
        ("record_id,AF\na,2\n", "row 2: column 'AF' holds none of empty, 0"),
        ("record_id,AF,AF \na,1,1\n", "two columns 'AF'"),
        ("record_id,event\na,1\n", "a column 'event' but none 'duration'"),
        ("record_id,event,duration\na,1,\n", "row 2: one of event and duration is empty"),
        ("record_id,event,duration\na,1,-3\n", "row 2: column 'duration' is below 0"),
        ("record_id,event,duration\na,1,inf\n", "row 2: column 'duration' is not a number"),
        ("record_id,event,duration\na,yes,3\n", "row 2: column 'event' holds none of"),
        ("record_id,age\na,300\n", "row 2: column 'age' is not from 0 to 130"),
        ("record_id,split\na,hold\n", "row 2: column 'split' holds none of"),
        ("record_id,fold\na,1.5\n", "row 2: column 'fold' is not an integer"),
        ("", "not a readable CSV table"),
    ],
)
def test_a_bad_table_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as error:
        read_labels(table(tmp_path, text))
    assert "own.csv" in str(error.value)
