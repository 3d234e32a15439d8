"""metrics.jsonl and TensorBoard hold the same rows, and a resumed run's rows once each."""

import json
import math
import os

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from medjax.errors import UserError
from medjax.run.report.metrics_log import MetricsLog, read_rows


def write_log(folder, steps, restored=-1):
    with MetricsLog(folder) as log:
        log.cut_back(restored)
        for step in steps:
            log.write(step, "train", {"loss": step / 2})


def read_events(path):
    """TFRecords: length (8 bytes), its checksum (4), the event, its checksum (4)."""
    data, events = path.read_bytes(), []
    while data:
        size = int.from_bytes(data[:8], "little")
        events.append(Event.FromString(data[12 : 12 + size]))
        data = data[16 + size :]
    return events


def test_rows_are_on_disk_at_once_and_what_is_not_finite_is_null(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.cut_back(-1)
        log.write(3, "validation", {"loss": 0.5, "auroc/macro": None, "x": math.nan, "y": math.inf})
        text = (tmp_path / "metrics.jsonl").read_text()
        row = {"step": 3, "split": "validation", "loss": 0.5}
        assert json.loads(text) == {**row, "auroc/macro": None, "x": None, "y": None}
        (path,) = (tmp_path / "tensorboard").iterdir()
        scalars = [
            (e.step, v.tag, v.simple_value) for e in read_events(path) for v in e.summary.value
        ]
        assert scalars == [(3, "validation/loss", 0.5)]


def test_a_resumed_log_has_every_row_once(tmp_path):
    write_log(tmp_path, range(5))
    with open(tmp_path / "metrics.jsonl", "a") as f:
        f.write('{"step": 5, "spl')
    write_log(tmp_path, range(3, 7), restored=2)
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == list(range(7))
    resumed = max((tmp_path / "tensorboard").iterdir(), key=lambda p: p.stat().st_mtime_ns)
    starts = [e.step for e in read_events(resumed) if e.session_log.status == SessionLog.START]
    assert starts == [3]


def test_starting_anew_forgets_what_was_there(tmp_path):
    write_log(tmp_path, range(5))
    write_log(tmp_path, [])
    assert read_rows(tmp_path / "metrics.jsonl") == []


def test_a_pending_evaluation_is_not_logged_twice(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.cut_back(-1)
        for split in ("train", "validation"):
            log.write(2, split, {"loss": 1.0})
    for pending, splits in ((False, ["train", "validation"]), (True, ["train"])):
        with MetricsLog(tmp_path) as log:
            log.cut_back(2, evaluation_pending=pending)
        assert [row["split"] for row in read_rows(tmp_path / "metrics.jsonl")] == splits


def test_a_torn_last_line_is_left_out_and_any_other_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1, "split": "train"}\n{"step": 2, "split": "train"}\n\xff{"st')
    assert [row["step"] for row in read_rows(path)] == [1, 2]
    path.write_text('{"step": 1, "split": "train"}\nnothing\n{"step": 2, "split": "train"}\n')
    with pytest.raises(UserError, match="line 2 is no row"):
        read_rows(path)
    assert read_rows(tmp_path / "absent.jsonl") == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_one_sentence(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.cut_back(-1)
        log._rows = open("/dev/full", "w")  # noqa: SIM115
        with pytest.raises(UserError, match=r"metrics\.jsonl: No space left"):
            log.write(1, "train", {"loss": 1.0})
