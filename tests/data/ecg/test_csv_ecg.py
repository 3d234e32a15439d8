"""One CSV a record, in the forms in which people have them."""

import numpy as np
import pytest

from medjax.data.csv_ecg import read_leads
from medjax.data.ecg.leads import LEADS
from medjax.data.ecg.records import open_ecg
from medjax.data.manifest import read_manifest
from medjax.errors import UserError
from tests.data.ecg.commands import prepare

SIGNAL = np.round(np.random.default_rng(0).normal(0, 0.5, (12, 60)), 3)
SIGNAL[2:6] = [SIGNAL[1] - SIGNAL[0], -(SIGNAL[0] + SIGNAL[1]) / 2,
               SIGNAL[0] - SIGNAL[1] / 2, SIGNAL[1] - SIGNAL[0] / 2]  # fmt: skip


def text(rows, header=None, delimiter=","):
    lines = [delimiter.join(header)] if header else []
    return "\n".join(lines + [delimiter.join(f"{v:g}" for v in row) for row in rows]) + "\n"


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def forms():
    order = np.random.default_rng(1).permutation(12)
    names = [LEADS[i] for i in order]
    time = np.arange(60)[:, None] / 500
    yield "plain", text(SIGNAL.T), ","
    yield "transposed", text(SIGNAL), ","
    yield "names in any order", text(SIGNAL[order].T, names), ","
    yield "spelt otherwise", text(SIGNAL.T, [f"Lead {n.upper()}" for n in LEADS]), ","
    yield "a column of time", text(np.hstack([time, SIGNAL.T]), ["t", *LEADS]), ","
    yield "quoted", text(SIGNAL.T, [f'"{n}"' for n in LEADS]), ","
    yield "byte-order mark", "\ufeff" + text(SIGNAL.T, LEADS), ","
    yield "windows", text(SIGNAL.T, LEADS).replace("\n", "\r\n"), ","
    yield "semicolon", text(SIGNAL.T, LEADS, ";"), ";"
    yield "tab", text(SIGNAL.T, None, "\t"), "\t"
    yield "blanks", text(SIGNAL.T, None, "   "), r"\s+"


@pytest.mark.parametrize(
    ("content", "delimiter"), [form[1:] for form in forms()], ids=[form[0] for form in forms()]
)
def test_every_form_gives_the_same_signal(tmp_path, content, delimiter):
    signal, names = read_leads(write(tmp_path, "a.csv", content), delimiter)
    order = [[n.upper().replace("LEAD ", "") for n in names].index(lead.upper()) for lead in LEADS]
    np.testing.assert_allclose(signal[order], SIGNAL, atol=1e-5)


def test_files_become_a_set_with_their_names_as_ids(tmp_path):
    raw = tmp_path / "raw"
    for i in range(6):
        write(raw, f"ward{i % 2}/{i:02d}.csv", text(SIGNAL.T * (i + 1), LEADS))
    own = write(raw, "labels.csv", "record_id,subject_id,event,duration\n" + "".join(
        f"ward{i % 2}/{i:02d},p{i % 3},{i % 2},{i}\n" for i in range(6)))  # fmt: skip
    out = prepare("csv_ecg", raw, tmp_path / "out", f"--labels={own}", "--unlabelled")
    records = open_ecg(out, "median").splits["all"]
    assert records.record_id.tolist() == sorted(f"ward{i % 2}/{i:02d}" for i in range(6))
    assert records.subject_id[0] == "p0" and records.duration[5] == 5.0
    np.testing.assert_allclose(records.signals([1])[0], SIGNAL * 3, atol=2e-4)


def test_missing_limb_leads_are_computed_and_others_counted(tmp_path):
    kept = [0, 1, *range(6, 11)]
    write(tmp_path / "raw", "a.csv", text(SIGNAL[kept].T, [LEADS[i] for i in kept]))
    out = prepare("csv_ecg", tmp_path / "raw", tmp_path / "out", "--unlabelled")
    records = open_ecg(out, "median").splits["all"]
    np.testing.assert_allclose(records.signals([0])[0][:11], SIGNAL[:11], atol=2e-3)
    assert records.recorded[0].tolist() == [True] * 11 + [False]
    notes = read_manifest(out)["sets"]["median"]["recordings_with"]
    assert notes["missing lead V6"] == 1


def test_a_record_that_is_no_ecg_is_named_or_left_out(tmp_path):
    raw = tmp_path / "raw"
    write(raw, "a.csv", text(SIGNAL.T))
    write(raw, "b.csv", text(SIGNAL.T).replace("\n", "\nx", 5))
    with pytest.raises(UserError, match=r"b\.csv, row 2, column 1: a cell that is not a number"):
        prepare("csv_ecg", raw, tmp_path / "out")
    out = prepare("csv_ecg", raw, tmp_path / "out", "--max_bad_records=1", "--unlabelled")
    assert len(open_ecg(out, "median").splits["all"].record_id) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a table"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "bad.csv"),
        (text(SIGNAL[:5].T).encode(), "not the usual 12 or 8 columns"),
        (text(SIGNAL.T, LEADS).replace("\n", "\n1,", 2).encode(), "bad.csv"),
        (text(SIGNAL.T, [*LEADS[:11], "V5"]).encode(), "V5 twice"),
        (text(SIGNAL.T).replace("0.", "1e999", 1).encode(), "row 1, column"),
        (b"I,II,V1,V2,V3,V4,V5,V6\n", "not a table"),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "bad.csv").write_bytes(content)
    (raw / "good.csv").write_text(text(SIGNAL.T))
    with pytest.raises(UserError, match=message) as error:
        prepare("csv_ecg", raw, tmp_path / "out")
    assert "bad.csv" in str(error.value)


def test_nothing_matches(tmp_path):
    (tmp_path / "raw").mkdir()
    with pytest.raises(UserError, match="no file matches"):
        prepare("csv_ecg", tmp_path / "raw", tmp_path / "out")
    with pytest.raises(UserError, match="--pattern"):
        prepare("csv_ecg", tmp_path / "raw", tmp_path / "out", "--pattern=/etc/*")
